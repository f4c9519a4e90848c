//! One recorded request at its candidates, in order, until one of them answers.

use std::time::{Duration, Instant};

use http::StatusCode;
use pingora_core::protocols::http::ServerSession;

use crate::gateway::answers::{self, Reply};
use crate::gateway::context::Context;
use crate::gateway::exchange::{Ended, Pace, Pump};
use crate::gateway::governed::metered;
use crate::gateway::proxy::Gateway;
use crate::gateway::refuse::{self, ErrorShape};
use crate::gateway::respond::{self, Extra};
use crate::gateway::snapshot::Snapshot;
use crate::journal::leaf::close::{Attempt, Close, Cost, Outcome};
use crate::pipeline::envelope::Envelope;
use crate::pipeline::forward::answer::{Answer, BodyFault};
use crate::pipeline::forward::failure::Failure;
use crate::pipeline::forward::head::{self, ClientHead};
use crate::pipeline::inspect::inspection::Inspection;
use crate::pipeline::record::{OpenRecord, micros, prices};
use crate::pipeline::refusal::{Kind, Refusal};
use crate::pipeline::route::Candidate;
use crate::pipeline::translate::prepare::{Prepared, Unprepared, prepare};
use crate::pipeline::translate::{
    ClientError, Observed, Outcome as StreamOutcome, dropped_header, upstream_error,
};
use crate::telemetry::metrics::words::{self, AttemptOutcome, Stage};
use crate::types::digest::Sha256;

/// The largest error body of an upstream that is read, in bytes.
const ERROR_BYTES_MAX: usize = 1024 * 1024;

/// How long it is waited for.
const ERROR_DEADLINE: Duration = Duration::from_secs(10);

/// The attempts of one request, and what will be written down about them.
pub(super) struct Attempts<'a> {
    gateway: &'a Gateway,
    snapshot: &'a Snapshot,
    context: &'a Context,
    envelope: &'a Envelope,
    inspection: &'a Inspection,
    close: Close,
    /// The candidate tried last.
    last: Option<&'a Candidate>,
}

/// What one candidate came to.
enum Tried {
    /// The client has its answer, or is gone.
    Over,
    /// Nothing was sent to the client; the next candidate may be tried, and if there is none, this
    /// is what the client is told.
    Failed(Reply),
    /// Nothing was sent, and no other candidate would do better.
    Final(Reply),
}

impl<'a> Attempts<'a> {
    pub(super) fn new(
        gateway: &'a Gateway,
        snapshot: &'a Snapshot,
        context: &'a Context,
        envelope: &'a Envelope,
        inspection: &'a Inspection,
    ) -> Self {
        let mut close = Close::bare(envelope.act(), Outcome::Error);
        close.redactions = u32::try_from(inspection.splices().len()).unwrap_or(u32::MAX);
        Self {
            gateway,
            snapshot,
            context,
            envelope,
            inspection,
            close,
            last: None,
        }
    }

    /// Tries the candidates in order. An error means that the client is gone.
    pub(super) async fn run(
        &mut self,
        session: &mut ServerSession,
        record: &OpenRecord,
        candidates: &'a [Candidate],
    ) -> pingora_error::Result<()> {
        let mut last = Reply::Refusal(Refusal::new(
            Kind::UpstreamFailed,
            "no upstream is left for this request",
        ));
        for candidate in candidates {
            self.last = Some(candidate);
            match self.attempt(session, record, candidate).await? {
                Tried::Over => return Ok(()),
                Tried::Failed(reply) => last = reply,
                Tried::Final(reply) => {
                    last = reply;
                    break;
                }
            }
        }
        self.reply(session, last).await
    }

