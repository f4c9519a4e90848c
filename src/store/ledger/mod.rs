//! What happened, as rows.
//!
//! Input: batches of rows, each applied in one transaction with the cursor that it advances. Output: the
//! cursors, and rows for people. A batch may come twice: every row has an id that its leaf determines.
//!
//! Invariants: the cursor moves with the rows or not at all, and never back; a request that was closed is
//! never opened or closed again; nothing here knows what a leaf is.
//!
//! - [`apply`]: how a batch is stored; `sqlite`, `postgres`: its rows in each database.
//! - [`read`]: cursors, the tail, one request. [`spend`]: requests added up.

pub mod apply;
mod postgres;
pub mod read;
pub mod spend;
mod sqlite;

use serde::{Deserialize, Serialize};

/// The outcome of a request that has not ended.
pub const OPEN: &str = "open";

/// One row of `audit`. Texts are as stored: ids hyphenated, digests in hex.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AuditRow {
    /// The leaf's id.
    pub id: String,
    /// When, in microseconds since 1970.
    pub occurred_at: i64,
    /// The kind of leaf.
    pub kind: String,
    /// The request, if it is about one.
    pub request_id: Option<String>,
    /// The tenant, if one is known.
    pub tenant_id: Option<String>,
    /// The user, if one is known.
    pub user_id: Option<String>,
    /// The credential's session.
    pub session_id: Option<String>,
    /// The client's task.
    pub task_id: Option<String>,
    /// The trace.
    pub trace_id: Option<String>,
    /// The client's context.
    pub context_id: Option<String>,
    /// The client program.
    pub client_id: Option<String>,
    /// What was done or asked for.
    pub action: String,
    /// To what.
    pub resource: Option<String>,
    /// `allow`, `deny` or nothing.
    pub decision: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// The policies that decided.
    pub policy_digest: Option<String>,
    /// What it cost, where that is known.
    pub cost_microdollars: Option<i64>,
    /// The rest, as JSON text.
    pub detail: String,
}

/// One row of `ai_requests`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RequestRow {
    /// The request.
    pub request_id: String,
    /// The tenant.
    pub tenant_id: Option<String>,
    /// The user.
    pub user_id: Option<String>,
    /// `api_key` or `token`.
    pub credential_kind: Option<String>,
    /// Its id.
    pub credential_id: Option<String>,
    /// The credential's session.
    pub session_id: Option<String>,
    /// The trace.
    pub trace_id: Option<String>,
    /// The client's own session.
    pub client_session_id: Option<String>,
    /// The client's task.
    pub task_id: Option<String>,
    /// The client's context.
    pub context_id: Option<String>,
    /// The client program.
    pub client_id: Option<String>,
    /// When the first byte came.
    pub opened_at: i64,
    /// When it ended.
    pub closed_at: Option<i64>,
    /// The model that was asked for.
    pub requested_model: Option<String>,
    /// The model that answered.
    pub served_model: Option<String>,
    /// The upstream that answered.
    pub upstream: Option<String>,
    /// Every upstream that was tried, as a JSON list.
    pub attempts: Option<String>,
    /// The client's wire format.
    pub client_dialect: Option<String>,
    /// The upstream's wire format.
    pub upstream_dialect: Option<String>,
    /// Whether a stream was asked for.
    pub stream: Option<bool>,
    /// Input tokens that no cache knew.
    pub input_tokens: Option<i64>,
    /// Output tokens.
    pub output_tokens: Option<i64>,
    /// Input tokens read from a cache.
    pub cache_read_tokens: Option<i64>,
    /// Input tokens written to a cache for five minutes.
    pub cache_write_5m_tokens: Option<i64>,
    /// Input tokens written to a cache for an hour.
    pub cache_write_1h_tokens: Option<i64>,
    /// Output tokens that were thinking.
    pub thinking_tokens: Option<i64>,
    /// The service tier that the upstream says it used.
    pub service_tier: Option<String>,
    /// What else changes the price (tools that it ran, sound, fast mode …), as JSON.
    pub usage_detail: Option<String>,
    /// Whether the counts are our estimate.
    pub usage_estimated: Option<bool>,
    /// What it cost; nothing while that is unknown.
    pub cost_microdollars: Option<i64>,
    /// `priced`, `estimated`, `unknown` or `none`.
    pub cost_state: Option<String>,
    /// From the first byte to the end.
    pub latency_us: Option<i64>,
    /// From the first byte to the first of the answer.
    pub ttfb_us: Option<i64>,
    /// The HTTP status of the answer.
    pub status: Option<i64>,
    /// `open`, or how it ended.
    pub outcome: String,
    /// Why the model stopped.
    pub stop_reason: Option<String>,
    /// The kind of error.
    pub error_kind: Option<String>,
    /// The upstream's own id of the request.
    pub upstream_request_id: Option<String>,
    /// The digest of the body as received.
    pub request_digest: Option<String>,
    /// The digest of the body as sent.
    pub sent_digest: Option<String>,
    /// Edits between the two.
    pub splices: Option<i64>,
    /// How many of them were redactions.
    pub redactions: Option<i64>,
    /// What translation lost, as a JSON list.
    pub dropped: Option<String>,
    /// The configuration in force.
    pub config_generation: Option<i64>,
}

