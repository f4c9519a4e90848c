//! What is counted and written down about one request's attempts.

use std::time::Duration;

use http::StatusCode;

use crate::dialect::operation::Operation;
use crate::gateway::attempts::{Attempts, failures};
use crate::gateway::governed::metered;
use crate::journal::leaf::close::{Attempt, Cost, Outcome};
use crate::pipeline::record::{micros, prices};
use crate::pipeline::route::Candidate;
use crate::pipeline::route::guard::{Skip, Ticket};
use crate::pipeline::translate::prepare::Prepared;
use crate::pipeline::translate::{Observed, Outcome as StreamOutcome};
use crate::telemetry::metrics::words::{self, AttemptOutcome};
use crate::types::digest::Sha256;
use crate::types::usage::Usage;

impl Attempts<'_> {
    /// Counts the request, when everything is over.
    pub(in crate::gateway) fn count(&self) {
        let Some(candidate) = self.last.or(self.candidates.first()) else {
            return;
        };
        let outcome = match self.close.outcome {
            Outcome::Complete => words::Outcome::Complete,
            Outcome::ClientGone => words::Outcome::ClientGone,
            Outcome::Error | Outcome::Interrupted | Outcome::Abandoned => words::Outcome::Error,
        };
        let endpoint = metered(self.envelope.operation);
        let took = self.context.started.elapsed();
        candidate
            .meters
            .ended(endpoint, self.last.map(|last| last.position), outcome, took);
        if let Some(first_byte) = self.close.ttfb_us {
            candidate.meters.first_byte(Duration::from_micros(first_byte));
        }
    }

    /// Notes an upstream that was not asked.
    pub(super) fn note_skip(&mut self, candidate: &Candidate, skip: Skip, waited: Duration) {
        let reason = failures::reason(skip);
        candidate.upstream.meters.skipped(reason);
        self.close.attempts.push(Attempt {
            upstream: candidate.upstream.name.clone(),
            outcome: reason.as_str().into(),
            status: None,
            duration_us: micros(waited),
        });
    }

    pub(super) fn note_told(&mut self, observed: &Observed) {
        match &observed.outcome {
            StreamOutcome::Complete => self.close.outcome = Outcome::Complete,
            StreamOutcome::Failed(fault) => self.close.error_kind = Some(fault.kind.as_str().into()),
            StreamOutcome::Open | StreamOutcome::Broken => {
                self.close.error_kind = Some("stream_broken".into());
            }
        }
    }

    pub(super) fn note_prepared(&mut self, candidate: &Candidate, prepared: &Prepared) {
        self.close.upstream = Some(candidate.upstream.name.clone());
        let spoken = if prepared.same_dialect {
            prepared.operation.wire_format()
        } else {
            candidate.dialect().as_str()
        };
        self.close.upstream_dialect = Some(spoken.into());
        self.close.served_model = Some(candidate.served_model.clone());
        self.close.sent_digest = if prepared.same_dialect && prepared.splices == 0 {
            self.envelope.request_digest
        } else {
            Some(Sha256::of(&prepared.body))
        };
        self.close.splices = u32::try_from(prepared.splices).unwrap_or(u32::MAX);
        self.close.dropped = prepared
            .dropped
            .iter()
            .map(|dropped| dropped.path.as_str().into())
            .collect();
    }

    pub(super) fn note_attempt(
        &mut self,
        candidate: &Candidate,
        ticket: &mut Ticket,
        counted: AttemptOutcome,
        outcome: &str,
        status: Option<StatusCode>,
        took: Duration,
    ) {
        let name = &candidate.upstream.name;
        candidate.upstream.meters.attempted(counted);
        if ticket.settle(failures::verdict(counted)) {
            candidate.upstream.meters.opened();
        }
        self.next = failures::next_attempt(counted);
        self.close.attempts.push(Attempt {
            upstream: name.clone(),
            outcome: outcome.into(),
            status: status.map(|status| status.as_u16()),
            duration_us: micros(took),
        });
    }

    /// Notes an answer that ended by itself, well or not.
    pub(super) fn note_observed(&mut self, candidate: &Candidate, observed: &Observed) {
        self.note_named(observed);
        if let Some(usage) = observed.usage {
            // An answer whose end did not reach the client is told apart, even where its counts are exact.
            let estimated = observed.usage_estimated || self.close.outcome == Outcome::ClientGone;
            self.bill(candidate, usage, estimated);
        }
    }

    /// Notes a stream that we hung up on.
    pub(super) fn note_hung_up(&mut self, candidate: &Candidate, observed: &Observed) {
        self.note_named(observed);
        let usage = self.asked.hung_up(observed.usage, observed.stop_reason.is_some());
        self.bill(candidate, usage, true);
    }

    /// Notes that we hung up before anything of an answer was seen.
    pub(super) fn note_unseen(&mut self, candidate: &Candidate) {
        let usage = match self.envelope.operation {
            // Nobody bills for it.
            Operation::CountTokens => return,
            _ if self.envelope.stream => self.asked.hung_up(None, false),
            _ => self.asked.unseen(),
        };
        self.bill(candidate, usage, true);
    }

    fn note_named(&mut self, observed: &Observed) {
        if let Some(model) = &observed.served_model {
            self.close.served_model = Some(model.clone());
        }
        self.close.stop_reason = observed.stop_reason.as_deref().map(bounded);
    }

    fn bill(&mut self, candidate: &Candidate, usage: Usage, estimated: bool) {
        self.close.usage = usage;
        self.close.usage_estimated = estimated;
        let served = prices::Served {
            provider: &candidate.upstream.label,
            upstream: candidate.upstream.name.as_str(),
            model: candidate.served_model.as_str(),
        };
        self.close.cost = match self.snapshot.prices.cost(&served, &usage) {
            prices::Cost::Known(amount) if estimated => Cost::Estimated(amount),
            prices::Cost::Known(amount) => Cost::Priced(amount),
            prices::Cost::Unknown => Cost::Unknown,
        };
    }
}

/// A text of an upstream, cut to what a row keeps.
pub(super) fn bounded(text: &str) -> Box<str> {
    text.chars().take(128).collect::<String>().into()
}