    /// Counts the request, when everything is over.
    pub(super) fn count(&self) {
        let Some(candidate) = self.last else { return };
        let outcome = match self.close.outcome {
            Outcome::Complete => words::Outcome::Complete,
            Outcome::ClientGone => words::Outcome::ClientGone,
            Outcome::Error | Outcome::Interrupted | Outcome::Abandoned => words::Outcome::Error,
        };
        let endpoint = metered(self.envelope.operation);
        let took = self.context.started.elapsed();
        candidate
            .meters
            .ended(endpoint, Some(candidate.position), outcome, took);
        if let Some(first_byte) = self.close.ttfb_us {
            candidate.meters.first_byte(Duration::from_micros(first_byte));
        }
    }

    /// The route that was taken, once a candidate was tried.
    pub(super) fn route(&self) -> Option<&'a str> {
        self.last.map(|candidate| candidate.meters.pattern())
    }

    /// The record's close, when everything is over.
    pub(super) fn into_close(mut self) -> Close {
        self.close.latency_us = Some(micros(self.context.started.elapsed()));
        self.close
    }

    async fn attempt(
        &mut self,
        session: &mut ServerSession,
        record: &OpenRecord,
        candidate: &Candidate,
    ) -> pingora_error::Result<Tried> {
        let mut watch = self.gateway.metrics.stages.watch(Instant::now());
        let prepared = match prepare(self.inspection, candidate) {
            Ok(prepared) => prepared,
            Err(unprepared) => return Ok(unprepared_reply(&unprepared)),
        };
        self.note_prepared(candidate, &prepared);
        watch.ended(Stage::Translate);
        let began = watch.last();
        let sent = self.send(session, record, candidate, &prepared).await;
        let took = began.elapsed();
        match sent {
            None => {
                self.note_attempt(candidate, AttemptOutcome::ClientGone, "client_gone", None, took);
                self.close.outcome = Outcome::ClientGone;
                pingora_error::Error::e_explain(pingora_error::ErrorType::ConnectionClosed, "the client left")
            }
            Some(Err(failure)) => {
                tracing::warn!(request = %self.context.id.wire(), upstream = %candidate.upstream.name, error = %failure, "attempt failed");
                self.note_attempt(candidate, failed(&failure), failure.kind(), None, took);
                Ok(Tried::Failed(failure_reply(&failure)))
            }
            Some(Ok(answer)) => {
                candidate.upstream.meters.answered(took);
                self.answered(session, candidate, prepared, answer, began).await
            }
        }
    }

    /// Sends, while watching for the client's disconnect: `None` when it left.
    async fn send(
        &self,
        session: &mut ServerSession,
        record: &OpenRecord,
        candidate: &Candidate,
        prepared: &Prepared,
    ) -> Option<Result<Answer, Failure>> {
        let asked = session.req_header();
        let client = ClientHead {
            headers: &asked.headers,
            query: asked.uri.query(),
            onward: candidate
                .upstream
                .trace_context
                .then(|| self.context.trace.onward(self.close.attempts.len())),
        };
        let head = match head::build(&candidate.upstream, prepared, &client) {
            Ok(head) => head,
            Err(failure) => return Some(Err(failure)),
        };
        tokio::select! {
            biased;
            sent = self.gateway.engine.send(record, &candidate.upstream, &head, &prepared.body) => Some(sent),
            _ = session.read_body_or_idle(true) => None,
        }
    }

    async fn answered(
        &mut self,
        session: &mut ServerSession,
        candidate: &Candidate,
        prepared: Prepared,
        answer: Answer,
        began: Instant,
    ) -> pingora_error::Result<Tried> {
        let status = answer.status();
        self.close.upstream_request_id = answer
            .header("request-id")
            .or(answer.header("x-request-id"))
            .map(bounded);
        if !status.is_success() {
            let reply = self.upstream_refused(candidate, answer).await;
            self.note_attempt(
                candidate,
                AttemptOutcome::of_status(status.as_u16()),
                &format!("status_{}", status.as_u16()),
                Some(status),
                began.elapsed(),
            );
            return Ok(if is_retryable(status) {
                Tried::Failed(reply)
            } else {
                Tried::Final(reply)
            });
        }
        let is_stream = answer
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/event-stream"));
        let tried = if self.envelope.stream && is_stream {
            self.stream(session, candidate, prepared, answer).await?
        } else {
            self.json(session, candidate, prepared, answer).await?
        };
        let (counted, outcome) = match (&tried, self.close.outcome) {
            (Tried::Over, outcome @ Outcome::Complete) => (AttemptOutcome::Complete, outcome.as_str()),
            (Tried::Over, outcome @ Outcome::ClientGone) => (AttemptOutcome::ClientGone, outcome.as_str()),
            (Tried::Over, outcome) => (AttemptOutcome::AnswerFailed, outcome.as_str()),
            (Tried::Failed(_) | Tried::Final(_), _) => (AttemptOutcome::AnswerFailed, "answer_failed"),
        };
        self.note_attempt(candidate, counted, outcome, Some(status), began.elapsed());
        Ok(tried)
    }

    async fn stream(
        &mut self,
        session: &mut ServerSession,
        candidate: &Candidate,
        prepared: Prepared,
        answer: Answer,
    ) -> pingora_error::Result<Tried> {
        let mut rewriter = answers::rewriter(prepared.answer, self.context.id);
        let extra = dropped_extra(&prepared.dropped);
        let mut pump = Pump {
            session,
            rewriter: &mut rewriter,
            id: self.context.id,
            extra: &extra,
            pace: Pace {
                idle: self.snapshot.idle,
                ping: self.snapshot.ping,
                ends: tokio::time::Instant::from_std(self.context.started + self.snapshot.total),
            },
            cut: self.gateway.cut.clone(),
            first_byte: None,
        };
        self.gateway.metrics.open_streams.inc();
        let ended = Box::pin(pump.run(answer)).await;
        self.gateway.metrics.open_streams.dec();
        let first_byte = pump.first_byte.map(tokio::time::Instant::into_std);
        self.close.ttfb_us = first_byte.map(|at| micros(at.duration_since(self.context.started)));
        let observed = rewriter.observed().clone();
        match ended {
            Ended::Unsent(fault) => {
                let retryable = StatusCode::from_u16(fault.status).is_ok_and(is_retryable);
                let reply = Reply::Fault(fault);
                return Ok(if retryable {
                    Tried::Failed(reply)
                } else {
                    Tried::Final(reply)
                });
            }
            Ended::Told => self.note_told(&observed),
            Ended::ClientGone => self.close.outcome = Outcome::ClientGone,
        }
        self.close.status = first_byte.map(|_| StatusCode::OK.as_u16());
        self.note_observed(candidate, &observed);
        if matches!(ended, Ended::ClientGone) {
            return pingora_error::Error::e_explain(
                pingora_error::ErrorType::ConnectionClosed,
                "the client left",
            );
        }
        Ok(Tried::Over)
    }

    fn note_told(&mut self, observed: &Observed) {
        match &observed.outcome {
            StreamOutcome::Complete => self.close.outcome = Outcome::Complete,
            StreamOutcome::Failed(fault) => self.close.error_kind = Some(fault.kind.as_str().into()),
            StreamOutcome::Open | StreamOutcome::Broken => {
                self.close.error_kind = Some("stream_broken".into());
            }
        }
    }

    async fn json(
        &mut self,
        session: &mut ServerSession,
        candidate: &Candidate,
        prepared: Prepared,
        mut answer: Answer,
    ) -> pingora_error::Result<Tried> {
        let whole = tokio::select! {
            biased;
            whole = answer.whole(self.snapshot.answer_bytes_max, self.snapshot.idle) => whole,
            _ = session.read_body_or_idle(true) => {
                self.close.outcome = Outcome::ClientGone;
                return pingora_error::Error::e_explain(pingora_error::ErrorType::ConnectionClosed, "the client left");
            }
        };
        let body = match whole {
            Ok(body) => body,
            Err(fault) => return Ok(Tried::Failed(body_fault_reply(&fault))),
        };
        answer.release().await;
        let wants_stream = self.envelope.stream;
        let (bytes, observed, content_type) =
            match answers::whole(&prepared.answer, &body, self.context.id, wants_stream) {
                Ok(rewritten) => rewritten,
                Err(fault) => {
                    let retryable = StatusCode::from_u16(fault.status).is_ok_and(is_retryable);
                    let reply = Reply::Fault(fault);
                    return Ok(if retryable {
                        Tried::Failed(reply)
                    } else {
                        Tried::Final(reply)
                    });
                }
            };
        self.note_observed(candidate, &observed);
        self.close.status = Some(StatusCode::OK.as_u16());
        self.close.ttfb_us = Some(micros(self.context.started.elapsed()));
        let extra = dropped_extra(&prepared.dropped);
        let sent = respond::whole(
            session,
            StatusCode::OK,
            content_type,
            &extra,
            self.context.id,
            bytes,
        )
        .await;
        self.close.outcome = if sent.is_ok() {
            Outcome::Complete
        } else {
            Outcome::ClientGone
        };
        sent.map(|()| Tried::Over)
    }

    /// What an upstream's refusal becomes.
    async fn upstream_refused(&self, candidate: &Candidate, mut answer: Answer) -> Reply {
        let status = answer.status().as_u16();
        let retry_after = answer.header("retry-after").map(str::to_owned);
        let body = answer
            .whole(ERROR_BYTES_MAX, ERROR_DEADLINE)
            .await
            .unwrap_or_default();
        if !body.is_empty() {
            answer.release().await;
        }
        let dialect = candidate.upstream.dialect;
        match upstream_error(dialect, status, retry_after.as_deref(), &body) {
            ClientError::Relay { status } => Reply::Relay {
                status,
                body,
                retry_after,
            },
            ClientError::Own(fault) => Reply::Fault(fault),
        }
    }

    /// Tells the client what the last candidate came to.
    async fn reply(&mut self, session: &mut ServerSession, reply: Reply) -> pingora_error::Result<()> {
        let told = match reply {
            Reply::Refusal(refusal) => {
                let agent = session.get_header_bytes(http::header::USER_AGENT);
                let (status, kind) = refuse::status_and_type(refusal.kind, agent);
                self.close.status = Some(status.as_u16());
                self.close.error_kind = Some(kind.into());
                self.gateway.metrics.refused(refusal.kind.as_str());
                refuse::send(session, &refusal, ErrorShape::Anthropic, self.context.id).await
            }
            Reply::Fault(fault) => {
                self.close.status = Some(fault.status);
                self.close.error_kind = Some(fault.kind.as_str().into());
                answers::send_fault(session, &fault, self.context.id).await
            }
            Reply::Relay {
                status,
                body,
                retry_after,
            } => {
                self.close.status = Some(status);
                self.close.error_kind = Some("upstream".into());
                answers::send_relay(session, status, body, retry_after.as_deref(), self.context.id).await
            }
        };
        if told.is_err() {
            self.close.outcome = Outcome::ClientGone;
        }
        told
    }

    fn note_prepared(&mut self, candidate: &Candidate, prepared: &Prepared) {
        self.close.upstream = Some(candidate.upstream.name.clone());
        self.close.upstream_dialect = Some(candidate.upstream.dialect.as_str().into());
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

    fn note_attempt(
        &mut self,
        candidate: &Candidate,
        counted: AttemptOutcome,
        outcome: &str,
        status: Option<StatusCode>,
        took: Duration,
    ) {
        let name = &candidate.upstream.name;
        candidate.upstream.meters.attempted(counted);
        self.close.attempts.push(Attempt {
            upstream: name.clone(),
            outcome: outcome.into(),
            status: status.map(|status| status.as_u16()),
            duration_us: micros(took),
        });
    }

    fn note_observed(&mut self, candidate: &Candidate, observed: &Observed) {
        if let Some(model) = &observed.served_model {
            self.close.served_model = Some(model.clone());
        }
        self.close.stop_reason = observed.stop_reason.as_deref().map(bounded);
        let Some(usage) = observed.usage else { return };
        self.close.usage = usage;
        // What an aborted answer costs is only known to the upstream: our count is a lower bound.
        self.close.usage_estimated = observed.usage_estimated || self.close.outcome == Outcome::ClientGone;
        let model = &candidate.served_model;
        self.close.cost = match self
            .snapshot
            .prices
            .cost(&candidate.upstream.provider, model, &usage)
        {
            prices::Cost::Known(amount) if self.close.usage_estimated => Cost::Estimated(amount),
            prices::Cost::Known(amount) => Cost::Priced(amount),
            prices::Cost::Unknown => Cost::Unknown,
        };
    }
}

