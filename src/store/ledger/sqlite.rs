//! The rows of a batch in SQLite: a few statements per table.
//!
//! A statement takes many rows, because a statement per row costs more than the row; how many is one of a
//! few fixed numbers, so that the driver finds it prepared.

use sqlx::query_builder::Separated;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::store::ledger::{AuditRow, Batch, DecisionRow, RequestRow};

/// How many rows a statement may take, most first.
const ROWS_PER_STATEMENT: [usize; 3] = [32, 8, 1];

const AUDIT: Statement = Statement {
    before: "
    INSERT INTO audit (
        id, occurred_at, kind, request_id, tenant_id, user_id, session_id, task_id, trace_id,
        context_id, client_id, action, resource, decision, reason, policy_digest,
        cost_microdollars, detail) ",
    after: " ON CONFLICT (id) DO NOTHING",
};

/// A request whose open and close come together is one row. Only what is open can be closed, and only once:
/// the first close that comes is the right one, because a journal writes another only where it forgot the
/// first.
const REQUESTS: Statement = Statement {
    before: "
    INSERT INTO ai_requests (
        request_id, tenant_id, user_id, credential_kind, credential_id, session_id, trace_id,
        client_session_id, task_id, context_id, client_id, opened_at, requested_model,
        client_dialect, stream, request_digest, config_generation,
        closed_at, served_model, upstream, attempts, upstream_dialect, input_tokens, output_tokens,
        cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, thinking_tokens,
        usage_estimated, cost_microdollars, cost_state, latency_us, ttfb_us, status, outcome,
        stop_reason, error_kind, upstream_request_id, sent_digest, splices, redactions, dropped,
        service_tier, usage_detail) ",
    after: "
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
    WHERE ai_requests.outcome = 'open'",
};