impl RequestRow {
    /// Adds what a close knows to what an open knew. Only what is open can be closed: anything else is
    /// given back.
    pub fn complete(&mut self, closed: Self) -> Option<Self> {
        if self.outcome != OPEN {
            return Some(closed);
        }
        let opened = std::mem::take(self);
        *self = Self {
            request_id: opened.request_id,
            tenant_id: opened.tenant_id,
            user_id: opened.user_id,
            credential_kind: opened.credential_kind,
            credential_id: opened.credential_id,
            session_id: opened.session_id,
            trace_id: opened.trace_id,
            client_session_id: opened.client_session_id,
            task_id: opened.task_id,
            context_id: opened.context_id,
            client_id: opened.client_id,
            opened_at: opened.opened_at,
            requested_model: opened.requested_model,
            client_dialect: opened.client_dialect,
            stream: opened.stream,
            request_digest: opened.request_digest,
            config_generation: opened.config_generation,
            ..closed
        };
        None
    }
}

/// One row of `governance_decisions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DecisionRow {
    /// Determined by the leaf and the decision's place in it.
    pub id: String,
    /// The request.
    pub request_id: String,
    /// The tenant.
    pub tenant_id: Option<String>,
    /// When.
    pub occurred_at: i64,
    /// Which stage decided.
    pub stage: String,
    /// `allow`, `deny`, `flag` or `redact`.
    pub outcome: String,
    /// The rule.
    pub rule: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// What the rule saw, as JSON.
    pub facts: Option<String>,
    /// The policies.
    pub policy_digest: Option<String>,
    /// The configuration in force.
    pub config_generation: Option<i64>,
    /// How long the stage took.
    pub duration_us: i64,
}

/// How far one history has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// `host/node/epoch`.
    pub origin: String,
    /// The host.
    pub host: String,
    /// The node on it.
    pub node: String,
    /// The number of the epoch.
    pub epoch: i64,
    /// How many of its leaves are here.
    pub size: i64,
    /// The hash of the last of them.
    pub leaf_hash: String,
    /// When it came.
    pub shipped_at: i64,
}

/// Rows that belong together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Rows of `audit`.
    pub audit: Vec<AuditRow>,
    /// Requests that were opened: as far as an open knows them, or completed by their close.
    pub requests: Vec<RequestRow>,
    /// Closes of requests that were opened in an earlier batch.
    pub closed: Vec<RequestRow>,
    /// Rows of `governance_decisions`.
    pub decisions: Vec<DecisionRow>,
    /// Where its history stands after these rows; none where it must not move.
    pub cursor: Option<Cursor>,
}

#[cfg(test)]
mod tests;
