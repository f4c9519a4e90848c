//! The leaf of an administrative change.

use serde::{Deserialize, Serialize};

use crate::journal::leaf::decision::{Json, Verdict};
use crate::types::digest::Sha256;
use crate::types::ids::{RequestId, SessionId, TenantId, UserId};

/// The installation was administered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Admin {
    /// Who did it.
    pub actor: Actor,
    /// The tenant that it concerns, if one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// The request that asked for it, where it came by HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// The verb (`key.create`, `user.disable` …).
    pub action: Box<str>,
    /// The object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<Box<str>>,
    /// Whether it was allowed.
    pub outcome: Verdict,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<str>>,
    /// The digest of the policies that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_digest: Option<Sha256>,
    /// What changed; never holds a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Json>,
}

/// Who administered: a process on this host, a user, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The operating system's user id at the other end of the admin socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The user, where a credential proved one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// The credential's session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
}
