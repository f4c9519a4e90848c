//! The leaf that is durable before a request leaves.

use serde::{Deserialize, Serialize};

use crate::journal::leaf::act::RequestFacts;
use crate::journal::leaf::decision::DecisionRow;
use crate::types::ids::{ModelName, UpstreamName};
use crate::types::money::MicroDollars;

/// A request was allowed and is about to leave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Open {
    /// The request.
    pub facts: RequestFacts,
    /// Why it was allowed, in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<str>>,
    /// Where it may go, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Candidate>,
    /// What was reserved for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<MicroDollars>,
    /// Each stage's decision.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<DecisionRow>,
}

/// One place that a request may go to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The upstream.
    pub upstream: UpstreamName,
    /// The model that it is asked for.
    pub model: ModelName,
}
