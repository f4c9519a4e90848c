//! A site for a store in tests: an SQLite file, or a database of PostgreSQL where `TOLLGATE_TEST_STORE` says so.

#[path = "../../tests/postgres/mod.rs"]
#[expect(
    clippy::disallowed_methods,
    reason = "tests are chosen by a variable and start a server by themselves"
)]
#[expect(dead_code, reason = "the integration tests use all of it")]
mod postgres;

use sqlx::Executor as _;

use crate::store::Store;
use crate::store::database::Database;

/// An empty site; removed when dropped.
pub(crate) enum Site {
    Sqlite(tempfile::TempDir),
    Postgres(postgres::Database),
}

impl Site {
    pub(crate) fn new() -> Self {
        if postgres::is_chosen() {
            Self::Postgres(postgres::Database::new())
        } else {
            Self::Sqlite(tempfile::tempdir().unwrap())
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(directory) => format!("sqlite:{}", directory.path().join("t.db").display()),
            Self::Postgres(database) => database.url(),
        }
    }

    /// All that the database holds: its files, or its rows as text.
    pub(crate) fn contents(&self) -> Vec<Vec<u8>> {
        match self {
            Self::Sqlite(directory) => {
                let files = std::fs::read_dir(directory.path()).unwrap();
                files
                    .map(|file| std::fs::read(file.unwrap().path()).unwrap())
                    .collect()
            }
            Self::Postgres(database) => {
                let rows = database.psql("SELECT database_to_xml(true, true, '')");
                vec![rows.into_bytes()]
            }
        }
    }

    pub(crate) async fn connect(&self) -> Store {
        Store::connect(&self.url(), None).await.unwrap()
    }
}

impl Store {
    /// Runs statements by hand: faults and damage.
    pub(crate) async fn run_sql(&self, statements: &'static str) {
        match &self.database {
            Database::Sqlite(pool) => {
                pool.execute(sqlx::raw_sql(statements)).await.unwrap();
            }
            Database::Postgres(pool) => {
                pool.execute(sqlx::raw_sql(statements)).await.unwrap();
            }
        }
    }

    /// The first column of a query, all of it numbers.
    pub(crate) async fn read_numbers(&self, query: &'static str) -> Vec<i64> {
        match &self.database {
            Database::Sqlite(pool) => sqlx::query_scalar(query).fetch_all(pool).await.unwrap(),
            Database::Postgres(pool) => sqlx::query_scalar(query).fetch_all(pool).await.unwrap(),
        }
    }

    /// The first column of a query, all of it text.
    pub(crate) async fn read_texts(&self, query: &'static str) -> Vec<String> {
        match &self.database {
            Database::Sqlite(pool) => sqlx::query_scalar(query).fetch_all(pool).await.unwrap(),
            Database::Postgres(pool) => sqlx::query_scalar(query).fetch_all(pool).await.unwrap(),
        }
    }

    /// Makes every move of a cursor fail, until [`Store::mend_cursors`].
    pub(crate) async fn break_cursors(&self) {
        match &self.database {
            Database::Sqlite(_) => {
                self.run_sql(
                    "CREATE TRIGGER fault BEFORE INSERT ON ledger_cursors
                     BEGIN SELECT RAISE(ABORT, 'fault'); END",
                )
                .await;
            }
            Database::Postgres(_) => {
                self.run_sql(
                    "CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS
                         $$ BEGIN RAISE EXCEPTION 'fault'; END $$;
                     CREATE TRIGGER fault BEFORE INSERT ON ledger_cursors
                         FOR EACH ROW EXECUTE FUNCTION fault()",
                )
                .await;
            }
        }
    }

    /// Ends what [`Store::break_cursors`] began.
    pub(crate) async fn mend_cursors(&self) {
        match &self.database {
            Database::Sqlite(_) => self.run_sql("DROP TRIGGER fault").await,
            Database::Postgres(_) => self.run_sql("DROP FUNCTION fault CASCADE").await,
        }
    }
}
