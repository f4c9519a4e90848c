//! One recorded request at its candidates, in order, until one of them answers.
//!
//! Input: an open record, candidates, the client's session. Output: the client has an answer, and
//! there is a close to be written. Never: an upstream that its guard keeps requests away from, a
//! second upstream after the first byte of an answer.
//!
//! - `failures`: what failures become. `noted`: what is counted and written down.

mod failures;
mod noted;

use std::time::{Duration, Instant};

use http::StatusCode;
use pingora_core::protocols::http::ServerSession;

use self::noted::bounded;
use crate::gateway::answers::{self, Reply};
use crate::gateway::context::Context;
use crate::gateway::exchange::{Ended, Pace, Pump};
use crate::gateway::proxy::Gateway;
use crate::gateway::refuse::{self, ErrorShape};
use crate::gateway::respond::{self, Extra};
use crate::gateway::snapshot::Snapshot;
use crate::journal::leaf::close::{Close, Outcome};
use crate::pipeline::envelope::Envelope;
use crate::pipeline::forward::answer::Answer;
use crate::pipeline::forward::failure::Failure;
use crate::pipeline::forward::head::{self, ClientHead};
use crate::pipeline::inspect::inspection::Inspection;
use crate::pipeline::record::{OpenRecord, micros};
use crate::pipeline::refusal::{Kind, Refusal};
use crate::pipeline::route::Candidate;
use crate::pipeline::route::guard::rest::Cause;
use crate::pipeline::route::guard::{self, Skip, Ticket};
use crate::pipeline::translate::prepare::{Prepared, prepare};
use crate::pipeline::translate::{ClientError, dropped_header, upstream_error};
use crate::telemetry::metrics::words::{AttemptOutcome, Stage};

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
    candidates: &'a [Candidate],
    /// What the next attempt is to an upstream's retry budget.
    next: guard::Attempt,
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
        candidates: &'a [Candidate],
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
            candidates,
            next: guard::Attempt::First,
        }
    }

    /// Tries the candidates in order. An error means that the client is gone.
    pub(super) async fn run(
        &mut self,
        session: &mut ServerSession,
        record: &OpenRecord,
    ) -> pingora_error::Result<()> {
        let mut told = None;
        let mut skipped: Option<Skip> = None;
        for candidate in self.candidates {
            let mut ticket = match self.enter(session, candidate).await? {
                Ok(ticket) => ticket,
                Err(skip) => {
                    // The client is told the soonest moment at which anybody may be asked.
                    let sooner = skipped.is_none_or(|other| skip.retry_after() < other.retry_after());
                    skipped = if sooner { Some(skip) } else { skipped };
                    continue;
                }
            };
            self.last = Some(candidate);
            match self.attempt(session, record, candidate, &mut ticket).await? {
                Tried::Over => return Ok(()),
                Tried::Failed(reply) => told = Some(reply),
                Tried::Final(reply) => {
                    told = Some(reply);
                    break;
                }
            }
        }
        let reply = told.or_else(|| skipped.map(|skip| Reply::Refusal(failures::skip_refusal(skip))));
        let nobody = || Refusal::new(Kind::UpstreamFailed, "no upstream is left for this request");
        self.reply(session, reply.unwrap_or_else(|| Reply::Refusal(nobody())))
            .await
    }

    /// Asks the guard of an upstream, while watching for the client's disconnect.
    async fn enter(
        &mut self,
        session: &mut ServerSession,
        candidate: &Candidate,
    ) -> pingora_error::Result<Result<Ticket, Skip>> {
        let began = Instant::now();
        let entered = tokio::select! {
            biased;
            entered = candidate.upstream.guard.enter(&candidate.served_model, self.next) => entered,
            _ = session.read_body_or_idle(true) => {
                self.close.outcome = Outcome::ClientGone;
                return Err(client_left());
            }
        };
        if let Err(skip) = entered {
            self.note_skip(candidate, skip, began.elapsed());
        }
        Ok(entered)
    }

    /// The route that was taken.
    pub(super) fn route(&self) -> Option<&'a str> {
        self.candidates
            .first()
            .map(|candidate| candidate.meters.pattern())
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
        ticket: &mut Ticket,
    ) -> pingora_error::Result<Tried> {
        let mut watch = self.gateway.metrics.stages.watch(Instant::now());
        let prepared = match prepare(self.inspection, candidate) {
            Ok(prepared) => prepared,
            Err(unprepared) => return Ok(Tried::Failed(failures::unprepared_reply(&unprepared))),
        };
        self.note_prepared(candidate, &prepared);
        watch.ended(Stage::Translate);
        let began = watch.last();
        let sent = self.send(session, record, candidate, &prepared).await;
        let took = began.elapsed();
        match sent {
            None => {
                self.note_attempt(
                    candidate,
                    ticket,
                    AttemptOutcome::ClientGone,
                    "client_gone",
                    None,
                    took,
                );
                self.close.outcome = Outcome::ClientGone;
                Err(client_left())
            }
            Some(Err(failure)) => {
                tracing::warn!(request = %self.context.id.wire(), upstream = %candidate.upstream.name, error = %failure, "attempt failed");
                self.note_attempt(
                    candidate,
                    ticket,
                    failures::counted(&failure),
                    failure.kind(),
                    None,
                    took,
                );
                Ok(Tried::Failed(failures::failure_reply(&failure)))
            }
            Some(Ok(answer)) => {
                candidate.upstream.meters.answered(took);
                self.answered(session, candidate, ticket, prepared, answer, began)
                    .await
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
        ticket: &mut Ticket,
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
                ticket,
                AttemptOutcome::of_status(status.as_u16()),
                &format!("status_{}", status.as_u16()),
                Some(status),
                began.elapsed(),
            );
            return Ok(if failures::is_retryable(status) {
                Tried::Failed(reply)
            } else {
                Tried::Final(reply)
            });
        }
        let is_stream = answer
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/event-stream"));
        let tried = if self.envelope.stream && is_stream {
            self.stream(session, candidate, ticket, prepared, answer).await
        } else {
            self.json(session, candidate, prepared, answer).await
        };
        let (counted, outcome) = match (&tried, self.close.outcome) {
            (Ok(Tried::Failed(_) | Tried::Final(_)), _) => (AttemptOutcome::AnswerFailed, "answer_failed"),
            (_, outcome @ Outcome::Complete) => (AttemptOutcome::Complete, outcome.as_str()),
            (_, outcome @ Outcome::ClientGone) => (AttemptOutcome::ClientGone, outcome.as_str()),
            (_, outcome) => (AttemptOutcome::AnswerFailed, outcome.as_str()),
        };
        let took = began.elapsed();
        self.note_attempt(candidate, ticket, counted, outcome, Some(status), took);
        tried
    }

    async fn stream(
        &mut self,
        session: &mut ServerSession,
        candidate: &Candidate,
        ticket: &mut Ticket,
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
            ticket,
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
                let retryable = StatusCode::from_u16(fault.status).is_ok_and(failures::is_retryable);
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
            return Err(client_left());
        }
        Ok(Tried::Over)
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
                return Err(client_left());
            }
        };
        let body = match whole {
            Ok(body) => body,
            Err(fault) => return Ok(Tried::Failed(failures::body_fault_reply(&fault))),
        };
        answer.release().await;
        let wants_stream = self.envelope.stream;
        let (bytes, observed, content_type) =
            match answers::whole(&prepared.answer, &body, self.context.id, wants_stream) {
                Ok(rewritten) => rewritten,
                Err(fault) => {
                    let retryable = StatusCode::from_u16(fault.status).is_ok_and(failures::is_retryable);
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
        if let (Some(cause), Some(after)) = (Cause::of_status(status), retry_after.as_deref()) {
            let guard = &candidate.upstream.guard;
            guard.rest(&candidate.served_model, cause, after);
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
}

/// The error that ends a request whose client is gone.
fn client_left() -> Box<pingora_error::Error> {
    pingora_error::Error::explain(pingora_error::ErrorType::ConnectionClosed, "the client left")
}

/// The header that names what translation lost, if anything.
fn dropped_extra(dropped: &[crate::pipeline::translate::Dropped]) -> Vec<Extra> {
    let value = dropped_header(dropped).and_then(|text| http::HeaderValue::try_from(text).ok());
    value
        .map(|value| (http::HeaderName::from_static("x-tollgate-dropped"), value))
        .into_iter()
        .collect()
}
