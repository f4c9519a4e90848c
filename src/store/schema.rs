//! The version of the tables: brought to ours at the start, and confirmed before anything is written.
//!
//! A database is touched only where its tables are older than ours. Replicas that start at once take turns
//! by an advisory lock of PostgreSQL. Tables that are newer, or that another migration of the same number
//! made, are never served: not at the start, and not when a newer replica migrates them later.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use tokio::time::timeout;

use crate::store::database::Database;
use crate::store::session::{Mode, Session};
use crate::store::statement::Statement;
use crate::store::{Store, StoreError};

static FOR_SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static FOR_POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// How long the start waits for migrations, its own or those of another replica.
const MIGRATE_DEADLINE: Duration = Duration::from_secs(600);

/// Whether the tables are there; where they are not, nothing was ever migrated.
const IS_FOUNDED: Statement = Statement::each(
    "SELECT count(*) AS founded FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'",
    "SELECT count(to_regclass('_sqlx_migrations')) AS founded",
);

impl Store {
    /// Brings the tables to our version, or says why they cannot be served.
    pub(super) async fn migrate(&self) -> Result<(), StoreError> {
        if self.is_current().await? {
            return Ok(());
        }
        let migrated = timeout(MIGRATE_DEADLINE, self.run_migrations()).await;
        migrated.map_err(|_| StoreError::Deadline {
            operation: "migrate the store",
        })?
    }

    /// Whether there is nothing to migrate.
    async fn is_current(&self) -> Result<bool, StoreError> {
        let mut session = self
            .session(Mode::Reading, "read the version of the tables")
            .await?;
        let founded = session.rows(IS_FOUNDED).await?;
        let is_founded = founded.first().map(|row| row.get::<i64>("founded")).transpose()? == Some(1);
        let mut current = false;
        if is_founded {
            let applied = session
                .rows(Statement::of(
                    "SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version",
                ))
                .await?;
            let applied = applied
                .iter()
                .map(|row| Ok((row.get("version")?, row.get("checksum")?)))
                .collect::<Result<Vec<(i64, Vec<u8>)>, StoreError>>()?;
            current = compare(&applied, self.migrator())?;
        }
        session.end().await?;
        Ok(current)
    }

    async fn run_migrations(&self) -> Result<(), StoreError> {
        let done = match &self.database {
            Database::Sqlite(pool) => FOR_SQLITE.run(pool).await,
            Database::Postgres(pool) => {
                // A connection of its own: it waits for other replicas longer than a statement may, and takes
                // the lock with it if it fails.
                let source = |source| StoreError::Connect { source };
                let mut connection = pool.acquire().await.map_err(source)?.detach();
                sqlx::raw_sql("SET statement_timeout = 0; SET lock_timeout = 0")
                    .execute(&mut connection)
                    .await
                    .map_err(source)?;
                FOR_POSTGRES.run_direct(None, &mut connection, false).await
            }
        };
        done.map_err(|source| match source {
            MigrateError::VersionMissing(found) => StoreError::Newer {
                found,
                known: newest(self.migrator()),
            },
            MigrateError::VersionMismatch(version) => StoreError::Foreign { version },
            source => StoreError::Migrate { source },
        })
    }

    const fn migrator(&self) -> &'static Migrator {
        match self.database {
            Database::Sqlite(_) => &FOR_SQLITE,
            Database::Postgres(_) => &FOR_POSTGRES,
        }
    }
}

/// Whether what was applied is exactly ours.
fn compare(applied: &[(i64, Vec<u8>)], ours: &Migrator) -> Result<bool, StoreError> {
    for (version, checksum) in applied {
        match ours.iter().find(|migration| migration.version == *version) {
            None => {
                return Err(StoreError::Newer {
                    found: *version,
                    known: newest(ours),
                });
            }
            Some(migration) if *migration.checksum != **checksum => {
                return Err(StoreError::Foreign { version: *version });
            }
            Some(_) => {}
        }
    }
    Ok(applied.len() == ours.iter().count())
}

fn newest(migrator: &Migrator) -> i64 {
    migrator
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0)
}

/// Refuses tables that are not of our version any more: another replica may have migrated them, or a backup
/// may have come back.
pub(super) async fn confirm(session: &mut Session) -> Result<(), StoreError> {
    let rows = session
        .rows(Statement::of(
            "SELECT max(version) AS version FROM _sqlx_migrations",
        ))
        .await?;
    let found = rows.first().map(|row| row.get("version")).transpose()?;
    expect(found)
}

/// Refuses any version but ours; both databases count the same.
pub(super) fn expect(found: Option<i64>) -> Result<(), StoreError> {
    let known = newest(&FOR_POSTGRES);
    let found = found.unwrap_or(0);
    match found.cmp(&known) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(StoreError::Newer { found, known }),
        std::cmp::Ordering::Less => Err(StoreError::Older { found, known }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_databases_have_the_same_versions() {
        let versions = |migrator: &Migrator| -> Vec<(i64, String)> {
            let migrations = migrator.iter();
            migrations
                .map(|migration| (migration.version, migration.description.to_string()))
                .collect()
        };
        assert_eq!(versions(&FOR_SQLITE), versions(&FOR_POSTGRES));
    }
}
