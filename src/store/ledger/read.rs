//! The ledger for people and for starting nodes.

use uuid::Uuid;

use crate::store::ledger::{AuditRow, Cursor, DecisionRow, RequestRow};
use crate::store::row::Row;
use crate::store::session::Mode;
use crate::store::statement::Statement;
use crate::store::{Store, StoreError};
use crate::types::clock::Timestamp;
use crate::types::ids::RequestId;

/// The most rows that one look at the tail gives.
pub const TAIL_ROWS_MAX: u32 = 10_000;

/// A place in the tail. It means nothing in another store.
///
/// In SQLite, the one node's rows have numbers that tell their order of arrival. In PostgreSQL the order is
/// that of the moments: a row that a node brings late, after an outage, comes before places that were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailPlace {
    arrival: i64,
    moment: Timestamp,
    id: Uuid,
}

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
        let find = Statement::of("SELECT * FROM ledger_cursors WHERE origin = $1").bind(origin);
        let rows = self.rows("read a cursor of the ledger", find).await?;
        rows.first().map(cursor).transpose()
    }

    /// The newest history of a node, and how far it has come.
    pub async fn newest_ledger_cursor(&self, host: &str, node: &str) -> Result<Option<Cursor>, StoreError> {
        let find = Statement::of(
            "SELECT * FROM ledger_cursors WHERE host = $1 AND node = $2 ORDER BY epoch DESC LIMIT 1",
        );
        let rows = self
            .rows("read the newest cursor of the ledger", find.bind(host).bind(node))
            .await?;
        rows.first().map(cursor).transpose()
    }

    /// The newest audit rows, oldest first; with `after`, the first ones that came after that place.
    pub async fn ledger_tail(
        &self,
        after: Option<TailPlace>,
        limit: u32,
    ) -> Result<Vec<(TailPlace, AuditRow)>, StoreError> {
        let limit = i64::from(limit.min(TAIL_ROWS_MAX));
        let statement = match after {
            Some(place) => Statement::each(
                "SELECT rowid AS place, * FROM audit WHERE rowid > $1 ORDER BY rowid LIMIT $4",
                "SELECT $1 AS place, * FROM audit WHERE (occurred_at, id) > ($2, $3)
                 ORDER BY occurred_at, id LIMIT $4",
            )
            .bind(place.arrival)
            .bind(place.moment)
            .bind(place.id)
            .bind(limit),
            None => Statement::each(
                "SELECT * FROM (SELECT rowid AS place, * FROM audit ORDER BY rowid DESC LIMIT $1)
                 ORDER BY place",
                "SELECT * FROM (SELECT 0::bigint AS place, * FROM audit
                 ORDER BY occurred_at DESC, id DESC LIMIT $1) AS newest ORDER BY occurred_at, id",
            )
            .bind(limit),
        };
        let rows = self.rows("read the tail of the ledger", statement).await?;
        let entry = |row: &Row| {
            let place = TailPlace {
                arrival: row.get("place")?,
                moment: row.get("occurred_at")?,
                id: row.id("id")?,
            };
            Ok((place, audit(row)?))
        };
        rows.iter().map(entry).collect()
    }

    /// Everything about one request; nothing when no row names it.
    pub async fn ledger_request(&self, request: RequestId) -> Result<Option<RequestRecord>, StoreError> {
        let id = request.as_uuid();
        // One transaction, so that the rows belong together.
        let mut session = self
            .session(Mode::Reading, "read a request of the ledger")
            .await?;
        let found = session
            .rows(Statement::of("SELECT * FROM ai_requests WHERE request_id = $1").bind(id))
            .await?;
        let audit_rows = session
            .rows(
                Statement::of("SELECT * FROM audit WHERE request_id = $1 ORDER BY occurred_at, id").bind(id),
            )
            .await?;
        let decisions = session
            .rows(
                Statement::of(
                    "SELECT * FROM governance_decisions WHERE request_id = $1 ORDER BY occurred_at, id",
                )
                .bind(id),
            )
            .await?;
        session.end().await?;
        if found.is_empty() && audit_rows.is_empty() {
            return Ok(None);
        }
        Ok(Some(RequestRecord {
            request: found.first().map(ai_request).transpose()?,
            audit: audit_rows.iter().map(audit).collect::<Result<_, _>>()?,
            decisions: decisions.iter().map(decision).collect::<Result<_, _>>()?,
        }))
    }
}

