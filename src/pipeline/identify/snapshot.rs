//! Who may ask, at one revision of the identity rows. Immutable.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::pipeline::identify::key::StoredDigest;
use crate::pipeline::identify::reason::Reason;
use crate::pipeline::identify::token::{LEEWAY, PublicKey, TTL_MAX};
use crate::store::identity::{IdentityRows, TenantRow, UserRow};
use crate::types::clock::Timestamp;
use crate::types::ids::{
    KeyId, KeyLookup, RoleName, SessionId, SigningKeyId, TeamName, TenantId, TenantName, TokenId, UserId,
    UserName,
};
use crate::types::principal::{Credential, Principal};

/// Who may ask, indexed by what credentials name.
#[derive(Debug, Default)]
pub struct Snapshot {
    revision: i64,
    holders: HashMap<UserId, Arc<Holder>>,
    keys: HashMap<KeyLookup, Key>,
    signers: HashMap<SigningKeyId, Signer>,
    revoked_tokens: HashSet<TokenId>,
}

/// A user as the holder of credentials.
#[derive(Debug)]
pub struct Holder {
    user: UserId,
    user_name: UserName,
    tenant: TenantId,
    tenant_name: TenantName,
    roles: Vec<RoleName>,
    teams: Vec<TeamName>,
    standing: Standing,
    tokens_valid_after: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug)]
enum Standing {
    Good,
    UserDisabled,
    TenantDisabled,
}

/// An API key as verification needs it.
#[derive(Debug)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// Its user.
    pub holder: Arc<Holder>,
    /// The digest of all of it.
    pub digest: StoredDigest,
    /// From when on it is void.
    pub expires_at: Option<Timestamp>,
    /// Whether it is void already.
    pub revoked: bool,
    /// The session that all its requests belong to.
    pub session: SessionId,
}

#[derive(Debug)]
struct Signer {
    key: PublicKey,
    retired_at: Option<Timestamp>,
}

impl Snapshot {
    /// Indexes the rows. Users of unknown tenants and keys of unknown users, which the store's foreign keys
    /// rule out, are left out.
    pub fn build(rows: IdentityRows) -> Self {
        let tenants: HashMap<TenantId, TenantRow> = rows
            .tenants
            .into_iter()
            .map(|tenant| (tenant.id, tenant))
            .collect();
        let holders: HashMap<UserId, Arc<Holder>> = rows
            .users
            .into_iter()
            .filter_map(|user| {
                let tenant = tenants.get(&user.tenant)?;
                Some((user.id, Arc::new(Holder::new(user, tenant))))
            })
            .collect();
        let keys = rows.keys.into_iter().filter_map(|key| {
            let holder = Arc::clone(holders.get(&key.user)?);
            let entry = Key {
                id: key.id,
                holder,
                digest: StoredDigest::new(key.digest),
                expires_at: key.expires_at,
                revoked: key.revoked_at.is_some(),
                session: SessionId::new(key.id.to_string()),
            };
            Some((key.lookup, entry))
        });
        let signers = rows.signing_keys.into_iter().map(|row| {
            let signer = Signer {
                key: PublicKey::new(row.public_key),
                retired_at: row.retired_at,
            };
            (row.id, signer)
        });
        Self {
            revision: rows.revision,
            keys: keys.collect(),
            signers: signers.collect(),
            revoked_tokens: rows.revoked_tokens.into_iter().collect(),
            holders,
        }
    }

    /// The revision of the rows that this was built from.
    pub const fn revision(&self) -> i64 {
        self.revision
    }

    /// The key with this public part.
    pub fn key(&self, lookup: KeyLookup) -> Option<&Key> {
        self.keys.get(&lookup)
    }

    /// The user of this id, as the holder of credentials.
    pub fn holder(&self, user: UserId) -> Option<&Holder> {
        self.holders.get(&user).map(Arc::as_ref)
    }

    /// The public key that tokens naming this id are verified with, as long as such tokens can be valid.
    pub fn signer(&self, id: SigningKeyId, now: Timestamp) -> Option<&PublicKey> {
        self.signers
            .get(&id)
            .filter(|signer| signer.verifies(now))
            .map(|signer| &signer.key)
    }

    /// All public keys that tokens are verified with at this moment, by id.
    pub fn signers(&self, now: Timestamp) -> Vec<(SigningKeyId, &PublicKey)> {
        let verifying = self.signers.iter().filter(|(_, signer)| signer.verifies(now));
        let mut signers: Vec<_> = verifying.map(|(id, signer)| (*id, &signer.key)).collect();
        signers.sort_by_key(|(id, _)| *id);
        signers
    }

    /// Whether this token was revoked by its id.
    pub fn is_revoked(&self, token: TokenId) -> bool {
        self.revoked_tokens.contains(&token)
    }
}

impl Signer {
    /// What a retired key signed in its last moment is valid for the longest lifetime of a token.
    fn verifies(&self, now: Timestamp) -> bool {
        self.retired_at
            .is_none_or(|retired_at| now < retired_at.plus(TTL_MAX).plus(LEEWAY))
    }
}

impl Holder {
    fn new(user: UserRow, tenant: &TenantRow) -> Self {
        let standing = match (tenant.disabled_at, user.disabled_at) {
            (Some(_), _) => Standing::TenantDisabled,
            (None, Some(_)) => Standing::UserDisabled,
            (None, None) => Standing::Good,
        };
        Self {
            user: user.id,
            user_name: user.name,
            tenant: tenant.id,
            tenant_name: tenant.name.clone(),
            roles: user.roles,
            teams: user.teams,
            standing,
            tokens_valid_after: user.tokens_valid_after,
        }
    }

    /// The tenant of this user.
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Whether a token issued at this moment was voided with all others of its user.
    pub fn voided(&self, issued_at: Timestamp) -> bool {
        self.tokens_valid_after
            .is_some_and(|valid_after| issued_at < valid_after)
    }

    /// The principal that this credential proves, unless user or tenant are disabled.
    pub fn principal(&self, credential: Credential, session: SessionId) -> Result<Principal, Reason> {
        match self.standing {
            Standing::UserDisabled => Err(Reason::DisabledUser),
            Standing::TenantDisabled => Err(Reason::DisabledTenant),
            Standing::Good => Ok(Principal {
                tenant: self.tenant,
                tenant_name: self.tenant_name.clone(),
                user: self.user,
                user_name: self.user_name.clone(),
                roles: self.roles.clone(),
                teams: self.teams.clone(),
                credential,
                session,
            }),
        }
    }
}
