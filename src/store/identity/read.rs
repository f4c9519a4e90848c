//! Identity rows: found by name, or all of them at one revision.

use std::collections::HashMap;
use std::str::FromStr;

use sqlx::{Sqlite, Transaction, query_as};

use crate::store::identity::{IdentityRows, KeyRow, RoleRow, SigningKeyRow, TeamRow, TenantRow, UserRow};
use crate::store::{Store, StoreError};
use crate::types::clock::Timestamp;
use crate::types::digest::Sha256;
use crate::types::ids::{
    KeyId, KeyLookup, RoleName, SigningKeyId, TeamName, TenantId, TenantName, TokenId, UserId, UserName,
};

type TenantColumns = (String, String, i64, Option<i64>);
type UserColumns = (String, String, String, i64, Option<i64>, Option<i64>);
type KeyColumns = (
    String,
    String,
    String,
    Vec<u8>,
    String,
    i64,
    Option<i64>,
    Option<i64>,
);

impl Store {
    /// The revision of the identity rows: it rises with every change.
    pub async fn identity_revision(&self) -> Result<i64, StoreError> {
        let (revision,): (i64,) = query_as("SELECT revision FROM identity_revision")
            .fetch_one(&self.pool)
            .await
            .map_err(StoreError::of("read the identity revision"))?;
        Ok(revision)
    }

    /// All rows that identification needs, at one revision.
    pub async fn identity(&self) -> Result<IdentityRows, StoreError> {
        let failed = StoreError::of("read identities");
        // One read transaction sees one state of the database, whoever writes meanwhile.
        let mut transaction = self.pool.begin().await.map_err(&failed)?;
        let (revision,) = query_as("SELECT revision FROM identity_revision")
            .fetch_one(&mut *transaction)
            .await
            .map_err(&failed)?;
        let rows = IdentityRows {
            revision,
            tenants: tenants(&mut transaction).await?,
            users: users(&mut transaction).await?,
            keys: keys(&mut transaction).await?,
            signing_keys: signing_keys(&mut transaction).await?,
            revoked_tokens: revoked_tokens(&mut transaction).await?,
        };
        transaction.commit().await.map_err(&failed)?;
        Ok(rows)
    }