/// Closes of requests that were opened in an earlier batch.
const CLOSED: Statement = Statement {
    before: "
    UPDATE ai_requests SET
        closed_at = ended.column2, served_model = ended.column3, upstream = ended.column4,
        attempts = ended.column5, upstream_dialect = ended.column6, input_tokens = ended.column7,
        output_tokens = ended.column8, cache_read_tokens = ended.column9,
        cache_write_5m_tokens = ended.column10, cache_write_1h_tokens = ended.column11,
        thinking_tokens = ended.column12, usage_estimated = ended.column13,
        cost_microdollars = ended.column14, cost_state = ended.column15, latency_us = ended.column16,
        ttfb_us = ended.column17, status = ended.column18, outcome = ended.column19,
        stop_reason = ended.column20, error_kind = ended.column21,
        upstream_request_id = ended.column22, sent_digest = ended.column23, splices = ended.column24,
        redactions = ended.column25, dropped = ended.column26, service_tier = ended.column27,
        usage_detail = ended.column28
    FROM (",
    after: ") AS ended WHERE ai_requests.request_id = ended.column1 AND ai_requests.outcome = 'open'",
};

const DECISIONS: Statement = Statement {
    before: "
    INSERT INTO governance_decisions (
        id, request_id, tenant_id, occurred_at, stage, outcome, rule, reason, facts, policy_digest,
        config_generation, duration_us) ",
    after: " ON CONFLICT (id) DO NOTHING",
};

/// Writes the rows of a batch.
pub(super) async fn write(connection: &mut SqliteConnection, batch: &Batch) -> sqlx::Result<()> {
    AUDIT.run(connection, &batch.audit, bind_audit).await?;
    REQUESTS
        .run(connection, &batch.requests, |values, row| {
            bind_opened(values, row);
            bind_closed(values, row);
        })
        .await?;
    CLOSED
        .run(connection, &batch.closed, |values, row| {
            values.push_bind(&row.request_id);
            bind_closed(values, row);
        })
        .await?;
    DECISIONS.run(connection, &batch.decisions, bind_decision).await
}

/// A statement around a list of values.
struct Statement {
    before: &'static str,
    after: &'static str,
}

/// The values of one row.
type Values<'a> = Separated<'a, Sqlite, &'static str>;

impl Statement {
    async fn run<T>(
        &self,
        connection: &mut SqliteConnection,
        rows: &[T],
        bind: impl Fn(&mut Values<'_>, &T),
    ) -> sqlx::Result<()> {
        let mut rest = rows;
        for size in ROWS_PER_STATEMENT {
            while let Some((some, others)) = rest.split_at_checked(size) {
                QueryBuilder::new(self.before)
                    .push_values(some, |mut values, row| bind(&mut values, row))
                    .push(self.after)
                    .build()
                    .execute(&mut *connection)
                    .await?;
                rest = others;
            }
        }
        Ok(())
    }
}

fn bind_audit(values: &mut Values<'_>, row: &AuditRow) {
    values
        .push_bind(&row.id)
        .push_bind(row.occurred_at)
        .push_bind(&row.kind)
        .push_bind(&row.request_id)
        .push_bind(&row.tenant_id)
        .push_bind(&row.user_id)
        .push_bind(&row.session_id)
        .push_bind(&row.task_id)
        .push_bind(&row.trace_id)
        .push_bind(&row.context_id)
        .push_bind(&row.client_id)
        .push_bind(&row.action)
        .push_bind(&row.resource)
        .push_bind(&row.decision)
        .push_bind(&row.reason)
        .push_bind(&row.policy_digest)
        .push_bind(row.cost_microdollars)
        .push_bind(&row.detail);
}

fn bind_opened(values: &mut Values<'_>, row: &RequestRow) {
    values
        .push_bind(&row.request_id)
        .push_bind(&row.tenant_id)
        .push_bind(&row.user_id)
        .push_bind(&row.credential_kind)
        .push_bind(&row.credential_id)
        .push_bind(&row.session_id)
        .push_bind(&row.trace_id)
        .push_bind(&row.client_session_id)
        .push_bind(&row.task_id)
        .push_bind(&row.context_id)
        .push_bind(&row.client_id)
        .push_bind(row.opened_at)
        .push_bind(&row.requested_model)
        .push_bind(&row.client_dialect)
        .push_bind(row.stream)
        .push_bind(&row.request_digest)
        .push_bind(row.config_generation);
}

fn bind_closed(values: &mut Values<'_>, row: &RequestRow) {
    values
        .push_bind(row.closed_at)
        .push_bind(&row.served_model)
        .push_bind(&row.upstream)
        .push_bind(&row.attempts)
        .push_bind(&row.upstream_dialect)
        .push_bind(row.input_tokens)
        .push_bind(row.output_tokens)
        .push_bind(row.cache_read_tokens)
        .push_bind(row.cache_write_5m_tokens)
        .push_bind(row.cache_write_1h_tokens)
        .push_bind(row.thinking_tokens)
        .push_bind(row.usage_estimated)
        .push_bind(row.cost_microdollars)
        .push_bind(&row.cost_state)
        .push_bind(row.latency_us)
        .push_bind(row.ttfb_us)
        .push_bind(row.status)
        .push_bind(&row.outcome)
        .push_bind(&row.stop_reason)
        .push_bind(&row.error_kind)
        .push_bind(&row.upstream_request_id)
        .push_bind(&row.sent_digest)
        .push_bind(row.splices)
        .push_bind(row.redactions)
        .push_bind(&row.dropped)
        .push_bind(&row.service_tier)
        .push_bind(&row.usage_detail);
}

fn bind_decision(values: &mut Values<'_>, row: &DecisionRow) {
    values
        .push_bind(&row.id)
        .push_bind(&row.request_id)
        .push_bind(&row.tenant_id)
        .push_bind(row.occurred_at)
        .push_bind(&row.stage)
        .push_bind(&row.outcome)
        .push_bind(&row.rule)
        .push_bind(&row.reason)
        .push_bind(&row.facts)
        .push_bind(&row.policy_digest)
        .push_bind(row.config_generation)
        .push_bind(row.duration_us);
}
