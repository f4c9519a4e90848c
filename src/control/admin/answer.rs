//! What the admin service answers.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::types::clock::Timestamp;
use crate::types::ids::{
    KeyId, KeyLookup, RoleName, TeamName, TenantId, TenantName, TokenId, UserId, UserName,
};
use crate::types::secret::Secret;

/// An answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Answer {
    /// It is done.
    Done {
        /// What was done, as a sentence.
        what: String,
    },
    /// A tenant was created.
    TenantCreated {
        /// Its id.
        id: TenantId,
        /// Its name.
        name: TenantName,
    },
    /// A user was created.
    UserCreated {
        /// Its id.
        id: UserId,
        /// Its name.
        name: UserName,
        /// Teams that did not exist and were created with it.
        teams_created: Vec<TeamName>,
    },
    /// A key was created.
    KeyCreated {
        /// Its id.
        id: KeyId,
        /// The key, shown this once.
        #[serde(serialize_with = "hand_out", deserialize_with = "take_in")]
        key: Secret<String>,
        /// From when on it is void.
        expires_at: Option<Timestamp>,
    },
    /// A token was issued.
    TokenIssued {
        /// Its id.
        id: TokenId,
        /// The token, shown this once.
        #[serde(serialize_with = "hand_out", deserialize_with = "take_in")]
        token: Secret<String>,
        /// From when on it is void.
        expires_at: Timestamp,
    },
    /// Tenants.
    Tenants {
        /// By name.
        tenants: Vec<TenantInfo>,
    },
    /// Users.
    Users {
        /// By tenant and name.
        users: Vec<UserInfo>,
    },
    /// Teams.
    Teams {
        /// By name.
        teams: Vec<TeamInfo>,
    },
    /// Roles.
    Roles {
        /// By name.
        roles: Vec<RoleInfo>,
    },
    /// Keys, without what makes them keys.
    Keys {
        /// By creation.
        keys: Vec<KeyInfo>,
    },
}

/// A tenant, listed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TenantInfo {
    /// Its id.
    pub id: TenantId,
    /// Its name.
    pub name: TenantName,
    /// When it was created.
    pub created_at: Timestamp,
    /// Since when nobody of it may ask.
    pub disabled_at: Option<Timestamp>,
}

/// A user, listed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UserInfo {
    /// Its id.
    pub id: UserId,
    /// Its tenant.
    pub tenant: TenantName,
    /// Its name.
    pub name: UserName,
    /// Its roles.
    pub roles: Vec<RoleName>,
    /// Its teams.
    pub teams: Vec<TeamName>,
    /// When it was created.
    pub created_at: Timestamp,
    /// Since when it may not ask.
    pub disabled_at: Option<Timestamp>,
}

/// A team, listed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TeamInfo {
    /// Its name.
    pub name: TeamName,
    /// How many users it has.
    pub members: u64,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A role, listed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoleInfo {
    /// Its name.
    pub name: RoleName,
    /// What it stands for.
    pub description: String,
}

/// A key, listed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyInfo {
    /// Its id.
    pub id: KeyId,
    /// What it begins with: enough to recognise it, nothing to use it by.
    pub prefix: String,
    /// What its owner calls it.
    pub name: String,
    /// The tenant of its owner.
    pub tenant: TenantName,
    /// Its owner.
    pub user: UserName,
    /// When it was created.
    pub created_at: Timestamp,
    /// From when on it is void.
    pub expires_at: Option<Timestamp>,
    /// Since when it is void.
    pub revoked_at: Option<Timestamp>,
}

impl KeyInfo {
    /// What a key with this public part begins with.
    pub fn prefix_of(lookup: KeyLookup) -> String {
        format!("{}{lookup}", crate::pipeline::identify::key::PREFIX)
    }
}

fn hand_out<S: Serializer>(secret: &Secret<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

fn take_in<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret<String>, D::Error> {
    String::deserialize(deserializer).map(Secret::new)
}
