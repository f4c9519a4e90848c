//! One recorded request at its candidates, in order, until one of them answers.
//!
//! Input: an open record, candidates, the client's session. Output: the client has an answer, and
//! there is a close to be written. Never: an upstream that its guard keeps requests away from, a
//! second upstream after the first byte of an answer.
//!
//! - `counting`: tokens that are counted here. `answering`: an upstream's answer on its way. `failures`: what failures become. `noted`: what is
//!   counted and written down.

mod answering;
mod counting;
mod failures;
mod noted;

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use pingora_core::protocols::http::ServerSession;

use crate::dialect::operation::Operation;
use crate::gateway::answers::{self, Reply};
use crate::gateway::context::Context;
use crate::gateway::intake::Body;
use crate::gateway::proxy::Gateway;
use crate::gateway::refuse;
use crate::gateway::snapshot::Snapshot;
use crate::journal::leaf::close::{Close, Outcome};
use crate::pipeline::envelope::Envelope;
use crate::pipeline::forward::answer::Answer;
use crate::pipeline::forward::engine::Outgoing;
use crate::pipeline::forward::failure::Failure;
use crate::pipeline::forward::head::{self, ClientHead};
use crate::pipeline::inspect::inspection::Inspection;
use crate::pipeline::record::aborted::Asked;
use crate::pipeline::record::{OpenRecord, micros};
use crate::pipeline::refusal::{Kind, Refusal};
use crate::pipeline::route::Candidate;
use crate::pipeline::route::guard::{self, Skip, Ticket};
use crate::pipeline::translate::prepare::{Prepared, input_tokens, prepare};
use crate::telemetry::metrics::words::{AttemptOutcome, Stage};

/// What the record says of requests that outlasted the gateway.
const CUT_OFF: &str = "shutdown";

/// The attempts of one request, and what will be written down about them.
pub(super) struct Attempts<'a> {
    gateway: &'a Gateway,
    snapshot: &'a Snapshot,
    context: &'a Context,
    envelope: &'a Envelope,
    /// What is asked, until an answer has begun: then nobody is asked again, and a stream that lasts for
    /// minutes holds no conversation in memory.
    question: Option<Question>,
    close: Close,
    /// The candidate tried last.
    last: Option<&'a Candidate>,
    candidates: &'a [Candidate],
    /// What was asked for, as far as it bounds the bill.
    asked: Asked,
    /// What the next attempt is to an upstream's retry budget.
    next: guard::Attempt,
}

/// What candidates are asked.
pub(super) struct Question {
    /// The request, as it was inspected.
    pub(super) inspection: Inspection,
    /// The body takes room until this is dropped.
    _body: Body,
}

