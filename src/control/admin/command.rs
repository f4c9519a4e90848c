//! What may be asked of the admin service: nouns, then verbs.

use serde::{Deserialize, Serialize};

use crate::types::ids::{KeyId, RoleName, TeamName, TenantName, TokenId, UserName};

/// A command. On the wire: `{"noun":"tenant","verb":"create","name":"acme"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "noun", rename_all = "snake_case")]
pub enum Command {
    /// About tenants.
    Tenant(TenantCommand),
    /// About users.
    User(UserCommand),
    /// About teams.
    Team(TeamCommand),
    /// About roles.
    Role(RoleCommand),
    /// About API keys.
    Key(KeyCommand),
    /// About tokens.
    Token(TokenCommand),
}

/// What may be asked about tenants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
pub enum TenantCommand {
    /// A new tenant.
    Create {
        /// Its name.
        name: TenantName,
    },
    /// All tenants.
    List,
    /// Nobody of it may ask any more.
    Disable {
        /// Its name.
        name: TenantName,
    },
    /// It may ask again.
    Enable {
        /// Its name.
        name: TenantName,
    },
}

/// A user by name. Without a tenant, the only one there is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserRef {
    /// The tenant's name.
    pub tenant: Option<TenantName>,
    /// The user's name.
    pub name: UserName,
}

/// What may be asked about users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
pub enum UserCommand {
    /// A new user. Teams that do not exist are created.
    Create {
        /// Who.
        user: UserRef,
        /// Its roles.
        roles: Vec<RoleName>,
        /// Its teams.
        teams: Vec<TeamName>,
    },
    /// All users, or those of one tenant.
    List {
        /// The tenant.
        tenant: Option<TenantName>,
    },
    /// The user may not ask any more.
    Disable {
        /// Who.
        user: UserRef,
    },
    /// The user may ask again.
    Enable {
        /// Who.
        user: UserRef,
    },
}

/// What may be asked about teams.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
pub enum TeamCommand {
    /// A new team.
    Create {
        /// The tenant.
        tenant: Option<TenantName>,
        /// The team.
        team: TeamName,
    },
    /// The teams of a tenant.
    List {
        /// The tenant.
        tenant: Option<TenantName>,
    },
    /// A user joins a team.
    Add {
        /// The team.
        team: TeamName,
        /// Who.
        user: UserRef,
    },
    /// A user leaves a team.
    Remove {
        /// The team.
        team: TeamName,
        /// Who.
        user: UserRef,
    },
}

/// What may be asked about roles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
pub enum RoleCommand {
    /// All roles.
    List,
    /// A user gets a role.
    Grant {
        /// The role.
        role: RoleName,
        /// Who.
        user: UserRef,
    },
    /// A user loses a role.
    Withdraw {
        /// The role.
        role: RoleName,
        /// Who.
        user: UserRef,
    },
}

/// What may be asked about API keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
pub enum KeyCommand {
    /// A new key. The answer holds it, once.
    Create {
        /// Whose.
        user: UserRef,
        /// What its owner calls it.
        name: String,
        /// For how many seconds it is valid; for ever if left out.
        expires_in_s: Option<u64>,
    },
    /// Keys of everyone, of one tenant, or of one user.
    List {
        /// The tenant.
        tenant: Option<TenantName>,
        /// The user.
        user: Option<UserName>,
    },
    /// The key is void.
    Revoke {
        /// Which.
        id: KeyId,
    },
}

/// What may be asked about tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
pub enum TokenCommand {
    /// A new token. The answer holds it, once.
    Issue {
        /// Whose.
        user: UserRef,
        /// For how many seconds it is valid.
        ttl_s: u64,
    },
    /// The token is void.
    Revoke {
        /// Which.
        id: TokenId,
    },
    /// All tokens of a user are void.
    RevokeAll {
        /// Whose.
        user: UserRef,
    },
}
