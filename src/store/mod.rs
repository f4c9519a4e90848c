//! The home of state: who may ask, and what was recorded, in SQLite or in PostgreSQL.
//!
//! Input: typed values. Output: typed rows. Nothing here decides anything, and no statement is built
//! from text at run time. No query runs on the path of a governed request. One text of a statement serves
//! both databases wherever it can; the tables of PostgreSQL have its native types.
//!
//! - [`identity`]: tenants, users, roles, teams, keys, signing keys, revocations.
//! - [`ledger`]: what happened, as the nodes' shippers bring it.
//! - `database`: the two databases and how they are opened. `schema`: the version of the tables.
//! - `session`: one connection at work. `statement`, `row`: what goes there and what comes back.

mod database;
#[cfg(test)]
pub(crate) mod fixture;
pub mod identity;
pub mod ledger;
mod row;
mod schema;
mod session;
mod statement;

use crate::store::database::Database;
use crate::types::secret::Secret;

/// The store, connected and migrated.
#[derive(Clone, Debug)]
pub struct Store {
    database: Database,
}

impl Store {
    /// Opens the database of this URL (`sqlite:data/tollgate.db`, created if missing, or `postgres://…`) and
    /// brings its tables to our version.
    ///
    /// A server on another machine must prove its name by a certificate, unless the URL says otherwise by
    /// `sslmode`.
    pub async fn connect(url: &str, password: Option<&Secret<String>>) -> Result<Self, StoreError> {
        let database = Database::open(url, password).await?;
        let store = Self { database };
        if let Err(error) = store.migrate().await {
            store.close().await;
            return Err(error);
        }
        Ok(store)
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.database.close().await;
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
    #[error(
        "the store's tables have version {found}, and this version of Tollgate knows {known} at most: \
         run the newer version here too, or restore a backup from before it"
    )]
    Newer {
        /// The number of a migration that is unknown.
        found: i64,
        /// The number of the newest that is known.
        known: i64,
    },
    /// The tables became older while we run.
    #[error(
        "the store's tables have version {found}, and {known} is needed: \
         restart this node, which migrates them"
    )]
    Older {
        /// The number of the newest migration there.
        found: i64,
        /// The number of the newest that is known.
        known: i64,
    },
    /// Another migration of the same number made the tables.
    #[error(
        "the store's tables were made by another build: its migration {version} differs from ours; \
         run the build that made them, or name another database in store.url"
    )]
    Foreign {
        /// The number of the migration.
        version: i64,
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
    /// A statement took too long.
    #[error("the store took too long to {operation}")]
    Deadline {
        /// What was being done, as a verb phrase.
        operation: &'static str,
    },
    /// A row holds what this version cannot read.
    #[error("the store holds a row that cannot be read: {what}")]
    Unreadable {
        /// Which column.
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
    /// Whether the store's tables are not ours to use.
    pub const fn is_of_another_version(&self) -> bool {
        matches!(
            self,
            Self::Newer { .. } | Self::Older { .. } | Self::Foreign { .. }
        )
    }

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
