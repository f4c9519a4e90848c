//! Leaves as rows: what the store shows of the journal. The rows of the audit are made in `audit`.
//!
//! A pure function of the stored bytes, so that a batch can come twice: every row's id is the leaf's, or
//! is made from it.

use std::collections::HashMap;

use serde::Serialize;

use crate::jobs::shipper::column::{json, signed, text};
use crate::jobs::shipper::{audit, used};
use crate::journal::codec::{self, Decoded};
use crate::journal::leaf::Leaf;
use crate::journal::leaf::act::{Act, RequestFacts};
use crate::journal::leaf::close::{Close, Outcome};
use crate::journal::leaf::decision;
use crate::journal::leaf::denial::Denial;
use crate::store::ledger::{AuditRow, Batch, DecisionRow, OPEN, RequestRow};
use crate::types::clock::Timestamp;
use crate::types::digest::Sha256;
use crate::types::ids::RequestId;
use crate::types::money::MicroDollars;
use crate::types::principal::Credential;

/// A batch in the making.
#[derive(Default)]
pub(super) struct Rows {
    batch: Batch,
    /// Where the requests that it opens stand in it.
    opened: HashMap<RequestId, usize>,
}

impl Rows {
    /// The batch, complete.
    pub(super) fn into_batch(self) -> Batch {
        self.batch
    }

    /// Adds the rows of one stored leaf.
    pub(super) fn add(&mut self, at: Timestamp, hash: Sha256, body: &str) {
        match codec::decode(body) {
            Ok(decoded) => self.add_leaf(&decoded),
            Err(error) => {
                // A newer version wrote it, before a downgrade. It is kept as it is, not left out.
                tracing::warn!(%hash, %error, "a leaf cannot be read; the store shows its bytes");
                self.batch.audit.push(AuditRow {
                    id: derived_id(at, hash.as_bytes(), 0),
                    occurred_at: at.unix_micros(),
                    kind: "unreadable".into(),
                    reason: Some(error.to_string()),
                    detail: json(&Unreadable { body }),
                    ..AuditRow::default()
                });
            }
        }
    }

    fn add_leaf(&mut self, decoded: &Decoded) {
        match &decoded.leaf {
            Leaf::Epoch(epoch) => self.batch.audit.push(audit::of_epoch(decoded, epoch)),
            Leaf::Open(open) => {
                self.batch.audit.push(audit::of_open(decoded, open));
                self.open(&open.facts);
                let facts = &open.facts;
                self.decide(decoded, &Decided::by_request(facts, &open.decisions));
            }
            Leaf::Close(close) => {
                self.batch.audit.push(audit::of_close(decoded, close));
                self.close(close.act.request, closed(decoded.at, close));
                let decided = Decided {
                    act: &close.act,
                    policy_digest: close.policy_digest,
                    config_generation: close.config_generation,
                    rows: &close.decisions,
                };
                self.decide(decoded, &decided);
            }
            Leaf::Denial(denial) => {
                self.batch.audit.push(audit::of_denial(decoded, denial));
                let facts = &denial.facts;
                if self.open(facts) {
                    self.close(facts.act.request, denied(decoded.at, denial));
                }
                self.decide(decoded, &Decided::by_request(facts, &denial.decisions));
            }
            Leaf::Admin(admin) => self.batch.audit.push(audit::of_admin(decoded, admin)),
        }
    }

    /// Opens a request, if it was made to a model API.
    fn open(&mut self, facts: &RequestFacts) -> bool {
        let Some(row) = opened(facts) else { return false };
        self.opened.insert(facts.act.request, self.batch.requests.len());
        self.batch.requests.push(row);
        true
    }

    /// Completes the row of a request that this batch opens; else the close stands alone.
    fn close(&mut self, request: RequestId, row: RequestRow) {
        let place = self.opened.get(&request).copied();
        let opened = place.and_then(|place| self.batch.requests.get_mut(place));
        let alone = match opened {
            Some(opened) => opened.complete(row),
            None => Some(row),
        };
        self.batch.closed.extend(alone);
    }

    fn decide(&mut self, decoded: &Decoded, decided: &Decided<'_>) {
        for (ordinal, row) in (0u16..).zip(decided.rows) {
            self.batch.decisions.push(DecisionRow {
                id: derived_id(decoded.at, decoded.id.as_uuid().as_bytes(), ordinal),
                request_id: decided.act.request.to_string(),
                tenant_id: text(decided.act.tenant.as_ref()),
                occurred_at: decoded.at.unix_micros(),
                stage: row.stage.to_string(),
                outcome: row.outcome.as_str().into(),
                rule: text(row.rule.as_ref()),
                reason: text(row.reason.as_ref()),
                facts: row.facts.as_ref().map(|facts| facts.as_str().to_owned()),
                policy_digest: text(decided.policy_digest.as_ref()),
                config_generation: decided.config_generation.map(signed),
                duration_us: signed(row.duration_us),
            });
        }
    }
}

#[derive(Serialize)]
struct Unreadable<'a> {
    body: &'a str,
}

