//! The two databases: SQLite beside the node, PostgreSQL for a fleet; named by a URL.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Executor, PgPool, SqlitePool};

use crate::store::StoreError;
use crate::types::secret::Secret;

/// How long a caller waits for a free connection, and for a new one to be made.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

const CONNECTIONS_MAX: u32 = 8;

/// How long an SQLite statement waits for another writer.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// What a PostgreSQL server keeps to, should this process fall silent in the middle of a transaction: a
/// replica that hangs must not hold back the others for longer.
const SERVER_LIMITS: &str = "SET statement_timeout = '30s'; SET lock_timeout = '10s'; \
     SET idle_in_transaction_session_timeout = '30s'; SET client_connection_check_interval = '5s'";

/// A pool of connections.
#[derive(Clone, Debug)]
pub(super) enum Database {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Database {
    /// Opens the database of this URL: `sqlite:PATH`, created if missing, or `postgres://…`.
    pub(super) async fn open(url: &str, password: Option<&Secret<String>>) -> Result<Self, StoreError> {
        if url.starts_with("sqlite:") {
            sqlite(url).await
        } else {
            postgres(url, password).await
        }
        .map_err(|source| StoreError::Connect { source })
    }

    /// Closes every connection.
    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

async fn sqlite(url: &str) -> Result<Database, sqlx::Error> {
    let options = SqliteConnectOptions::from_str(url)?
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
        .await?;
    Ok(Database::Sqlite(pool))
}

async fn postgres(url: &str, password: Option<&Secret<String>>) -> Result<Database, sqlx::Error> {
    let options = postgres_options(url, password)?;
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute(SERVER_LIMITS).await?;
                Ok(())
            })
        })
        .connect_with(options)
        .await?;
    Ok(Database::Postgres(pool))
}

/// How to connect. Without a word on TLS in the URL, a server on another machine must prove its name.
fn postgres_options(url: &str, password: Option<&Secret<String>>) -> Result<PgConnectOptions, sqlx::Error> {
    let mut options = PgConnectOptions::from_str(url)?.application_name("tollgate");
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let mut names = query
        .split('&')
        .filter_map(|pair| pair.split_once('=').map(|(name, _)| name));
    if !names.any(|name| name == "sslmode" || name == "ssl-mode") {
        let mode = if is_local(&options) {
            PgSslMode::Prefer
        } else {
            PgSslMode::VerifyFull
        };
        options = options.ssl_mode(mode);
    }
    Ok(match password {
        Some(password) => options.password(password.expose()),
        None => options,
    })
}

/// Whether nobody can stand between us and the server.
fn is_local(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let is_loopback = || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    options.get_socket().is_some() || host == "localhost" || is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_elsewhere_is_verified_unless_the_url_says_otherwise() {
        let mode = |url: &str| {
            let options = postgres_options(url, None).unwrap();
            format!("{:?}", options.get_ssl_mode())
        };
        assert_eq!(mode("postgres://t@db.internal/t"), "VerifyFull");
        assert_eq!(
            mode("postgres://t@db.internal/t?application_name=x"),
            "VerifyFull"
        );
        assert_eq!(mode("postgres://t@10.0.0.7/t?sslmode=disable"), "Disable");
        assert_eq!(mode("postgres://t@127.0.0.1/t"), "Prefer");
        assert_eq!(mode("postgres:///t?host=/run/postgresql"), "Prefer");
    }
}
