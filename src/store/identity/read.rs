//! Identity rows: found by name, or all of them at one revision.

use std::collections::HashMap;

use uuid::Uuid;

use crate::store::identity::{IdentityRows, KeyRow, RoleRow, SigningKeyRow, TeamRow, TenantRow, UserRow};
use crate::store::row::Row;
use crate::store::schema;
use crate::store::session::{Mode, Session};
use crate::store::statement::Statement;
use crate::store::{Store, StoreError};
use crate::types::digest::Sha256;
use crate::types::ids::{
    KeyId, KeyLookup, RoleName, SigningKeyId, TeamName, TenantId, TenantName, TokenId, UserId, UserName,
};

/// The revision with the version of the tables that it was read from.
const REVISION: Statement = Statement::of(
    "SELECT revision, (SELECT max(version) FROM _sqlx_migrations) AS version FROM identity_revision",
);

/// The names that belong to each user, sorted.
type ByUser = HashMap<Uuid, Vec<String>>;

impl Store {
    /// The revision of the identity rows: it rises with every change.
    ///
    /// Fails while the tables are of another version than ours.
    pub async fn identity_revision(&self) -> Result<i64, StoreError> {
        let rows = self.rows("read the identity revision", REVISION).await?;
        revision(rows.first())
    }

    /// All rows that identification needs, at one revision.
    pub async fn identity(&self) -> Result<IdentityRows, StoreError> {
        let mut session = self.session(Mode::Reading, "read identities").await?;
        let revision = revision(session.rows(REVISION).await?.first())?;
        let rows = IdentityRows {
            revision,
            tenants: tenants(&mut session).await?,
            users: users(&mut session).await?,
            keys: keys(&mut session).await?,
            signing_keys: signing_keys(&mut session).await?,
            revoked_tokens: revoked_tokens(&mut session).await?,
        };
        session.end().await?;
        Ok(rows)
    }

    /// The tenant of this name.
    pub async fn tenant_named(&self, name: &TenantName) -> Result<Option<TenantRow>, StoreError> {
        let find = Statement::of("SELECT id, name, created_at, disabled_at FROM tenants WHERE name = $1")
            .bind(name.as_str());
        let rows = self.rows("find a tenant", find).await?;
        rows.first().map(tenant).transpose()
    }

    /// Two tenants at most, the oldest first: enough to know whether there is exactly one.
    pub async fn first_two_tenants(&self) -> Result<Vec<TenantRow>, StoreError> {
        let list = Statement::of(
            "SELECT id, name, created_at, disabled_at FROM tenants ORDER BY created_at, id LIMIT 2",
        );
        let rows = self.rows("list tenants", list).await?;
        rows.iter().map(tenant).collect()
    }

    /// The user of this name in this tenant.
    pub async fn user_named(&self, tenant: TenantId, name: &UserName) -> Result<Option<UserRow>, StoreError> {
        let mut session = self.session(Mode::Reading, "find a user").await?;
        let find = Statement::of(
            "SELECT id, tenant_id, name, created_at, disabled_at, tokens_valid_after \
             FROM users WHERE tenant_id = $1 AND name = $2",
        );
        let found = session
            .rows(find.bind(tenant.as_uuid()).bind(name.as_str()))
            .await?;
        let found = match found.first() {
            None => None,
            Some(row) => {
                let id = row.id("id")?;
                let roles = Statement::of(
                    "SELECT user_id, role_name AS name FROM user_roles WHERE user_id = $1 ORDER BY role_name",
                );
                let teams = Statement::of(
                    "SELECT user_id, team_name AS name FROM team_members WHERE user_id = $1 ORDER BY team_name",
                );
                let mut roles = by_user(&session.rows(roles.bind(id)).await?)?;
                let mut teams = by_user(&session.rows(teams.bind(id)).await?)?;
                Some(user(row, &mut roles, &mut teams)?)
            }
        };
        session.end().await?;
        Ok(found)
    }

    /// The tenant that the user of this id belongs to.
    pub async fn tenant_of_user(&self, id: UserId) -> Result<Option<TenantId>, StoreError> {
        let find = Statement::of("SELECT tenant_id FROM users WHERE id = $1").bind(id.as_uuid());
        let rows = self.rows("find a user's tenant", find).await?;
        let tenant = rows.first().map(|row| row.id("tenant_id")).transpose()?;
        Ok(tenant.map(TenantId::from_uuid))
    }

    /// The API key of this id.
    pub async fn key(&self, id: KeyId) -> Result<Option<KeyRow>, StoreError> {
        let find = Statement::of(
            "SELECT id, user_id, lookup, digest, name, created_at, expires_at, revoked_at \
             FROM api_keys WHERE id = $1",
        );
        let rows = self.rows("find a key", find.bind(id.as_uuid())).await?;
        rows.first().map(key).transpose()
    }

    /// All roles by name.
    pub async fn roles(&self) -> Result<Vec<RoleRow>, StoreError> {
        let list = Statement::of("SELECT name, description FROM roles ORDER BY name");
        let role = |row: &Row| {
            Ok(RoleRow {
                name: RoleName::new(row.get::<String>("name")?),
                description: row.get("description")?,
            })
        };
        self.rows("list roles", list).await?.iter().map(role).collect()
    }

    /// The teams of a tenant by name.
    pub async fn teams(&self, tenant: TenantId) -> Result<Vec<TeamRow>, StoreError> {
        let list = Statement::of(
            "SELECT name, created_at, \
                 (SELECT COUNT(*) FROM team_members \
                  WHERE team_members.tenant_id = teams.tenant_id AND team_name = teams.name) AS members \
             FROM teams WHERE tenant_id = $1 ORDER BY name",
        );
        let team = |row: &Row| {
            Ok(TeamRow {
                name: TeamName::new(row.get::<String>("name")?),
                created_at: row.get("created_at")?,
                members: row.get::<i64>("members")?.unsigned_abs(),
            })
        };
        let rows = self.rows("list teams", list.bind(tenant.as_uuid())).await?;
        rows.iter().map(team).collect()
    }

