//! Batches: one transaction each, one statement per table.
//!
//! Rows travel as one JSON list per table, because a statement per row costs more than the row. The text
//! of every statement is fixed.

use serde::Serialize;
use sqlx::{Sqlite, Transaction, query};

use crate::store::ledger::{Batch, Cursor};
use crate::store::{Store, StoreError};

const AUDIT: &str = "
    INSERT INTO audit (
        id, occurred_at, kind, request_id, tenant_id, user_id, session_id, task_id, trace_id,
        context_id, client_id, action, resource, decision, reason, policy_digest,
        cost_microdollars, detail)
    SELECT
        value->>'id', value->>'occurred_at', value->>'kind', value->>'request_id',
        value->>'tenant_id', value->>'user_id', value->>'session_id', value->>'task_id',
        value->>'trace_id', value->>'context_id', value->>'client_id', value->>'action',
        value->>'resource', value->>'decision', value->>'reason', value->>'policy_digest',
        value->>'cost_microdollars', value->>'detail'
    FROM json_each($1) WHERE true
    ON CONFLICT (id) DO NOTHING";

const OPENED: &str = "
    INSERT INTO ai_requests (
        request_id, tenant_id, user_id, credential_kind, credential_id, session_id, trace_id,
        client_session_id, task_id, context_id, client_id, opened_at, requested_model,
        client_dialect, stream, outcome, request_digest, config_generation)
    SELECT
        value->>'request_id', value->>'tenant_id', value->>'user_id', value->>'credential_kind',
        value->>'credential_id', value->>'session_id', value->>'trace_id',
        value->>'client_session_id', value->>'task_id', value->>'context_id', value->>'client_id',
        value->>'opened_at', value->>'requested_model', value->>'client_dialect', value->>'stream',
        value->>'outcome', value->>'request_digest', value->>'config_generation'
    FROM json_each($1) WHERE true
    ON CONFLICT (request_id) DO NOTHING";

/// Only what is open can be closed, and only once: the first close that comes is the right one, because a
/// journal writes another only where it forgot the first.
const CLOSED: &str = "
    UPDATE ai_requests SET
        closed_at = ended.closed_at, served_model = ended.served_model, upstream = ended.upstream,
        attempts = ended.attempts, upstream_dialect = ended.upstream_dialect,
        input_tokens = ended.input_tokens, output_tokens = ended.output_tokens,
        cache_read_tokens = ended.cache_read_tokens,
        cache_write_5m_tokens = ended.cache_write_5m_tokens,
        cache_write_1h_tokens = ended.cache_write_1h_tokens, thinking_tokens = ended.thinking_tokens,
        usage_estimated = ended.usage_estimated, cost_microdollars = ended.cost_microdollars,
        cost_state = ended.cost_state, latency_us = ended.latency_us, ttfb_us = ended.ttfb_us,
        status = ended.status, outcome = ended.outcome, stop_reason = ended.stop_reason,
        error_kind = ended.error_kind, upstream_request_id = ended.upstream_request_id,
        sent_digest = ended.sent_digest, splices = ended.splices, redactions = ended.redactions,
        dropped = ended.dropped
    FROM (
        SELECT
            value->>'request_id' AS request_id, value->>'closed_at' AS closed_at,
            value->>'served_model' AS served_model, value->>'upstream' AS upstream,
            value->>'attempts' AS attempts, value->>'upstream_dialect' AS upstream_dialect,
            value->>'input_tokens' AS input_tokens, value->>'output_tokens' AS output_tokens,
            value->>'cache_read_tokens' AS cache_read_tokens,
            value->>'cache_write_5m_tokens' AS cache_write_5m_tokens,
            value->>'cache_write_1h_tokens' AS cache_write_1h_tokens,
            value->>'thinking_tokens' AS thinking_tokens, value->>'usage_estimated' AS usage_estimated,
            value->>'cost_microdollars' AS cost_microdollars, value->>'cost_state' AS cost_state,
            value->>'latency_us' AS latency_us, value->>'ttfb_us' AS ttfb_us,
            value->>'status' AS status, value->>'outcome' AS outcome,
            value->>'stop_reason' AS stop_reason, value->>'error_kind' AS error_kind,
            value->>'upstream_request_id' AS upstream_request_id, value->>'sent_digest' AS sent_digest,
            value->>'splices' AS splices, value->>'redactions' AS redactions,
            value->>'dropped' AS dropped
        FROM json_each($1)
    ) AS ended
    WHERE ai_requests.request_id = ended.request_id AND ai_requests.outcome = 'open'";

const DECISIONS: &str = "
    INSERT INTO governance_decisions (
        id, request_id, tenant_id, occurred_at, stage, outcome, rule, reason, facts, policy_digest,
        config_generation, duration_us)
    SELECT
        value->>'id', value->>'request_id', value->>'tenant_id', value->>'occurred_at',
        value->>'stage', value->>'outcome', value->>'rule', value->>'reason', value->>'facts',
        value->>'policy_digest', value->>'config_generation', value->>'duration_us'
    FROM json_each($1) WHERE true
    ON CONFLICT (id) DO NOTHING";

const CURSOR: &str = "
    INSERT INTO ledger_cursors (origin, host, node, epoch, size, leaf_hash, shipped_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (origin) DO UPDATE SET
        size = excluded.size, leaf_hash = excluded.leaf_hash, shipped_at = excluded.shipped_at
    WHERE excluded.size > ledger_cursors.size";

impl Store {
    /// Applies a batch and moves its cursor, together or not at all.
    pub async fn apply_ledger(&self, batch: &Batch) -> Result<(), StoreError> {
        let failed = StoreError::of("apply a batch of the ledger");
        let mut transaction = self.pool.begin().await.map_err(&failed)?;
        insert(&mut transaction, AUDIT, &batch.audit).await?;
        insert(&mut transaction, OPENED, &batch.opened).await?;
        insert(&mut transaction, CLOSED, &batch.closed).await?;
        insert(&mut transaction, DECISIONS, &batch.decisions).await?;
        if let Some(cursor) = &batch.cursor {
            advance(&mut transaction, cursor).await.map_err(&failed)?;
        }
        transaction.commit().await.map_err(&failed)
    }
}

async fn insert<T: Serialize>(
    transaction: &mut Transaction<'_, Sqlite>,
    statement: &'static str,
    rows: &[T],
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let list = serde_json::to_string(rows).map_err(|_| StoreError::Unreadable { what: "a ledger row" })?;
    query(statement)
        .bind(list)
        .execute(&mut **transaction)
        .await
        .map_err(StoreError::of("insert rows of the ledger"))?;
    Ok(())
}

async fn advance(transaction: &mut Transaction<'_, Sqlite>, cursor: &Cursor) -> sqlx::Result<()> {
    query(CURSOR)
        .bind(&cursor.origin)
        .bind(&cursor.host)
        .bind(&cursor.node)
        .bind(cursor.epoch)
        .bind(cursor.size)
        .bind(&cursor.leaf_hash)
        .bind(cursor.shipped_at)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}
