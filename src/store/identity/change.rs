//! Every change to identity rows, as data; applied together or not at all.

use crate::store::session::{Mode, Session};
use crate::store::statement::Statement;
use crate::store::{Store, StoreError};
use crate::types::clock::Timestamp;
use crate::types::digest::Sha256;
use crate::types::ids::{
    KeyId, KeyLookup, RoleName, SigningKeyId, TeamName, TenantId, TenantName, TokenId, UserId, UserName,
};

/// One change: which row, and what happens to it.
#[derive(Clone, Debug)]
pub enum Change {
    /// A tenant changes.
    Tenant(TenantId, TenantChange),
    /// A user changes.
    User(UserId, UserChange),
    /// A team changes.
    Team(TenantId, TeamName, TeamChange),
    /// An API key changes.
    Key(KeyId, KeyChange),
    /// A key that signs tokens changes.
    SigningKey(SigningKeyId, SigningKeyChange),
    /// The token is void; by this moment it has expired anyway.
    RevokeToken(TokenId, Timestamp),
}

/// What happens to a tenant.
#[derive(Clone, Debug)]
pub enum TenantChange {
    /// It is new.
    Create(TenantName),
    /// Nobody of it may ask any more.
    Disable,
    /// It may ask again.
    Enable,
}

/// What happens to a user.
#[derive(Clone, Debug)]
pub enum UserChange {
    /// It is new, without roles or teams.
    Create(TenantId, UserName),
    /// It may not ask any more.
    Disable,
    /// It may ask again.
    Enable,
    /// It has a role more.
    Grant(RoleName),
    /// It has a role less.
    Withdraw(RoleName),
    /// All its tokens that were issued until now are void.
    RevokeTokens,
}

/// What happens to a team.
#[derive(Clone, Debug)]
pub enum TeamChange {
    /// It is new, without members.
    Create,
    /// It has a member more.
    Add(UserId),
    /// It has a member less.
    Remove(UserId),
}

/// What happens to an API key.
#[derive(Clone, Debug)]
pub enum KeyChange {
    /// It is new.
    Create {
        /// Whose key it is.
        user: UserId,
        /// Its public part.
        lookup: KeyLookup,
        /// SHA-256 of the whole key.
        digest: Sha256,
        /// What its owner calls it.
        name: String,
        /// From when on it is void.
        expires_at: Option<Timestamp>,
    },
    /// It is void.
    Revoke,
}

/// What happens to a key that signs tokens.
#[derive(Clone, Debug)]
pub enum SigningKeyChange {
    /// It is new.
    Create {
        /// Ed25519 public key.
        public_key: [u8; 32],
        /// The private half, as the vault sealed it.
        sealed_private: Vec<u8>,
    },
    /// It signs no more; what it signed stays valid until it expires.
    Retire,
}

