//! Who may ask, as rows.
//!
//! Input: [`change::Change`]s, applied in one transaction that also raises the identity revision.
//! Output: rows by name, and all of them at one revision for the view in memory.
//!
//! Invariants: no row changes without the revision; no secret is stored, only digests and sealed
//! values; a member of a team and the team are of one tenant (the database's own foreign keys).
//!
//! - [`change`]: every change that there is.
//! - [`read`]: rows found by name, and all rows at one revision.
//! - [`watch`]: hearing of changes that other replicas make.

pub mod change;
pub mod read;
pub mod watch;

use crate::types::clock::Timestamp;
use crate::types::digest::Sha256;
use crate::types::ids::{
    KeyId, KeyLookup, RoleName, SigningKeyId, TeamName, TenantId, TenantName, TokenId, UserId, UserName,
};

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantRow {
    /// Its id.
    pub id: TenantId,
    /// Its name, unique in the installation.
    pub name: TenantName,
    /// When it was created.
    pub created_at: Timestamp,
    /// Since when nobody of it may ask.
    pub disabled_at: Option<Timestamp>,
}

/// A user with the names of its roles and teams, each sorted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// Its id.
    pub id: UserId,
    /// Its tenant.
    pub tenant: TenantId,
    /// Its name, unique in the tenant.
    pub name: UserName,
    /// When it was created.
    pub created_at: Timestamp,
    /// Since when it may not ask.
    pub disabled_at: Option<Timestamp>,
    /// Tokens issued before this whole second are void.
    pub tokens_valid_after: Option<Timestamp>,
    /// Roles, sorted.
    pub roles: Vec<RoleName>,
    /// Teams, sorted.
    pub teams: Vec<TeamName>,
}

/// A role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleRow {
    /// Its name, unique in the installation.
    pub name: RoleName,
    /// What it stands for.
    pub description: String,
}

/// A team and how many members it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeamRow {
    /// Its name, unique in the tenant.
    pub name: TeamName,
    /// When it was created.
    pub created_at: Timestamp,
    /// How many users it has.
    pub members: u64,
}

/// An API key; of its secret only the digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// Its id.
    pub id: KeyId,
    /// Whose key it is.
    pub user: UserId,
    /// Its public part.
    pub lookup: KeyLookup,
    /// SHA-256 of the whole key.
    pub digest: Sha256,
    /// What its owner calls it.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// From when on it is void.
    pub expires_at: Option<Timestamp>,
    /// Since when it is void.
    pub revoked_at: Option<Timestamp>,
}

/// The public half of a key that signs tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKeyRow {
    /// Its id, the `kid` of tokens.
    pub id: SigningKeyId,
    /// Ed25519 public key.
    pub public_key: [u8; 32],
    /// When it was created.
    pub created_at: Timestamp,
    /// Since when it signs no more.
    pub retired_at: Option<Timestamp>,
}

/// Everything that identification needs, read in one transaction.
#[derive(Clone, Debug)]
pub struct IdentityRows {
    /// The revision that the rows belong to.
    pub revision: i64,
    /// All tenants.
    pub tenants: Vec<TenantRow>,
    /// All users.
    pub users: Vec<UserRow>,
    /// All keys, revoked ones too.
    pub keys: Vec<KeyRow>,
    /// All signing keys, retired ones too.
    pub signing_keys: Vec<SigningKeyRow>,
    /// Tokens revoked one by one.
    pub revoked_tokens: Vec<TokenId>,
}

#[cfg(test)]
mod tests;