    /// The tenant of this name.
    pub async fn tenant_named(&self, name: &TenantName) -> Result<Option<TenantRow>, StoreError> {
        query_as("SELECT id, name, created_at, disabled_at FROM tenants WHERE name = $1")
            .bind(name.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(StoreError::of("find a tenant"))?
            .map(tenant)
            .transpose()
    }

    /// Two tenants at most, the oldest first: enough to know whether there is exactly one.
    pub async fn first_two_tenants(&self) -> Result<Vec<TenantRow>, StoreError> {
        query_as("SELECT id, name, created_at, disabled_at FROM tenants ORDER BY created_at, id LIMIT 2")
            .fetch_all(&self.pool)
            .await
            .map_err(StoreError::of("list tenants"))?
            .into_iter()
            .map(tenant)
            .collect()
    }

    /// The user of this name in this tenant.
    pub async fn user_named(&self, tenant: TenantId, name: &UserName) -> Result<Option<UserRow>, StoreError> {
        let failed = StoreError::of("find a user");
        let mut transaction = self.pool.begin().await.map_err(&failed)?;
        let found: Option<UserColumns> = query_as(
            "SELECT id, tenant_id, name, created_at, disabled_at, tokens_valid_after \
             FROM users WHERE tenant_id = $1 AND name = $2",
        )
        .bind(tenant.to_string())
        .bind(name.as_str())
        .fetch_optional(&mut *transaction)
        .await
        .map_err(&failed)?;
        let Some(columns) = found else {
            return Ok(None);
        };
        let roles =
            query_as("SELECT user_id, role_name FROM user_roles WHERE user_id = $1 ORDER BY role_name")
                .bind(columns.0.clone())
                .fetch_all(&mut *transaction)
                .await
                .map_err(&failed)?;
        let teams =
            query_as("SELECT user_id, team_name FROM team_members WHERE user_id = $1 ORDER BY team_name")
                .bind(columns.0.clone())
                .fetch_all(&mut *transaction)
                .await
                .map_err(&failed)?;
        user(columns, &mut by_user(roles), &mut by_user(teams)).map(Some)
    }

    /// The tenant that the user of this id belongs to.
    pub async fn tenant_of_user(&self, id: UserId) -> Result<Option<TenantId>, StoreError> {
        let found: Option<(String,)> = query_as("SELECT tenant_id FROM users WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(StoreError::of("find a user's tenant"))?;
        found
            .map(|(tenant,)| parsed(&tenant, "users.tenant_id"))
            .transpose()
    }

    /// The API key of this id.
    pub async fn key(&self, id: KeyId) -> Result<Option<KeyRow>, StoreError> {
        query_as(
            "SELECT id, user_id, lookup, digest, name, created_at, expires_at, revoked_at \
             FROM api_keys WHERE id = $1",
        )
        .bind(id.to_string())
        .fetch_optional(&self.pool)
        .await
        .map_err(StoreError::of("find a key"))?
        .map(key)
        .transpose()
    }

    /// All roles by name.
    pub async fn roles(&self) -> Result<Vec<RoleRow>, StoreError> {
        let rows: Vec<(String, String)> = query_as("SELECT name, description FROM roles ORDER BY name")
            .fetch_all(&self.pool)
            .await
            .map_err(StoreError::of("list roles"))?;
        let role = |(name, description): (String, String)| RoleRow {
            name: RoleName::new(name),
            description,
        };
        Ok(rows.into_iter().map(role).collect())
    }

    /// The teams of a tenant by name.
    pub async fn teams(&self, tenant: TenantId) -> Result<Vec<TeamRow>, StoreError> {
        let rows: Vec<(String, i64, i64)> = query_as(
            "SELECT name, created_at, \
                 (SELECT COUNT(*) FROM team_members \
                  WHERE team_members.tenant_id = teams.tenant_id AND team_name = teams.name) \
             FROM teams WHERE tenant_id = $1 ORDER BY name",
        )
        .bind(tenant.to_string())
        .fetch_all(&self.pool)
        .await
        .map_err(StoreError::of("list teams"))?;
        let team = |(name, created_at, members): (String, i64, i64)| TeamRow {
            name: TeamName::new(name),
            created_at: Timestamp::from_unix_micros(created_at),
            members: members.unsigned_abs(),
        };
        Ok(rows.into_iter().map(team).collect())
    }

    /// The newest signing key in use and its sealed private half.
    pub async fn newest_signing_key(&self) -> Result<Option<(SigningKeyId, Vec<u8>)>, StoreError> {
        let row: Option<(String, Vec<u8>)> = query_as(
            "SELECT id, sealed_private FROM signing_keys WHERE retired_at IS NULL \
             ORDER BY created_at DESC, id DESC LIMIT 1",
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(StoreError::of("find the signing key"))?;
        row.map(|(id, sealed)| Ok((parsed(&id, "signing_keys.id")?, sealed)))
            .transpose()
    }
}

type Reading<'c> = Transaction<'c, Sqlite>;

async fn tenants(reading: &mut Reading<'_>) -> Result<Vec<TenantRow>, StoreError> {
    query_as("SELECT id, name, created_at, disabled_at FROM tenants ORDER BY name")
        .fetch_all(&mut **reading)
        .await
        .map_err(StoreError::of("read tenants"))?
        .into_iter()
        .map(tenant)
        .collect()
}

async fn users(reading: &mut Reading<'_>) -> Result<Vec<UserRow>, StoreError> {
    let failed = StoreError::of("read users");
    let roles = query_as("SELECT user_id, role_name FROM user_roles ORDER BY role_name")
        .fetch_all(&mut **reading)
        .await
        .map_err(&failed)?;
    let teams = query_as("SELECT user_id, team_name FROM team_members ORDER BY team_name")
        .fetch_all(&mut **reading)
        .await
        .map_err(&failed)?;
    let (mut roles, mut teams) = (by_user(roles), by_user(teams));
    query_as(
        "SELECT id, tenant_id, name, created_at, disabled_at, tokens_valid_after \
         FROM users ORDER BY tenant_id, name",
    )
    .fetch_all(&mut **reading)
    .await
    .map_err(&failed)?
    .into_iter()
    .map(|columns| user(columns, &mut roles, &mut teams))
    .collect()
}

async fn keys(reading: &mut Reading<'_>) -> Result<Vec<KeyRow>, StoreError> {
    query_as(
        "SELECT id, user_id, lookup, digest, name, created_at, expires_at, revoked_at \
         FROM api_keys ORDER BY created_at, id",
    )
    .fetch_all(&mut **reading)
    .await
    .map_err(StoreError::of("read keys"))?
    .into_iter()
    .map(key)
    .collect()
}

async fn signing_keys(reading: &mut Reading<'_>) -> Result<Vec<SigningKeyRow>, StoreError> {
    let rows: Vec<(String, Vec<u8>, i64, Option<i64>)> =
        query_as("SELECT id, public_key, created_at, retired_at FROM signing_keys ORDER BY created_at, id")
            .fetch_all(&mut **reading)
            .await
            .map_err(StoreError::of("read signing keys"))?;
    let signing_key = |(id, public_key, created_at, retired_at): (String, Vec<u8>, i64, Option<i64>)| {
        Ok(SigningKeyRow {
            id: parsed(&id, "signing_keys.id")?,
            public_key: sized(&public_key, "signing_keys.public_key")?,
            created_at: Timestamp::from_unix_micros(created_at),
            retired_at: retired_at.map(Timestamp::from_unix_micros),
        })
    };
    rows.into_iter().map(signing_key).collect()
}

async fn revoked_tokens(reading: &mut Reading<'_>) -> Result<Vec<TokenId>, StoreError> {
    let rows: Vec<(String,)> = query_as("SELECT id FROM revoked_tokens")
        .fetch_all(&mut **reading)
        .await
        .map_err(StoreError::of("read revoked tokens"))?;
    rows.iter().map(|(id,)| parsed(id, "revoked_tokens.id")).collect()
}

fn by_user(rows: Vec<(String, String)>) -> HashMap<String, Vec<String>> {
    let mut grouped: HashMap<String, Vec<String>> = HashMap::new();
    for (user, name) in rows {
        grouped.entry(user).or_default().push(name);
    }
    grouped
}

fn tenant((id, name, created_at, disabled_at): TenantColumns) -> Result<TenantRow, StoreError> {
    Ok(TenantRow {
        id: parsed(&id, "tenants.id")?,
        name: TenantName::new(name),
        created_at: Timestamp::from_unix_micros(created_at),
        disabled_at: disabled_at.map(Timestamp::from_unix_micros),
    })
}

fn user(
    (id, tenant, name, created_at, disabled_at, tokens_valid_after): UserColumns,
    roles: &mut HashMap<String, Vec<String>>,
    teams: &mut HashMap<String, Vec<String>>,
) -> Result<UserRow, StoreError> {
    let (roles, teams) = (roles.remove(&id), teams.remove(&id));
    Ok(UserRow {
        id: parsed::<UserId>(&id, "users.id")?,
        tenant: parsed(&tenant, "users.tenant_id")?,
        name: UserName::new(name),
        created_at: Timestamp::from_unix_micros(created_at),
        disabled_at: disabled_at.map(Timestamp::from_unix_micros),
        tokens_valid_after: tokens_valid_after.map(Timestamp::from_unix_micros),
        roles: roles.unwrap_or_default().into_iter().map(RoleName::new).collect(),
        teams: teams.unwrap_or_default().into_iter().map(TeamName::new).collect(),
    })
}

fn key(
    (id, user, lookup, digest, name, created_at, expires_at, revoked_at): KeyColumns,
) -> Result<KeyRow, StoreError> {
    Ok(KeyRow {
        id: parsed(&id, "api_keys.id")?,
        user: parsed(&user, "api_keys.user_id")?,
        lookup: KeyLookup::parse(&lookup).ok_or(StoreError::Unreadable {
            what: "api_keys.lookup",
        })?,
        digest: Sha256::from_bytes(sized(&digest, "api_keys.digest")?),
        name,
        created_at: Timestamp::from_unix_micros(created_at),
        expires_at: expires_at.map(Timestamp::from_unix_micros),
        revoked_at: revoked_at.map(Timestamp::from_unix_micros),
    })
}

fn parsed<T: FromStr>(text: &str, what: &'static str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::Unreadable { what })
}

fn sized<const N: usize>(bytes: &[u8], what: &'static str) -> Result<[u8; N], StoreError> {
    bytes.try_into().map_err(|_| StoreError::Unreadable { what })
}