/// What an open knows of a request; none where it was not made to a model API.
fn opened(facts: &RequestFacts) -> Option<RequestRow> {
    let dialect = facts.client_dialect.as_ref()?;
    let act = &facts.act;
    let (kind, id) = match act.credential {
        None => (None, None),
        Some(Credential::ApiKey(id)) => (Some("api_key".to_owned()), Some(id.to_string())),
        Some(Credential::Token(id)) => (Some("token".to_owned()), Some(id.to_string())),
    };
    Some(RequestRow {
        request_id: act.request.to_string(),
        tenant_id: text(act.tenant.as_ref()),
        user_id: text(act.user.as_ref()),
        credential_kind: kind,
        credential_id: id,
        session_id: text(act.session.as_ref()),
        trace_id: text(act.labels.trace.as_ref()),
        client_session_id: text(act.labels.session.as_ref()),
        task_id: text(act.labels.task.as_ref()),
        context_id: text(act.labels.context.as_ref()),
        client_id: text(act.labels.client.as_ref()),
        opened_at: facts.started_at.unix_micros(),
        requested_model: text(facts.requested_model.as_ref()),
        client_dialect: Some(dialect.to_string()),
        stream: Some(facts.stream),
        outcome: OPEN.into(),
        request_digest: text(facts.request_digest.as_ref()),
        config_generation: Some(signed(facts.config_generation)),
        ..RequestRow::default()
    })
}

fn closed(at: Timestamp, close: &Close) -> RequestRow {
    // What a crash cut off was not counted, which is not the same as nothing.
    let counted = !matches!(close.outcome, Outcome::Interrupted | Outcome::Abandoned);
    let tokens = |count: u64| counted.then(|| signed(count));
    RequestRow {
        request_id: close.act.request.to_string(),
        closed_at: Some(at.unix_micros()),
        served_model: text(close.served_model.as_ref()),
        upstream: text(close.upstream.as_ref()),
        attempts: Some(json(&close.attempts)),
        upstream_dialect: text(close.upstream_dialect.as_ref()),
        input_tokens: tokens(close.usage.input),
        output_tokens: tokens(close.usage.output),
        cache_read_tokens: tokens(close.usage.cache_read),
        cache_write_5m_tokens: tokens(close.usage.cache_write_5m),
        cache_write_1h_tokens: tokens(close.usage.cache_write_1h),
        thinking_tokens: tokens(close.usage.thinking),
        service_tier: counted.then(|| close.usage.terms.tier.as_str().into()),
        usage_detail: used::detail(&close.usage),
        usage_estimated: Some(close.usage_estimated),
        cost_microdollars: close.cost.amount().map(MicroDollars::get),
        cost_state: Some(close.cost.state().into()),
        latency_us: close.latency_us.map(signed),
        ttfb_us: close.ttfb_us.map(signed),
        status: close.status.map(i64::from),
        outcome: close.outcome.as_str().into(),
        stop_reason: text(close.stop_reason.as_ref()),
        error_kind: text(close.error_kind.as_ref()),
        upstream_request_id: text(close.upstream_request_id.as_ref()),
        sent_digest: text(close.sent_digest.as_ref()),
        splices: Some(i64::from(close.splices)),
        redactions: Some(i64::from(close.redactions)),
        dropped: Some(json(&close.dropped)),
        ..RequestRow::default()
    }
}

/// A denied request ends as it begins: nothing was sent, used or paid.
fn denied(at: Timestamp, denial: &Denial) -> RequestRow {
    RequestRow {
        request_id: denial.facts.act.request.to_string(),
        closed_at: Some(at.unix_micros()),
        attempts: Some("[]".into()),
        cost_microdollars: Some(0),
        cost_state: Some("none".into()),
        latency_us: Some(signed(denial.latency_us)),
        status: Some(i64::from(denial.status)),
        outcome: "denied".into(),
        error_kind: Some(denial.error_kind.to_string()),
        ..RequestRow::default()
    }
}

/// The decisions of one leaf, and what they have in common.
struct Decided<'a> {
    act: &'a Act,
    policy_digest: Option<Sha256>,
    config_generation: Option<u64>,
    rows: &'a [decision::DecisionRow],
}

impl<'a> Decided<'a> {
    fn by_request(facts: &'a RequestFacts, rows: &'a [decision::DecisionRow]) -> Self {
        Self {
            act: &facts.act,
            policy_digest: facts.policy_digest,
            config_generation: Some(facts.config_generation),
            rows,
        }
    }
}

/// An id that the same leaf always gives, and that sorts by time and place (RFC 9562 section 5.7, with the
/// place where the random bits begin).
fn derived_id(at: Timestamp, seed: &[u8], ordinal: u16) -> String {
    let digest = Sha256::of_parts(&[seed, &ordinal.to_be_bytes()]);
    let mut random = [0u8; 10];
    let place = (ordinal & 0x0fff).to_be_bytes();
    for (to, from) in random.iter_mut().zip(place.iter().chain(digest.as_bytes())) {
        *to = *from;
    }
    uuid::Builder::from_unix_timestamp_millis(at.unix_millis(), &random)
        .into_uuid()
        .to_string()
}