    /// The newest signing key in use and its sealed private half.
    pub async fn newest_signing_key(&self) -> Result<Option<(SigningKeyId, Vec<u8>)>, StoreError> {
        let find = Statement::of(
            "SELECT id, sealed_private FROM signing_keys WHERE retired_at IS NULL \
             ORDER BY created_at DESC, id DESC LIMIT 1",
        );
        let rows = self.rows("find the signing key", find).await?;
        let key = |row: &Row| Ok((SigningKeyId::from_uuid(row.id("id")?), row.get("sealed_private")?));
        rows.first().map(key).transpose()
    }
}

fn revision(row: Option<&Row>) -> Result<i64, StoreError> {
    let row = row.ok_or(StoreError::Unreadable {
        what: "identity_revision",
    })?;
    schema::expect(row.get("version")?)?;
    row.get("revision")
}

async fn tenants(reading: &mut Session) -> Result<Vec<TenantRow>, StoreError> {
    let list = Statement::of("SELECT id, name, created_at, disabled_at FROM tenants ORDER BY name");
    reading.rows(list).await?.iter().map(tenant).collect()
}

async fn users(reading: &mut Session) -> Result<Vec<UserRow>, StoreError> {
    let roles = Statement::of("SELECT user_id, role_name AS name FROM user_roles ORDER BY role_name");
    let teams = Statement::of("SELECT user_id, team_name AS name FROM team_members ORDER BY team_name");
    let mut roles = by_user(&reading.rows(roles).await?)?;
    let mut teams = by_user(&reading.rows(teams).await?)?;
    let list = Statement::of(
        "SELECT id, tenant_id, name, created_at, disabled_at, tokens_valid_after \
         FROM users ORDER BY tenant_id, name",
    );
    let rows = reading.rows(list).await?;
    rows.iter().map(|row| user(row, &mut roles, &mut teams)).collect()
}

async fn keys(reading: &mut Session) -> Result<Vec<KeyRow>, StoreError> {
    let list = Statement::of(
        "SELECT id, user_id, lookup, digest, name, created_at, expires_at, revoked_at \
         FROM api_keys ORDER BY created_at, id",
    );
    reading.rows(list).await?.iter().map(key).collect()
}

async fn signing_keys(reading: &mut Session) -> Result<Vec<SigningKeyRow>, StoreError> {
    let list = Statement::of(
        "SELECT id, public_key, created_at, retired_at FROM signing_keys ORDER BY created_at, id",
    );
    let signing_key = |row: &Row| {
        Ok(SigningKeyRow {
            id: SigningKeyId::from_uuid(row.id("id")?),
            public_key: sized(row, "public_key")?,
            created_at: row.get("created_at")?,
            retired_at: row.get("retired_at")?,
        })
    };
    reading.rows(list).await?.iter().map(signing_key).collect()
}

async fn revoked_tokens(reading: &mut Session) -> Result<Vec<TokenId>, StoreError> {
    let rows = reading
        .rows(Statement::of("SELECT id FROM revoked_tokens"))
        .await?;
    rows.iter()
        .map(|row| row.id("id").map(TokenId::from_uuid))
        .collect()
}

fn by_user(rows: &[Row]) -> Result<ByUser, StoreError> {
    let mut grouped = ByUser::new();
    for row in rows {
        let names = grouped.entry(row.id("user_id")?).or_default();
        names.push(row.get("name")?);
    }
    Ok(grouped)
}

fn tenant(row: &Row) -> Result<TenantRow, StoreError> {
    Ok(TenantRow {
        id: TenantId::from_uuid(row.id("id")?),
        name: TenantName::new(row.get::<String>("name")?),
        created_at: row.get("created_at")?,
        disabled_at: row.get("disabled_at")?,
    })
}

fn user(row: &Row, roles: &mut ByUser, teams: &mut ByUser) -> Result<UserRow, StoreError> {
    let id = row.id("id")?;
    let (roles, teams) = (roles.remove(&id), teams.remove(&id));
    Ok(UserRow {
        id: UserId::from_uuid(id),
        tenant: TenantId::from_uuid(row.id("tenant_id")?),
        name: UserName::new(row.get::<String>("name")?),
        created_at: row.get("created_at")?,
        disabled_at: row.get("disabled_at")?,
        tokens_valid_after: row.get("tokens_valid_after")?,
        roles: roles.unwrap_or_default().into_iter().map(RoleName::new).collect(),
        teams: teams.unwrap_or_default().into_iter().map(TeamName::new).collect(),
    })
}

fn key(row: &Row) -> Result<KeyRow, StoreError> {
    Ok(KeyRow {
        id: KeyId::from_uuid(row.id("id")?),
        user: UserId::from_uuid(row.id("user_id")?),
        lookup: KeyLookup::parse(&row.get::<String>("lookup")?)
            .ok_or(StoreError::Unreadable { what: "lookup" })?,
        digest: Sha256::from_bytes(sized(row, "digest")?),
        name: row.get("name")?,
        created_at: row.get("created_at")?,
        expires_at: row.get("expires_at")?,
        revoked_at: row.get("revoked_at")?,
    })
}

fn sized<const N: usize>(row: &Row, column: &'static str) -> Result<[u8; N], StoreError> {
    let bytes: Vec<u8> = row.get(column)?;
    let unreadable = |_| StoreError::Unreadable { what: column };
    bytes.try_into().map_err(unreadable)
}
