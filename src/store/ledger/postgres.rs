//! The rows of a batch in PostgreSQL: one statement per table, whose rows travel as one JSON list.

use memchr::memmem;
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgConnection, query};

use crate::store::ledger::Batch;

/// Columns that hold JSON as text.
const EMBEDDED: [&str; 5] = ["detail", "attempts", "dropped", "facts", "usage_detail"];

const AUDIT: &str = "
    INSERT INTO audit (
        id, occurred_at, kind, request_id, tenant_id, user_id, session_id, task_id, trace_id,
        context_id, client_id, action, resource, decision, reason, policy_digest, cost_microdollars,
        detail)
    SELECT
        id, 'epoch'::timestamptz + occurred_at * interval '1 microsecond', kind, request_id, tenant_id,
        user_id, session_id, task_id, trace_id, context_id, client_id, action, resource, decision,
        reason, policy_digest, cost_microdollars, detail::jsonb
    FROM json_to_recordset($1::json) AS list (
        id uuid, occurred_at bigint, kind text, request_id uuid, tenant_id uuid, user_id uuid,
        session_id text, task_id text, trace_id text, context_id text, client_id text, action text,
        resource text, decision text, reason text, policy_digest text, cost_microdollars bigint,
        detail text)
    ON CONFLICT (id) DO NOTHING";

/// A request whose open and close come together is one row. Only what is open can be closed, and only once.
const REQUESTS: &str = "
    INSERT INTO ai_requests (
        request_id, tenant_id, user_id, credential_kind, credential_id, session_id, trace_id,
        client_session_id, task_id, context_id, client_id, opened_at, requested_model, client_dialect,
        stream, request_digest, config_generation, closed_at, served_model, upstream, attempts,
        upstream_dialect, input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens,
        cache_write_1h_tokens, thinking_tokens, usage_estimated, cost_microdollars, cost_state,
        latency_us, ttfb_us, status, outcome, stop_reason, error_kind, upstream_request_id, sent_digest,
        splices, redactions, dropped, service_tier, usage_detail)
    SELECT DISTINCT ON (request_id)
        request_id, tenant_id, user_id, credential_kind, credential_id, session_id, trace_id,
        client_session_id, task_id, context_id, client_id,
        'epoch'::timestamptz + opened_at * interval '1 microsecond', requested_model, client_dialect,
        stream, request_digest, config_generation,
        'epoch'::timestamptz + closed_at * interval '1 microsecond', served_model, upstream,
        attempts::jsonb, upstream_dialect, input_tokens, output_tokens, cache_read_tokens,
        cache_write_5m_tokens, cache_write_1h_tokens, thinking_tokens, usage_estimated,
        cost_microdollars, cost_state, latency_us, ttfb_us, status, outcome, stop_reason, error_kind,
        upstream_request_id, sent_digest, splices, redactions, dropped::jsonb, service_tier,
        usage_detail::jsonb
    FROM json_to_recordset($1::json) AS list (
        request_id uuid, tenant_id uuid, user_id uuid, credential_kind text, credential_id uuid,
        session_id text, trace_id text, client_session_id text, task_id text, context_id text,
        client_id text, opened_at bigint, requested_model text, client_dialect text, stream boolean,
        request_digest text, config_generation bigint, closed_at bigint, served_model text,
        upstream text, attempts text, upstream_dialect text, input_tokens bigint, output_tokens bigint,
        cache_read_tokens bigint, cache_write_5m_tokens bigint, cache_write_1h_tokens bigint,
        thinking_tokens bigint, usage_estimated boolean, cost_microdollars bigint, cost_state text,
        latency_us bigint, ttfb_us bigint, status bigint, outcome text, stop_reason text,
        error_kind text, upstream_request_id text, sent_digest text, splices bigint, redactions bigint,
        dropped text, service_tier text, usage_detail text)
    ON CONFLICT (request_id) DO UPDATE SET
        closed_at = excluded.closed_at, served_model = excluded.served_model,
        upstream = excluded.upstream, attempts = excluded.attempts,
        upstream_dialect = excluded.upstream_dialect, input_tokens = excluded.input_tokens,
        output_tokens = excluded.output_tokens, cache_read_tokens = excluded.cache_read_tokens,
        cache_write_5m_tokens = excluded.cache_write_5m_tokens,
        cache_write_1h_tokens = excluded.cache_write_1h_tokens,
        thinking_tokens = excluded.thinking_tokens, usage_estimated = excluded.usage_estimated,
        cost_microdollars = excluded.cost_microdollars, cost_state = excluded.cost_state,
        latency_us = excluded.latency_us, ttfb_us = excluded.ttfb_us, status = excluded.status,
        outcome = excluded.outcome, stop_reason = excluded.stop_reason,
        error_kind = excluded.error_kind, upstream_request_id = excluded.upstream_request_id,
        sent_digest = excluded.sent_digest, splices = excluded.splices,
        redactions = excluded.redactions, dropped = excluded.dropped,
        service_tier = excluded.service_tier, usage_detail = excluded.usage_detail
    WHERE ai_requests.outcome = 'open'";

