//! From the head of an upstream's answer to its end at the client.

use std::time::{Duration, Instant};

use http::StatusCode;
use pingora_core::protocols::http::ServerSession;

use crate::gateway::answers::{self, Reply};
use crate::gateway::attempts::noted::bounded;
use crate::gateway::attempts::{Attempts, Tried, client_left, failures};
use crate::gateway::exchange::{Ended, Pace, Pump};
use crate::gateway::respond::{self, Extra};
use crate::journal::leaf::close::Outcome;
use crate::pipeline::forward::answer::Answer;
use crate::pipeline::record::micros;
use crate::pipeline::route::Candidate;
use crate::pipeline::route::guard::Ticket;
use crate::pipeline::route::guard::rest::Cause;
use crate::pipeline::translate::prepare::Prepared;
use crate::pipeline::translate::{ClientError, ErrorAnswer, dropped_header, upstream_error};
use crate::telemetry::metrics::words::AttemptOutcome;

/// The largest error body of an upstream that is read, in bytes.
const ERROR_BYTES_MAX: usize = 1024 * 1024;

/// How long it is waited for.
const ERROR_DEADLINE: Duration = Duration::from_secs(10);

impl Attempts<'_> {
    /// Answers the client with what the upstream answered.
    pub(super) async fn answered(
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
            .or(answer.header("x-amzn-requestid"))
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
            return Ok(if self.cannot_count(&reply) {
                Tried::Uncounted
            } else if failures::is_retryable(status) {
                Tried::Failed(reply)
            } else {
                Tried::Final(reply)
            });
        }
        let kind = answer.header("content-type").unwrap_or_default();
        let frames = candidate.upstream.provider.frames(kind);
        let is_stream = frames.is_some() || kind.starts_with("text/event-stream");
        let answer = answer.framed(frames);
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
        let Prepared {
            answer: plan,
            dropped,
            ..
        } = prepared;
        let mut rewriter = answers::rewriter(plan, self.context.id);
        let extra = dropped_extra(&dropped);
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
            question: &mut self.question,
            first_byte: None,
            hung_up: false,
        };
        self.gateway.metrics.open_streams.inc();
        let ended = pump.run(answer).await;
        self.gateway.metrics.open_streams.dec();
        let first_byte = pump.first_byte.map(tokio::time::Instant::into_std);
        self.close.ttfb_us = first_byte.map(|at| micros(at.duration_since(self.context.started)));
        let hung_up = pump.hung_up;
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
        if hung_up {
            self.note_hung_up(candidate, &observed);
        } else {
            self.note_observed(candidate, &observed);
        }
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
                self.note_unseen(candidate);
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
        let named = answer.header("x-amzn-errortype").map(str::to_owned);
        let body = answer
            .whole(ERROR_BYTES_MAX, ERROR_DEADLINE)
            .await
            .unwrap_or_default();
        if !body.is_empty() {
            answer.release().await;
        }
        let dialect = candidate.dialect();
        let client = self.envelope.operation.family();
        let said = ErrorAnswer {
            status,
            retry_after: retry_after.as_deref(),
            named: named.as_deref(),
            body: &body,
        };
        let error = upstream_error(client, dialect, &said);
        // Some say when to come back in the body only.
        let told = match &error {
            ClientError::Own(fault) => fault.retry_after.as_deref(),
            ClientError::Relay { .. } => None,
        };
        if let (Some(cause), Some(after)) = (Cause::of_status(status), retry_after.as_deref().or(told)) {
            let guard = &candidate.upstream.guard;
            guard.rest(&candidate.served_model, cause, after);
        }
        match error {
            ClientError::Relay { status } => Reply::Relay {
                status,
                body,
                retry_after,
            },
            ClientError::Own(fault) => Reply::Fault(fault),
        }
    }
}

/// The header that names what translation lost, if anything.
fn dropped_extra(dropped: &[crate::pipeline::translate::Dropped]) -> Vec<Extra> {
    let value = dropped_header(dropped).and_then(|text| http::HeaderValue::try_from(text).ok());
    value
        .map(|value| (http::HeaderName::from_static("x-tollgate-dropped"), value))
        .into_iter()
        .collect()
}