impl Question {
    pub(super) const fn new(inspection: Inspection, body: Body) -> Self {
        Self {
            inspection,
            _body: body,
        }
    }
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
    /// Nothing was sent: tokens were to be counted, and cannot be for this model.
    Uncounted,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(
        gateway: &'a Gateway,
        snapshot: &'a Snapshot,
        context: &'a Context,
        envelope: &'a Envelope,
        question: Question,
        candidates: &'a [Candidate],
    ) -> Self {
        let mut close = Close::bare(envelope.act(), Outcome::Error);
        let index = question.inspection.index();
        let asked = Asked {
            input: input_tokens(index),
            output_max: match index.operation() {
                Operation::Embeddings => Some(0),
                _ => index.max_tokens(),
            },
        };
        close.redactions = u32::try_from(question.inspection.splices().len()).unwrap_or(u32::MAX);
        Self {
            gateway,
            snapshot,
            context,
            envelope,
            question: Some(question),
            close,
            last: None,
            candidates,
            asked,
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
            match self.count_here(session, candidate).await? {
                Some(Tried::Over | Tried::Uncounted) => return Ok(()),
                Some(Tried::Failed(reply) | Tried::Final(reply)) => return self.reply(session, reply).await,
                None => {}
            }
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
            let tried = match self.attempt(session, record, candidate, &mut ticket).await? {
                Tried::Uncounted => self.estimate(session, candidate).await?,
                tried => tried,
            };
            match tried {
                Tried::Over | Tried::Uncounted => return Ok(()),
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
        self.candidates.first().map(|candidate| candidate.meters.name())
    }

    /// Ends a request that did not end by itself when the gateway had to.
    pub(super) async fn cut_off(&mut self, session: &mut ServerSession) -> pingora_error::Result<()> {
        let begun = session
            .response_written()
            .is_some_and(|head| !head.status.is_informational());
        if begun {
            if let Some(candidate) = self.last {
                // Its stream went with it; what it had seen is not known any more.
                self.note_unseen(candidate);
            }
            self.close.error_kind = Some(CUT_OFF.into());
            return pingora_error::Error::e_explain(pingora_error::ErrorType::ConnectionClosed, CUT_OFF);
        }
        let refusal = Refusal::new(
            Kind::Overloaded,
            "the gateway is shutting down: send the request again",
        );
        let told = self.reply(session, Reply::Refusal(refusal)).await;
        self.close.error_kind = Some(CUT_OFF.into());
        told
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
        let Some(question) = &self.question else {
            return Ok(Tried::Over);
        };
        let prepared = match prepare(&question.inspection, candidate, &session.req_header().headers) {
            Ok(prepared) => prepared,
            Err(unprepared) => return Ok(Tried::Failed(failures::unprepared_reply(&unprepared))),
        };
        self.note_prepared(candidate, &prepared);
        watch.ended(Stage::Translate);
        let began = watch.last();
        let on_its_way = AtomicBool::new(false);
        let sent = self
            .send(session, record, candidate, &prepared, &on_its_way)
            .await;
        let took = began.elapsed();
        match sent {
            None => {
                if on_its_way.into_inner() {
                    self.note_unseen(candidate);
                }
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
                tracing::warn!(
                    request = %self.context.id.wire(),
                    trace = %self.context.trace.id,
                    generation = self.context.generation,
                    policies = %self.context.policy_digest,
                    upstream = %candidate.upstream.name,
                    error = %failure,
                    "attempt failed"
                );
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
        on_its_way: &AtomicBool,
    ) -> Option<Result<Answer, Failure>> {
        let upstream = &candidate.upstream;
        let Some(line) = self.snapshot.lines.to(&upstream.name) else {
            return Some(Err(Failure::NoLine));
        };
        let leased = tokio::select! {
            biased;
            leased = upstream.provider.authorization().lease() => leased,
            _ = session.read_body_or_idle(true) => return None,
        };
        let asked = session.req_header();
        let client = ClientHead {
            headers: &asked.headers,
            query: asked.uri.query(),
            onward: upstream
                .trace_context
                .then(|| self.context.trace.onward(self.close.attempts.len())),
        };
        let built = leased
            .map_err(Failure::from)
            .and_then(|credential| head::build(candidate, prepared, &client, &credential));
        let head = match built {
            Ok(head) => head,
            Err(failure) => return Some(Err(failure)),
        };
        let outgoing = Outgoing {
            head: &head,
            body: &prepared.body,
            sent: on_its_way,
        };
        tokio::select! {
            biased;
            sent = self.gateway.engine.send(record, upstream, line, &outgoing, self.snapshot.deadlines) => Some(sent),
            _ = session.read_body_or_idle(true) => None,
        }
    }

    /// Tells the client what the last candidate came to.
    async fn reply(&mut self, session: &mut ServerSession, reply: Reply) -> pingora_error::Result<()> {
        let family = self.envelope.operation.family();
        let told = match reply {
            Reply::Refusal(refusal) => {
                let agent = session.get_header_bytes(http::header::USER_AGENT);
                let (status, kind) = refuse::status_and_type(refusal.kind, family, agent);
                self.close.status = Some(status.as_u16());
                self.close.error_kind = Some(kind.into());
                self.gateway.metrics.refused(refusal.kind.as_str());
                refuse::send(session, &refusal, family, self.context.id).await
            }
            Reply::Fault(fault) => {
                let status = answers::fault_status(&fault, family);
                self.close.status = Some(status.as_u16());
                self.close.error_kind = Some(fault.kind.as_str().into());
                answers::send_fault(session, &fault, status, family, self.context.id).await
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