/// Closes of requests that were opened in an earlier batch.
const CLOSED: &str = "
    UPDATE ai_requests SET
        closed_at = 'epoch'::timestamptz + ended.closed_at * interval '1 microsecond',
        served_model = ended.served_model, upstream = ended.upstream, attempts = ended.attempts::jsonb,
        upstream_dialect = ended.upstream_dialect, input_tokens = ended.input_tokens,
        output_tokens = ended.output_tokens, cache_read_tokens = ended.cache_read_tokens,
        cache_write_5m_tokens = ended.cache_write_5m_tokens,
        cache_write_1h_tokens = ended.cache_write_1h_tokens, thinking_tokens = ended.thinking_tokens,
        usage_estimated = ended.usage_estimated, cost_microdollars = ended.cost_microdollars,
        cost_state = ended.cost_state, latency_us = ended.latency_us, ttfb_us = ended.ttfb_us,
        status = ended.status, outcome = ended.outcome, stop_reason = ended.stop_reason,
        error_kind = ended.error_kind, upstream_request_id = ended.upstream_request_id,
        sent_digest = ended.sent_digest, splices = ended.splices, redactions = ended.redactions,
        dropped = ended.dropped::jsonb, service_tier = ended.service_tier,
        usage_detail = ended.usage_detail::jsonb
    FROM json_to_recordset($1::json) AS ended (
        request_id uuid, closed_at bigint, served_model text, upstream text, attempts text,
        upstream_dialect text, input_tokens bigint, output_tokens bigint, cache_read_tokens bigint,
        cache_write_5m_tokens bigint, cache_write_1h_tokens bigint, thinking_tokens bigint,
        usage_estimated boolean, cost_microdollars bigint, cost_state text, latency_us bigint,
        ttfb_us bigint, status bigint, outcome text, stop_reason text, error_kind text,
        upstream_request_id text, sent_digest text, splices bigint, redactions bigint, dropped text,
        service_tier text, usage_detail text)
    WHERE ai_requests.request_id = ended.request_id AND ai_requests.outcome = 'open'";

const DECISIONS: &str = "
    INSERT INTO governance_decisions (
        id, request_id, tenant_id, occurred_at, stage, outcome, rule, reason, facts, policy_digest,
        config_generation, duration_us)
    SELECT
        id, request_id, tenant_id, 'epoch'::timestamptz + occurred_at * interval '1 microsecond', stage,
        outcome, rule, reason, facts::jsonb, policy_digest, config_generation, duration_us
    FROM json_to_recordset($1::json) AS list (
        id uuid, request_id uuid, tenant_id uuid, occurred_at bigint, stage text, outcome text,
        rule text, reason text, facts text, policy_digest text, config_generation bigint,
        duration_us bigint)
    ON CONFLICT (id) DO NOTHING";

/// Writes the rows of a batch.
pub(super) async fn write(connection: &mut PgConnection, batch: &Batch) -> sqlx::Result<()> {
    run(connection, AUDIT, &batch.audit).await?;
    run(connection, REQUESTS, &batch.requests).await?;
    run(connection, CLOSED, &batch.closed).await?;
    run(connection, DECISIONS, &batch.decisions).await
}

async fn run<T: Serialize>(
    connection: &mut PgConnection,
    statement: &'static str,
    rows: &[T],
) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let list = list(rows).map_err(|error| sqlx::Error::Encode(error.into()))?;
    query(statement).bind(list).execute(connection).await?;
    Ok(())
}

/// Rows as a JSON list. Text of PostgreSQL cannot hold the character NUL, in which a client may name its
/// model: one such row would hold back all that follow. The replacement character stands in its place.
fn list<T: Serialize>(rows: &[T]) -> Result<String, serde_json::Error> {
    let list = serde_json::to_string(rows)?;
    if memmem::find(list.as_bytes(), b"\\u0000").is_none() {
        return Ok(list);
    }
    let mut rows: Value = serde_json::from_str(&list)?;
    for row in rows.as_array_mut().into_iter().flatten() {
        for (name, field) in row.as_object_mut().into_iter().flatten() {
            let embedded = EMBEDDED.contains(&name.as_str());
            let Value::String(text) = field else { continue };
            if embedded && let Ok(mut inner) = serde_json::from_str(text) {
                replace_nul(&mut inner);
                *text = inner.to_string();
            } else {
                *text = without_nul(text);
            }
        }
    }
    serde_json::to_string(&rows)
}

fn replace_nul(value: &mut Value) {
    match value {
        Value::String(text) => *text = without_nul(text),
        Value::Array(list) => list.iter_mut().for_each(replace_nul),
        Value::Object(fields) => {
            let renamed = std::mem::take(fields).into_iter().map(|(name, mut field)| {
                replace_nul(&mut field);
                (without_nul(&name), field)
            });
            *fields = renamed.collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