/// Whether another candidate may do better.
fn is_retryable(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::UNAUTHORIZED
                | StatusCode::PAYMENT_REQUIRED
                | StatusCode::FORBIDDEN
                | StatusCode::REQUEST_TIMEOUT
                | StatusCode::TOO_MANY_REQUESTS
        )
}

fn unprepared_reply(unprepared: &Unprepared) -> Tried {
    let refusal = match unprepared {
        Unprepared::Untranslatable(cause) => Refusal::new(Kind::Malformed, cause.client_text()),
        Unprepared::NotSupported => Refusal::new(
            Kind::NotSupported,
            "the upstream of this model cannot count tokens: estimate them, or ask for another model",
        ),
        Unprepared::Misfit(_) => Refusal::new(
            Kind::Internal,
            "the request could not be edited: look into the gateway's log",
        ),
    };
    Tried::Failed(Reply::Refusal(refusal))
}

/// How a failure before the head of an answer is counted.
const fn failed(failure: &Failure) -> AttemptOutcome {
    match failure {
        Failure::Resolve(_) | Failure::NoServerName | Failure::Connect(_) => AttemptOutcome::Connect,
        Failure::Head(_) => AttemptOutcome::Unsendable,
        Failure::Broken(_) => AttemptOutcome::Reset,
        Failure::Slow(_) => AttemptOutcome::Timeout,
    }
}

