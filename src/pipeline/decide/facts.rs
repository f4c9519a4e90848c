//! The facts that a decision rests on, and nothing else: with them it can be repeated.

use serde::{Deserialize, Serialize};

use crate::dialect::operation::Operation;
use crate::pipeline::inspect::finding::{Blocked, SecretKind};
use crate::pipeline::inspect::power::Power;
use crate::types::ids::{ModelName, UpstreamName};
use crate::types::peer::ClientCertificate;
use crate::types::principal::Principal;

/// An upstream and the model that it would be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Candidate {
    /// Where the request would go.
    pub upstream: UpstreamName,
    /// What would be asked for there.
    pub served_model: ModelName,
}

/// What is known about a model request when it is decided.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Facts {
    /// Who asks.
    pub principal: Principal,
    /// The certificate that the client's connection proved, if it did.
    pub certificate: Option<ClientCertificate>,
    /// For what operation.
    pub endpoint: Operation,
    /// For which model.
    pub requested_model: ModelName,
    /// Where it could go, best first; empty where no route knows the model.
    pub candidates: Vec<Candidate>,
    /// What the upstream is asked to execute, fetch or keep.
    pub powers: Vec<Power>,
    /// The kinds of secrets found, each once.
    pub findings: Vec<SecretKind>,
    /// Why the secrets refuse the request, if they do.
    pub blocked: Option<Blocked>,
    /// Whether the answer shall be a stream.
    pub stream: bool,
    /// The most output tokens asked for.
    pub max_tokens: Option<u64>,
    /// How many tools are offered.
    pub tools: u32,
}
