//! Statements: a fixed text and the values of its parameters, for either database.
//!
//! Nearly every text serves both. A value knows its column's type in each: an id is text in SQLite and
//! `uuid` in PostgreSQL, a moment a count of microseconds and `timestamptz`.

use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgTypeInfo};
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Postgres, Sqlite, Type};
use uuid::Uuid;

use crate::types::clock::Timestamp;

/// 2000-01-01T00:00:00Z, from which PostgreSQL counts, in microseconds since 1970.
pub(super) const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

/// A statement that is ready to be run.
pub(super) struct Statement {
    sqlite: &'static str,
    postgres: &'static str,
    values: Vec<Value>,
}

/// The value of a parameter.
pub(super) enum Value {
    /// An id.
    Id(Uuid),
    /// A moment, or none.
    Moment(Option<Timestamp>),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A number.
    Number(i64),
}

impl Statement {
    /// A text that both databases understand.
    pub(super) const fn of(text: &'static str) -> Self {
        Self::each(text, text)
    }

    /// A text for each database, where they differ.
    pub(super) const fn each(sqlite: &'static str, postgres: &'static str) -> Self {
        Self {
            sqlite,
            postgres,
            values: Vec::new(),
        }
    }

    /// The value of the next parameter.
    pub(super) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    pub(super) fn for_sqlite(self) -> Query<'static, Sqlite, SqliteArguments> {
        let query = sqlx::query(self.sqlite);
        self.values.into_iter().fold(query, |query, value| match value {
            Value::Id(id) => query.bind(id.to_string()),
            Value::Moment(moment) => query.bind(moment.map(Timestamp::unix_micros)),
            Value::Text(text) => query.bind(text),
            Value::Bytes(bytes) => query.bind(bytes),
            Value::Number(number) => query.bind(number),
        })
    }

    pub(super) fn for_postgres(self) -> Query<'static, Postgres, PgArguments> {
        let query = sqlx::query(self.postgres);
        self.values.into_iter().fold(query, |query, value| match value {
            Value::Id(id) => query.bind(id),
            Value::Moment(moment) => query.bind(moment.map(Moment)),
            Value::Text(text) => query.bind(text),
            Value::Bytes(bytes) => query.bind(bytes),
            Value::Number(number) => query.bind(number),
        })
    }
}

/// A parameter of the type `timestamptz`: 64 bits, microseconds since 2000.
struct Moment(Timestamp);

impl Type<Postgres> for Moment {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("timestamptz")
    }
}

impl Encode<'_, Postgres> for Moment {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let micros = self.0.unix_micros().saturating_sub(POSTGRES_EPOCH);
        <i64 as Encode<'_, Postgres>>::encode(micros, buffer)
    }
}

impl From<Uuid> for Value {
    fn from(id: Uuid) -> Self {
        Self::Id(id)
    }
}

impl From<Timestamp> for Value {
    fn from(moment: Timestamp) -> Self {
        Self::Moment(Some(moment))
    }
}

impl From<Option<Timestamp>> for Value {
    fn from(moment: Option<Timestamp>) -> Self {
        Self::Moment(moment)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}