impl Store {
    /// Applies the changes in one transaction, at this moment, and raises the identity revision.
    ///
    /// [`StoreError::NothingChanged`]: one of them found no row to alter. [`StoreError::Conflict`]: a name is
    /// taken, or a row that one of them refers to is missing. In both cases nothing at all is changed.
    pub async fn change_identity(&self, changes: &[Change], now: Timestamp) -> Result<(), StoreError> {
        let mut session = self.session(Mode::Writing, "change identity").await?;
        match apply(&mut session, changes, now).await {
            Ok(()) => session.end().await,
            Err(error @ (StoreError::Conflict | StoreError::NothingChanged)) => {
                session.abandon().await?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }
}

async fn apply(session: &mut Session, changes: &[Change], now: Timestamp) -> Result<(), StoreError> {
    for change in changes {
        if session.execute(change.statement(now)).await? == 0 {
            return Err(StoreError::NothingChanged);
        }
    }
    session
        .execute(Statement::of("DELETE FROM revoked_tokens WHERE valid_until < $1").bind(now))
        .await?;
    session
        .execute(Statement::of(
            "UPDATE identity_revision SET revision = revision + 1 WHERE only_row = 1",
        ))
        .await?;
    Ok(())
}

impl Change {
    fn statement(&self, now: Timestamp) -> Statement {
        match self {
            Self::Tenant(id, change) => change.statement(*id, now),
            Self::User(id, change) => change.statement(*id, now),
            Self::Team(tenant, name, change) => change.statement(*tenant, name, now),
            Self::Key(id, change) => change.statement(*id, now),
            Self::SigningKey(id, change) => change.statement(*id, now),
            Self::RevokeToken(id, valid_until) => Statement::of(
                "INSERT INTO revoked_tokens (id, revoked_at, valid_until) VALUES ($1, $2, $3) \
                 ON CONFLICT (id) DO UPDATE SET valid_until = excluded.valid_until",
            )
            .bind(id.as_uuid())
            .bind(now)
            .bind(*valid_until),
        }
    }
}

impl TenantChange {
    fn statement(&self, id: TenantId, now: Timestamp) -> Statement {
        match self {
            Self::Create(name) => {
                Statement::of("INSERT INTO tenants (id, created_at, name) VALUES ($1, $2, $3)")
                    .bind(id.as_uuid())
                    .bind(now)
                    .bind(name.as_str())
            }
            Self::Disable => {
                Statement::of("UPDATE tenants SET disabled_at = $2 WHERE id = $1 AND disabled_at IS NULL")
                    .bind(id.as_uuid())
                    .bind(now)
            }
            Self::Enable => Statement::of(
                "UPDATE tenants SET disabled_at = NULL WHERE id = $1 AND disabled_at IS NOT NULL",
            )
            .bind(id.as_uuid()),
        }
    }
}

impl UserChange {
    fn statement(&self, id: UserId, now: Timestamp) -> Statement {
        let sql = match self {
            Self::Create(..) => "INSERT INTO users (id, created_at, tenant_id, name) VALUES ($1, $2, $3, $4)",
            Self::Disable => "UPDATE users SET disabled_at = $2 WHERE id = $1 AND disabled_at IS NULL",
            Self::Enable => "UPDATE users SET disabled_at = NULL WHERE id = $1 AND disabled_at IS NOT NULL",
            Self::Grant(_) => {
                "INSERT INTO user_roles (user_id, role_name) VALUES ($1, $2) ON CONFLICT DO NOTHING"
            }
            Self::Withdraw(_) => "DELETE FROM user_roles WHERE user_id = $1 AND role_name = $2",
            Self::RevokeTokens => return void_tokens(id, now),
        };
        let statement = Statement::of(sql).bind(id.as_uuid());
        match self {
            Self::Create(tenant, name) => statement.bind(now).bind(tenant.as_uuid()).bind(name.as_str()),
            Self::Disable => statement.bind(now),
            Self::Grant(role) | Self::Withdraw(role) => statement.bind(role.as_str()),
            Self::Enable | Self::RevokeTokens => statement,
        }
    }
}

/// Tokens carry whole seconds. The next whole second voids all tokens of this one, and a second call within
/// it moves on by one more, past tokens issued in between.
fn void_tokens(id: UserId, now: Timestamp) -> Statement {
    let next_second = now.unix_seconds().saturating_add(1).saturating_mul(1_000_000);
    Statement::each(
        "UPDATE users SET tokens_valid_after = CASE \
             WHEN tokens_valid_after >= $2 THEN tokens_valid_after + 1000000 \
             ELSE $2 END \
         WHERE id = $1",
        "UPDATE users SET tokens_valid_after = CASE \
             WHEN tokens_valid_after >= $2 THEN tokens_valid_after + interval '1 second' \
             ELSE $2 END \
         WHERE id = $1",
    )
    .bind(id.as_uuid())
    .bind(Timestamp::from_unix_micros(next_second))
}

impl TeamChange {
    fn statement(&self, tenant: TenantId, team: &TeamName, now: Timestamp) -> Statement {
        let sql = match self {
            Self::Create => "INSERT INTO teams (tenant_id, name, created_at) VALUES ($1, $2, $3)",
            Self::Add(_) => {
                "INSERT INTO team_members (tenant_id, team_name, user_id) VALUES ($1, $2, $3) \
                 ON CONFLICT DO NOTHING"
            }
            Self::Remove(_) => {
                "DELETE FROM team_members WHERE tenant_id = $1 AND team_name = $2 AND user_id = $3"
            }
        };
        let statement = Statement::of(sql).bind(tenant.as_uuid()).bind(team.as_str());
        match self {
            Self::Create => statement.bind(now),
            Self::Add(user) | Self::Remove(user) => statement.bind(user.as_uuid()),
        }
    }
}

impl KeyChange {
    fn statement(&self, id: KeyId, now: Timestamp) -> Statement {
        match self {
            Self::Create {
                user,
                lookup,
                digest,
                name,
                expires_at,
            } => Statement::of(
                "INSERT INTO api_keys (id, created_at, user_id, lookup, digest, name, expires_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(id.as_uuid())
            .bind(now)
            .bind(user.as_uuid())
            .bind(lookup.as_str())
            .bind(digest.as_bytes().to_vec())
            .bind(name.clone())
            .bind(*expires_at),
            Self::Revoke => {
                Statement::of("UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL")
                    .bind(id.as_uuid())
                    .bind(now)
            }
        }
    }
}

impl SigningKeyChange {
    fn statement(&self, id: SigningKeyId, now: Timestamp) -> Statement {
        match self {
            Self::Create {
                public_key,
                sealed_private,
            } => Statement::of(
                "INSERT INTO signing_keys (id, created_at, public_key, sealed_private) \
                 VALUES ($1, $2, $3, $4)",
            )
            .bind(id.as_uuid())
            .bind(now)
            .bind(public_key.to_vec())
            .bind(sealed_private.clone()),
            Self::Retire => {
                Statement::of("UPDATE signing_keys SET retired_at = $2 WHERE id = $1 AND retired_at IS NULL")
                    .bind(id.as_uuid())
                    .bind(now)
            }
        }
    }
}
