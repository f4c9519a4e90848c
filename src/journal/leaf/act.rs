//! Who wants to do what, and what is known of the request when it is decided.

use serde::{Deserialize, Serialize};

use crate::types::clock::Timestamp;
use crate::types::digest::Sha256;
use crate::types::ids::{ModelName, RequestId, SessionId, TenantId, UserId};
use crate::types::peer::Peer;
use crate::types::principal::{Credential, Principal};

/// Who wants to do what. Every leaf about a request repeats it, so that each can be read alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// The request.
    pub request: RequestId,
    /// The caller's tenant; none while nobody is identified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// The caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// What proved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
    /// The credential's session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// What the client says about itself.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// What it does (`invoke`, `call`, …); empty when unknown.
    #[serde(default)]
    pub action: Box<str>,
    /// What it does it to: a model, a tool, an endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<Box<str>>,
    /// The other end of the client's connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<Peer>,
}

impl Act {
    /// An act of which only the request is known.
    pub fn of_request(request: RequestId) -> Self {
        Self {
            request,
            tenant: None,
            user: None,
            credential: None,
            session: None,
            labels: Labels::default(),
            action: Box::default(),
            resource: None,
            peer: None,
        }
    }

    /// The same act, done by this caller.
    #[must_use]
    pub fn by(self, principal: &Principal) -> Self {
        Self {
            tenant: Some(principal.tenant),
            user: Some(principal.user),
            credential: Some(principal.credential),
            session: Some(principal.session.clone()),
            ..self
        }
    }
}

/// Ids that the client chose. They help to find a row and prove nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labels {
    /// The trace that the request belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Box<str>>,
    /// The client's own session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Box<str>>,
    /// The client's task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Box<str>>,
    /// The client's conversation or context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Box<str>>,
    /// The client program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<Box<str>>,
}

impl Labels {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What is known of a request when it is decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestFacts {
    /// Who wants to do what.
    pub act: Act,
    /// When the first byte came.
    pub started_at: Timestamp,
    /// The model that the client asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_model: Option<ModelName>,
    /// The client's wire format; names a model API, whose requests get a row of their own in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_dialect: Option<Box<str>>,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// The digest of the body as received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_digest: Option<Sha256>,
    /// The digest of the policies that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_digest: Option<Sha256>,
    /// The configuration that was in force.
    pub config_generation: u64,
}
