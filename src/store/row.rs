//! Rows of either database, read by the names of their columns.

use sqlx::decode::Decode;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgRow, PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::sqlite::{SqliteRow, SqliteTypeInfo, SqliteValueRef};
use sqlx::{Postgres, Row as _, Sqlite, Type};
use uuid::Uuid;

use crate::store::StoreError;
use crate::store::statement::POSTGRES_EPOCH;
use crate::types::clock::Timestamp;

/// The first byte of `jsonb` on the wire.
const JSONB_VERSION: u8 = 1;

/// A row.
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// What a column of both databases can be read as.
pub(super) trait Column:
    Type<Sqlite> + Type<Postgres> + for<'r> Decode<'r, Sqlite> + for<'r> Decode<'r, Postgres>
{
}

impl<T> Column for T where
    T: Type<Sqlite> + Type<Postgres> + for<'r> Decode<'r, Sqlite> + for<'r> Decode<'r, Postgres>
{
}

impl Row {
    /// The value of a column.
    pub(super) fn get<T: Column>(&self, column: &'static str) -> Result<T, StoreError> {
        let value = match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        };
        value.map_err(|_| StoreError::Unreadable { what: column })
    }

    /// The id in a column.
    pub(super) fn id(&self, column: &'static str) -> Result<Uuid, StoreError> {
        Ok(self.get::<Id>(column)?.0)
    }

    /// The id in a column, as text.
    pub(super) fn id_text(&self, column: &'static str) -> Result<String, StoreError> {
        Ok(self.id(column)?.to_string())
    }

    /// The id in a column that may have none, as text.
    pub(super) fn id_text_if_any(&self, column: &'static str) -> Result<Option<String>, StoreError> {
        Ok(self.get::<Option<Id>>(column)?.map(|id| id.0.to_string()))
    }

    /// The moment in a column, in microseconds since 1970.
    pub(super) fn micros(&self, column: &'static str) -> Result<i64, StoreError> {
        Ok(self.get::<Timestamp>(column)?.unix_micros())
    }

    /// The moment in a column that may have none, in microseconds since 1970.
    pub(super) fn micros_if_any(&self, column: &'static str) -> Result<Option<i64>, StoreError> {
        Ok(self.get::<Option<Timestamp>>(column)?.map(Timestamp::unix_micros))
    }

    /// The JSON in a column, as text.
    pub(super) fn json(&self, column: &'static str) -> Result<String, StoreError> {
        Ok(self.get::<Json>(column)?.0)
    }

    /// The JSON in a column that may have none, as text.
    pub(super) fn json_if_any(&self, column: &'static str) -> Result<Option<String>, StoreError> {
        Ok(self.get::<Option<Json>>(column)?.map(|json| json.0))
    }
}

/// `TEXT` and `uuid`.
struct Id(Uuid);

impl Type<Sqlite> for Id {
    fn type_info() -> SqliteTypeInfo {
        <String as Type<Sqlite>>::type_info()
    }
}

impl Type<Postgres> for Id {
    fn type_info() -> PgTypeInfo {
        <Uuid as Type<Postgres>>::type_info()
    }
}

impl Decode<'_, Sqlite> for Id {
    fn decode(value: SqliteValueRef<'_>) -> Result<Self, BoxDynError> {
        Ok(Self(<&str as Decode<'_, Sqlite>>::decode(value)?.parse()?))
    }
}

impl Decode<'_, Postgres> for Id {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        <Uuid as Decode<'_, Postgres>>::decode(value).map(Self)
    }
}

impl Type<Sqlite> for Timestamp {
    fn type_info() -> SqliteTypeInfo {
        <i64 as Type<Sqlite>>::type_info()
    }
}

impl Type<Postgres> for Timestamp {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("timestamptz")
    }
}

impl Decode<'_, Sqlite> for Timestamp {
    fn decode(value: SqliteValueRef<'_>) -> Result<Self, BoxDynError> {
        <i64 as Decode<'_, Sqlite>>::decode(value).map(Self::from_unix_micros)
    }
}

impl Decode<'_, Postgres> for Timestamp {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let micros = <i64 as Decode<'_, Postgres>>::decode(value)?;
        Ok(Self::from_unix_micros(micros.saturating_add(POSTGRES_EPOCH)))
    }
}

/// `TEXT` and `jsonb`, as text.
struct Json(String);

impl Type<Sqlite> for Json {
    fn type_info() -> SqliteTypeInfo {
        <String as Type<Sqlite>>::type_info()
    }
}

impl Type<Postgres> for Json {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("jsonb")
    }
}

impl Decode<'_, Sqlite> for Json {
    fn decode(value: SqliteValueRef<'_>) -> Result<Self, BoxDynError> {
        <String as Decode<'_, Sqlite>>::decode(value).map(Self)
    }
}

impl Decode<'_, Postgres> for Json {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let bytes = value.as_bytes()?;
        let text = match (value.format(), bytes.split_first()) {
            (PgValueFormat::Binary, Some((&JSONB_VERSION, text))) => text,
            (PgValueFormat::Text, _) => bytes,
            (PgValueFormat::Binary, _) => return Err("jsonb of an unknown version".into()),
        };
        Ok(Self(std::str::from_utf8(text)?.to_owned()))
    }
}
