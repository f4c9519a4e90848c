//! One connection for one piece of work.
//!
//! A session that does not come to its end, because a statement failed, its deadline passed or nobody
//! waits any more, takes its connection with it: closing it is what rolls back, and a connection to a
//! server that has gone silent never returns to the pool.

use std::future::Future;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Executor, PgConnection, Postgres, Sqlite, SqliteConnection};
use tokio::time::timeout;

use crate::store::database::Database;
use crate::store::row::Row;
use crate::store::statement::Statement;
use crate::store::{Store, StoreError, schema};

/// How long one statement may take, the way there and back included.
pub(super) const STATEMENT_DEADLINE: Duration = Duration::from_secs(30);

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Statements that each stand alone.
    Plain,
    /// Statements that see one state of the database, whoever writes meanwhile.
    Reading,
    /// A transaction that writes.
    Writing,
}

/// A connection at work.
pub(super) struct Session {
    operation: &'static str,
    mode: Mode,
    /// None once the session has ended well.
    connection: Option<Connection>,
}

enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

/// A driver's connection.
pub(super) enum Raw<'a> {
    Sqlite(&'a mut SqliteConnection),
    Postgres(&'a mut PgConnection),
}

impl Store {
    /// Begins a piece of work; `operation` names it in errors. Nothing is written into tables of another
    /// version than ours.
    pub(super) async fn session(&self, mode: Mode, operation: &'static str) -> Result<Session, StoreError> {
        let failed = StoreError::of(operation);
        // Waiting here ends with the pool's own deadline.
        let connection = match &self.database {
            Database::Sqlite(pool) => Connection::Sqlite(pool.acquire().await.map_err(&failed)?),
            Database::Postgres(pool) => Connection::Postgres(pool.acquire().await.map_err(&failed)?),
        };
        let mut session = Session {
            operation,
            mode,
            connection: Some(connection),
        };
        match mode {
            Mode::Plain => {}
            Mode::Reading => {
                session
                    .command("BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                    .await?;
            }
            Mode::Writing => {
                session.command("BEGIN IMMEDIATE", "BEGIN").await?;
                schema::confirm(&mut session).await?;
            }
        }
        Ok(session)
    }

    /// The rows of one statement that stands alone.
    pub(super) async fn rows(
        &self,
        operation: &'static str,
        statement: Statement,
    ) -> Result<Vec<Row>, StoreError> {
        let mut session = self.session(Mode::Plain, operation).await?;
        let rows = session.rows(statement).await?;
        session.end().await?;
        Ok(rows)
    }
}

impl Session {
    /// Runs a statement; returns how many rows it touched.
    pub(super) async fn execute(&mut self, statement: Statement) -> Result<u64, StoreError> {
        let operation = self.operation;
        match self.connection()? {
            Connection::Sqlite(connection) => {
                let done = connection.execute(statement.for_sqlite());
                Ok(in_time(operation, done).await?.rows_affected())
            }
            Connection::Postgres(connection) => {
                let done = connection.execute(statement.for_postgres());
                Ok(in_time(operation, done).await?.rows_affected())
            }
        }
    }

    /// The rows that a statement gives.
    pub(super) async fn rows(&mut self, statement: Statement) -> Result<Vec<Row>, StoreError> {
        let operation = self.operation;
        match self.connection()? {
            Connection::Sqlite(connection) => {
                let found = connection.fetch_all(statement.for_sqlite());
                let rows = in_time(operation, found).await?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            Connection::Postgres(connection) => {
                let found = connection.fetch_all(statement.for_postgres());
                let rows = in_time(operation, found).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    /// Ends the work well: a transaction is committed, and the connection serves others.
    pub(super) async fn end(mut self) -> Result<(), StoreError> {
        if self.mode != Mode::Plain {
            self.command("COMMIT", "COMMIT").await?;
        }
        self.release();
        Ok(())
    }

    /// Ends a transaction that changed nothing after all; the connection serves others.
    pub(super) async fn abandon(mut self) -> Result<(), StoreError> {
        self.command("ROLLBACK", "ROLLBACK").await?;
        self.release();
        Ok(())
    }

    fn release(&mut self) {
        // Dropped whole, the connection returns to its pool.
        drop(self.connection.take());
    }

    /// Runs a command of transactions.
    async fn command(&mut self, sqlite: &'static str, postgres: &'static str) -> Result<(), StoreError> {
        let operation = self.operation;
        match self.connection()? {
            Connection::Sqlite(connection) => {
                let done = connection.execute(sqlx::raw_sql(sqlite));
                in_time(operation, done).await?;
            }
            Connection::Postgres(connection) => {
                let done = connection.execute(sqlx::raw_sql(postgres));
                in_time(operation, done).await?;
            }
        }
        Ok(())
    }

    /// The connection itself, for what no [`Statement`] can say; its caller keeps the deadline.
    pub(super) fn raw(&mut self) -> Result<Raw<'_>, StoreError> {
        Ok(match self.connection()? {
            Connection::Sqlite(connection) => Raw::Sqlite(connection),
            Connection::Postgres(connection) => Raw::Postgres(connection),
        })
    }

    fn connection(&mut self) -> Result<&mut Connection, StoreError> {
        let operation = self.operation;
        self.connection.as_mut().ok_or(StoreError::Query {
            operation,
            source: sqlx::Error::PoolClosed,
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        match self.connection.take() {
            None => {}
            Some(Connection::Sqlite(connection)) => drop(connection.detach()),
            Some(Connection::Postgres(connection)) => drop(connection.detach()),
        }
    }
}

/// Waits for a statement, [`STATEMENT_DEADLINE`] long at most.
pub(super) async fn in_time<T>(
    operation: &'static str,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, StoreError> {
    match timeout(STATEMENT_DEADLINE, work).await {
        Ok(done) => done.map_err(StoreError::of(operation)),
        Err(_) => Err(StoreError::Deadline { operation }),
    }
}
