//! The ledger for people and for starting nodes.

use sqlx::{FromRow, Row, query, query_as};

use crate::store::ledger::{AuditRow, Cursor, DecisionRow, RequestRow};
use crate::store::{Store, StoreError};

/// The most rows that one look at the tail gives.
pub const TAIL_ROWS_MAX: u32 = 10_000;

/// A place in the order in which rows came here. It means nothing in another store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TailPlace(i64);

/// Everything about one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRecord {
    /// Its row, where it was made to a model API.
    pub request: Option<RequestRow>,
    /// Its audit rows, oldest first.
    pub audit: Vec<AuditRow>,
    /// Its decisions, in the order of the stages.
    pub decisions: Vec<DecisionRow>,
}

impl Store {
    /// How far this history has come.
    pub async fn ledger_cursor(&self, origin: &str) -> Result<Option<Cursor>, StoreError> {
        query_as("SELECT * FROM ledger_cursors WHERE origin = $1")
            .bind(origin)
            .fetch_optional(&self.pool)
            .await
            .map_err(StoreError::of("read a cursor of the ledger"))
    }

    /// The newest history of a node, and how far it has come.
    pub async fn newest_ledger_cursor(&self, host: &str, node: &str) -> Result<Option<Cursor>, StoreError> {
        query_as("SELECT * FROM ledger_cursors WHERE host = $1 AND node = $2 ORDER BY epoch DESC LIMIT 1")
            .bind(host)
            .bind(node)
            .fetch_optional(&self.pool)
            .await
            .map_err(StoreError::of("read the newest cursor of the ledger"))
    }

    /// The newest audit rows, oldest first; with `after`, the first ones that came after that place.
    pub async fn ledger_tail(
        &self,
        after: Option<TailPlace>,
        limit: u32,
    ) -> Result<Vec<(TailPlace, AuditRow)>, StoreError> {
        let failed = StoreError::of("read the tail of the ledger");
        let limit = limit.min(TAIL_ROWS_MAX);
        // The table's own row numbers tell the order of arrival, which no column does: nodes ship late.
        let rows = match after {
            Some(TailPlace(place)) => {
                query("SELECT rowid AS place, * FROM audit WHERE rowid > $1 ORDER BY rowid LIMIT $2")
                    .bind(place)
            }
            None => query(
                "SELECT * FROM (SELECT rowid AS place, * FROM audit WHERE rowid > $1
                 ORDER BY rowid DESC LIMIT $2) ORDER BY place",
            )
            .bind(-1_i64),
        };
        let rows = rows.bind(limit).fetch_all(&self.pool).await.map_err(&failed)?;
        let entry = |row| Ok((TailPlace(Row::try_get(row, "place")?), AuditRow::from_row(row)?));
        rows.iter().map(entry).collect::<Result<_, _>>().map_err(&failed)
    }

    /// Everything about one request; nothing when no row names it.
    pub async fn ledger_request(&self, request_id: &str) -> Result<Option<RequestRecord>, StoreError> {
        let failed = StoreError::of("read a request of the ledger");
        // One transaction, so that the rows belong together.
        let mut transaction = self.pool.begin().await.map_err(&failed)?;
        let request = query_as("SELECT * FROM ai_requests WHERE request_id = $1")
            .bind(request_id)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(&failed)?;
        let audit: Vec<AuditRow> =
            query_as("SELECT * FROM audit WHERE request_id = $1 ORDER BY occurred_at, id")
                .bind(request_id)
                .fetch_all(&mut *transaction)
                .await
                .map_err(&failed)?;
        let decisions =
            query_as("SELECT * FROM governance_decisions WHERE request_id = $1 ORDER BY occurred_at, id")
                .bind(request_id)
                .fetch_all(&mut *transaction)
                .await
                .map_err(&failed)?;
        Ok((request.is_some() || !audit.is_empty()).then_some(RequestRecord {
            request,
            audit,
            decisions,
        }))
    }
}