fn cursor(row: &Row) -> Result<Cursor, StoreError> {
    Ok(Cursor {
        origin: row.get("origin")?,
        host: row.get("host")?,
        node: row.get("node")?,
        epoch: row.get("epoch")?,
        size: row.get("size")?,
        leaf_hash: row.get("leaf_hash")?,
        shipped_at: row.micros("shipped_at")?,
    })
}

fn audit(row: &Row) -> Result<AuditRow, StoreError> {
    Ok(AuditRow {
        id: row.id_text("id")?,
        occurred_at: row.micros("occurred_at")?,
        kind: row.get("kind")?,
        request_id: row.id_text_if_any("request_id")?,
        tenant_id: row.id_text_if_any("tenant_id")?,
        user_id: row.id_text_if_any("user_id")?,
        session_id: row.get("session_id")?,
        task_id: row.get("task_id")?,
        trace_id: row.get("trace_id")?,
        context_id: row.get("context_id")?,
        client_id: row.get("client_id")?,
        action: row.get("action")?,
        resource: row.get("resource")?,
        decision: row.get("decision")?,
        reason: row.get("reason")?,
        policy_digest: row.get("policy_digest")?,
        cost_microdollars: row.get("cost_microdollars")?,
        detail: row.json("detail")?,
    })
}

fn ai_request(row: &Row) -> Result<RequestRow, StoreError> {
    Ok(RequestRow {
        request_id: row.id_text("request_id")?,
        tenant_id: row.id_text_if_any("tenant_id")?,
        user_id: row.id_text_if_any("user_id")?,
        credential_kind: row.get("credential_kind")?,
        credential_id: row.id_text_if_any("credential_id")?,
        session_id: row.get("session_id")?,
        trace_id: row.get("trace_id")?,
        client_session_id: row.get("client_session_id")?,
        task_id: row.get("task_id")?,
        context_id: row.get("context_id")?,
        client_id: row.get("client_id")?,
        opened_at: row.micros("opened_at")?,
        closed_at: row.micros_if_any("closed_at")?,
        requested_model: row.get("requested_model")?,
        served_model: row.get("served_model")?,
        upstream: row.get("upstream")?,
        attempts: row.json_if_any("attempts")?,
        client_dialect: row.get("client_dialect")?,
        upstream_dialect: row.get("upstream_dialect")?,
        stream: row.get("stream")?,
        input_tokens: row.get("input_tokens")?,
        output_tokens: row.get("output_tokens")?,
        cache_read_tokens: row.get("cache_read_tokens")?,
        cache_write_5m_tokens: row.get("cache_write_5m_tokens")?,
        cache_write_1h_tokens: row.get("cache_write_1h_tokens")?,
        thinking_tokens: row.get("thinking_tokens")?,
        service_tier: row.get("service_tier")?,
        usage_detail: row.json_if_any("usage_detail")?,
        usage_estimated: row.get("usage_estimated")?,
        cost_microdollars: row.get("cost_microdollars")?,
        cost_state: row.get("cost_state")?,
        latency_us: row.get("latency_us")?,
        ttfb_us: row.get("ttfb_us")?,
        status: row.get("status")?,
        outcome: row.get("outcome")?,
        stop_reason: row.get("stop_reason")?,
        error_kind: row.get("error_kind")?,
        upstream_request_id: row.get("upstream_request_id")?,
        request_digest: row.get("request_digest")?,
        sent_digest: row.get("sent_digest")?,
        splices: row.get("splices")?,
        redactions: row.get("redactions")?,
        dropped: row.json_if_any("dropped")?,
        config_generation: row.get("config_generation")?,
    })
}

fn decision(row: &Row) -> Result<DecisionRow, StoreError> {
    Ok(DecisionRow {
        id: row.id_text("id")?,
        request_id: row.id_text("request_id")?,
        tenant_id: row.id_text_if_any("tenant_id")?,
        occurred_at: row.micros("occurred_at")?,
        stage: row.get("stage")?,
        outcome: row.get("outcome")?,
        rule: row.get("rule")?,
        reason: row.get("reason")?,
        facts: row.json_if_any("facts")?,
        policy_digest: row.get("policy_digest")?,
        config_generation: row.get("config_generation")?,
        duration_us: row.get("duration_us")?,
    })
}
