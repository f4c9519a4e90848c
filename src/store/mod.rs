//! The home of state: who may ask, and what was recorded, in SQLite.
//!
//! Input: typed values. Output: typed rows. Nothing here decides anything, and no statement is built
//! from text at run time. No query runs on the path of a governed request.
//!
//! - [`identity`]: tenants, users, roles, teams, keys, signing keys, revocations.
//! - [`ledger`]: what happened, as the nodes' shippers bring it.

pub mod identity;
pub mod ledger;

use std::str::FromStr;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::migrate::MigrateError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

/// How long a statement waits for another writer.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a caller waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

const CONNECTIONS_MAX: u32 = 8;

/// The store, connected and migrated.
#[derive(Clone, Debug)]
pub struct Store {
    pool: SqlitePool,
}

impl Store {
    /// Opens the database of this URL (`sqlite:data/tollgate.db`), creates it if missing, and migrates it.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::from_str(url)
            .map_err(|source| StoreError::Connect { source })?
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A revocation that was acknowledged must survive a power cut.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options)
            .await
            .map_err(|source| StoreError::Connect { source })?;
        sqlx::migrate!("migrations/sqlite")
            .run(&pool)
            .await
            .map_err(|source| match source {
                MigrateError::VersionMissing(found) => StoreError::Newer { found },
                source => StoreError::Migrate { source },
            })?;
        Ok(Self { pool })
    }

    /// Runs statements by hand: faults and damage for tests of other folders.
    #[cfg(test)]
    pub(crate) async fn run_sql(&self, statements: &'static str) {
        sqlx::raw_sql(statements).execute(&self.pool).await.unwrap();
    }

    /// The first column of a query, all of it numbers.
    #[cfg(test)]
    pub(crate) async fn read_numbers(&self, query: &'static str) -> Vec<i64> {
        sqlx::query_scalar(query).fetch_all(&self.pool).await.unwrap()
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Why the store did not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database could not be opened.
    #[error("the store cannot be opened")]
    Connect {
        /// The driver's reason.
        #[source]
        source: sqlx::Error,
    },
    /// The tables could not be brought to this version.
    #[error("the store cannot be migrated")]
    Migrate {
        /// The driver's reason.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
    /// The tables are of a newer version.
    #[error("the store has tables of version {found}, which this version does not know")]
    Newer {
        /// The number of the first migration that is unknown.
        found: i64,
    },
    /// A statement failed.
    #[error("the store failed to {operation}")]
    Query {
        /// What was being done, as a verb phrase.
        operation: &'static str,
        /// The driver's reason.
        #[source]
        source: sqlx::Error,
    },
    /// A row holds what this version cannot read.
    #[error("the store holds a row that cannot be read: {what}")]
    Unreadable {
        /// Which column of which table.
        what: &'static str,
    },
    /// The row is there already, or another row forbids the change.
    #[error("the change conflicts with what the store holds")]
    Conflict,
    /// There was no row to change.
    #[error("there is nothing to change")]
    NothingChanged,
}

impl StoreError {
    /// Names the operation of a driver's error; constraint violations become [`StoreError::Conflict`].
    fn of(operation: &'static str) -> impl Fn(sqlx::Error) -> Self {
        move |source| {
            let conflicts = source.as_database_error().is_some_and(|error| {
                error.is_unique_violation() || error.is_foreign_key_violation() || error.is_check_violation()
            });
            if conflicts {
                Self::Conflict
            } else {
                Self::Query { operation, source }
            }
        }
    }
}
