//! Who asks.

use serde::{Deserialize, Serialize};

use crate::types::ids::{
    KeyId, RoleName, SessionId, TeamName, TenantId, TenantName, TokenId, UserId, UserName,
};

/// An authenticated caller, as the credential alone proves it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Principal {
    /// The tenant that everything of this request belongs to.
    pub tenant: TenantId,
    /// The tenant's name, for policies and people.
    pub tenant_name: TenantName,
    /// The user.
    pub user: UserId,
    /// The user's name, for policies and people.
    pub user_name: UserName,
    /// Roles, sorted.
    pub roles: Vec<RoleName>,
    /// Teams, sorted.
    pub teams: Vec<TeamName>,
    /// What proved it.
    pub credential: Credential,
    /// The token's `sid`, or the key's id: what rate limits count by.
    pub session: SessionId,
}

/// Which credential proved a principal; never the credential itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "id")]
pub enum Credential {
    /// An API key of ours.
    ApiKey(KeyId),
    /// A token that we issued.
    Token(TokenId),
}