fn failure_reply(failure: &Failure) -> Reply {
    let refusal = if failure.is_timeout() {
        Refusal::new(
            Kind::UpstreamTimeout,
            "the upstream did not answer in time: try again",
        )
    } else {
        Refusal::new(Kind::UpstreamFailed, "the upstream cannot be reached: try again")
    };
    Reply::Refusal(refusal)
}

fn body_fault_reply(fault: &BodyFault) -> Reply {
    let refusal = match fault {
        BodyFault::Broken(_) => {
            Refusal::new(Kind::UpstreamFailed, "the upstream's answer broke off: try again")
        }
        BodyFault::Silent(_) => Refusal::new(Kind::UpstreamTimeout, "the upstream fell silent: try again"),
        BodyFault::TooLarge(_) => Refusal::new(
            Kind::UpstreamFailed,
            "the upstream's answer is larger than the gateway reads",
        ),
    };
    Reply::Refusal(refusal)
}

/// The header that names what translation lost, if anything.
fn dropped_extra(dropped: &[crate::pipeline::translate::Dropped]) -> Vec<Extra> {
    let value = dropped_header(dropped).and_then(|text| http::HeaderValue::try_from(text).ok());
    value
        .map(|value| (http::HeaderName::from_static("x-tollgate-dropped"), value))
        .into_iter()
        .collect()
}

/// A text of an upstream, cut to what a row keeps.
fn bounded(text: &str) -> Box<str> {
    text.chars().take(128).collect::<String>().into()
}
