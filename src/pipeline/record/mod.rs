//! Record: nothing leaves before its record is durable, and every record is closed.
//!
//! Input: an envelope and a permit, or a refusal. Output: an [`OpenRecord`], which `forward`
//! demands, or a denial in the journal. Invariants: an open record is made only here, after the
//! [`ledger`] acknowledged it; it is closed exactly once, by [`OpenRecord::close`] or, where it is
//! dropped, by the journal itself. Never: a prompt, an answer or a credential in a leaf.

pub mod aborted;
pub mod ledger;
pub mod prices;

use std::time::Duration;

use crate::journal::leaf::act::RequestFacts;
use crate::journal::leaf::close::Close;
use crate::journal::leaf::decision::{self, DecisionRow, Json};
use crate::journal::leaf::denial::Denial;
use crate::journal::leaf::open::{self, Open};
use crate::journal::reservation::Reservation;
use crate::pipeline::decide::verdict::{Outcome, Permit, Verdict};
use crate::pipeline::envelope::Envelope;
use crate::pipeline::inspect::finding::{Action, Finding};
use crate::pipeline::inspect::inspection::Inspection;
use crate::pipeline::record::ledger::{Ledger, Unrecorded};
use crate::types::clock::Timestamp;

/// The proof that a permitted request is written down durably.
#[derive(Debug)]
pub struct OpenRecord {
    reservation: Reservation,
}

impl OpenRecord {
    /// Closes the record; the journal keeps room for this from the start, so it cannot be refused.
    pub fn close(self, close: Close) {
        self.reservation.close(close);
    }
}

/// Writes down that a request is permitted, and waits until that is durable.
///
/// # Errors
/// [`Unrecorded`]; the request must not go on.
pub async fn open(
    ledger: &Ledger,
    envelope: &Envelope,
    inspection: &Inspection,
    permit: &Permit,
) -> Result<OpenRecord, Unrecorded> {
    let mut decisions = rows(permit.verdicts());
    if let Some(took) = permit.remembered_in() {
        // Remembering them is one look, which is written to the first.
        let durations = std::iter::once(micros(took)).chain(std::iter::repeat(0));
        for (row, duration) in decisions.iter_mut().zip(durations) {
            row.duration_us = duration;
        }
    }
    decisions.extend(finding_rows(inspection));
    let candidates = permit.candidates().iter().map(|candidate| open::Candidate {
        upstream: candidate.upstream.clone(),
        model: candidate.served_model.clone(),
    });
    let open = Open {
        facts: facts(envelope),
        reason: None,
        candidates: candidates.collect(),
        reserved: None,
        decisions,
    };
    Ok(OpenRecord {
        reservation: ledger.open(&open).await?,
    })
}

/// A request that is answered without being forwarded.
#[derive(Debug)]
pub struct Declined<'a> {
    /// The request.
    pub envelope: &'a Envelope,
    /// The status of the answer.
    pub status: u16,
    /// The kind of refusal.
    pub kind: &'static str,
    /// Why, for people who read records.
    pub reason: &'a str,
    /// What the stages said.
    pub decisions: Vec<DecisionRow>,
    /// How many like requests this stands for.
    pub count: u32,
    /// When the last of several came.
    pub last_at: Option<Timestamp>,
    /// From the request's start to now.
    pub latency: Duration,
}

/// Writes down that a request was declined, and waits until that is durable.
///
/// # Errors
/// [`Unrecorded`]
pub async fn deny(ledger: &Ledger, declined: Declined<'_>) -> Result<(), Unrecorded> {
    let denial = Denial {
        facts: facts(declined.envelope),
        status: declined.status,
        error_kind: declined.kind.into(),
        reason: declined.reason.into(),
        count: declined.count,
        last_at: declined.last_at,
        latency_us: micros(declined.latency),
        decisions: declined.decisions,
    };
    ledger.deny(&denial).await
}

fn facts(envelope: &Envelope) -> RequestFacts {
    RequestFacts {
        act: envelope.act(),
        started_at: envelope.started_at,
        requested_model: envelope.requested_model.clone(),
        client_dialect: Some(envelope.operation.wire_format().into()),
        stream: envelope.stream,
        request_digest: envelope.request_digest,
        policy_digest: Some(envelope.policy_digest),
        config_generation: envelope.config_generation,
    }
}

/// Verdicts of the decision as rows.
pub fn rows(verdicts: &[Verdict]) -> Vec<DecisionRow> {
    let row = |verdict: &Verdict| DecisionRow {
        stage: verdict.stage.as_str().into(),
        outcome: match verdict.outcome {
            Outcome::Pass => decision::Verdict::Allow,
            Outcome::Deny => decision::Verdict::Deny,
        },
        rule: (!verdict.rule.is_empty()).then(|| verdict.rule.join(",").into()),
        reason: Some(verdict.reason.clone()),
        facts: verdict.facts.clone(),
        duration_us: micros(verdict.duration),
    };
    verdicts.iter().map(row).collect()
}

/// Findings that did not decide the request as rows: what was taken out or noted, and where.
pub fn finding_rows(inspection: &Inspection) -> Vec<DecisionRow> {
    let row = |finding: &Finding| DecisionRow {
        stage: "secrets".into(),
        outcome: match finding.action {
            Action::Block => decision::Verdict::Deny,
            Action::Redact => decision::Verdict::Redact,
            Action::Flag => decision::Verdict::Flag,
        },
        rule: Some(finding.kind.as_str().into()),
        reason: None,
        facts: Json::of(finding).ok(),
        duration_us: 0,
    };
    inspection.findings().iter().map(row).collect()
}

/// Whole microseconds, saturating.
pub fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
