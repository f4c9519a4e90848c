//! A model request, from its head to its closed record. This file is the walk; each step is a
//! stage's own.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;
use pingora_core::protocols::http::ServerSession;
use tokio::sync::watch;

use crate::dialect::operation::Operation;
use crate::gateway::attempts::{Attempts, Question};
use crate::gateway::context::Context;
use crate::gateway::facts::{facts, permitted};
use crate::gateway::intake::Body;
use crate::gateway::proxy::Gateway;
use crate::gateway::refuse;
use crate::gateway::request_line;
use crate::gateway::snapshot::Snapshot;
use crate::journal::leaf::decision::{self, DecisionRow};
use crate::pipeline::admit::Admission;
use crate::pipeline::coalesce::{self, Row};
use crate::pipeline::decide::decide;
use crate::pipeline::decide::verdict::{Decision, DenialKind, Permit};
use crate::pipeline::envelope::{self, Envelope};
use crate::pipeline::identify::reason::NotIdentified;
use crate::pipeline::inspect::bad::BadBody;
use crate::pipeline::inspect::index::index;
use crate::pipeline::inspect::inspection::{Actions, Inspection, inspect};
use crate::pipeline::record::ledger::Unrecorded;
use crate::pipeline::record::{self, Declined, OpenRecord};
use crate::pipeline::refusal::{Kind, Refusal};
use crate::pipeline::route::{Asked, Candidate};
use crate::telemetry::metrics::words::{Endpoint, Stage};
use crate::types::digest::Sha256;
use crate::types::principal::Principal;

/// Bodies beyond this size are inspected on a thread of their own, in bytes.
const INSPECTED_INLINE_MAX: usize = 256 * 1024;

/// The rate limit, as rows name it.
const RATE_RULE: &str = "requests_per_minute";

/// How long a request may take to end by itself once the gateway has to end.
const CUT_PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);

/// When to come back after the ledger could not be written.
const LEDGER_RETRY_AFTER: std::time::Duration = std::time::Duration::from_secs(5);

/// A refusal of an identified caller, with what its record says.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) refusal: Refusal,
    /// Why, for people who read records, where it differs from what the client is told.
    pub(super) reason: Option<Cow<'static, str>>,
    pub(super) decisions: Vec<DecisionRow>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            reason: None,
            decisions: Vec::new(),
        }
    }
}

/// What the stages before the record came to.
struct Decided {
    question: Question,
    permit: Permit,
    candidates: Vec<Candidate>,
    /// When the body had been read.
    read_at: Instant,
    /// When the decision was made.
    at: Instant,
}

/// Serves a governed request. An error means that nothing more can be said on this connection.
pub(super) async fn serve(
    gateway: &Gateway,
    snapshot: &Snapshot,
    session: &mut ServerSession,
    context: &Context,
    operation: Operation,
) -> pingora_error::Result<()> {
    let endpoint = metered(operation);
    let mut watch = gateway.metrics.stages.watch(context.started);
    let headers = &session.req_header().headers;
    let principal = match identify(gateway, headers).await {
        Ok(principal) => principal,
        Err(refusal) => {
            return gateway
                .refuse(session, &refusal, operation.family(), context, endpoint, None)
                .await;
        }
    };
    watch.ended(Stage::Identify);
    let mut envelope = Envelope {
        id: context.id,
        started_at: context.at,
        peer: context.peer.clone(),
        labels: envelope::labels(headers, &context.trace.id),
        principal,
        operation,
        config_generation: snapshot.generation,
        policy_digest: snapshot.policies.digest(),
        requested_model: None,
        stream: false,
        request_digest: None,
    };
    if let Some(refused) = over_rate(gateway, snapshot, &envelope) {
        return decline_rate(gateway, session, context, &envelope, refused).await;
    }
    let decided = match decide_request(gateway, snapshot, session, &mut envelope).await {
        Ok(decided) => decided,
        Err(refused) => return decline(gateway, session, context, &envelope, refused).await,
    };
    let mut watch = gateway.metrics.stages.watch(decided.at);
    let opened = record::open(
        &gateway.ledger,
        &envelope,
        &decided.question.inspection,
        &decided.permit,
    )
    .await;
    let record = match opened {
        Ok(record) => record,
        Err(error) => {
            let refusal = unrecordable(context, &error);
            let principal = Some(&envelope.principal);
            return gateway
                .refuse(
                    session,
                    &refusal,
                    operation.family(),
                    context,
                    endpoint,
                    principal,
                )
                .await;
        }
    };
    watch.ended(Stage::Record);
    gateway
        .metrics
        .governed_in(watch.last().duration_since(decided.read_at));
    forward(gateway, snapshot, session, context, &envelope, decided, record).await
}

/// The name under which an operation is counted.
pub(super) const fn metered(operation: Operation) -> Endpoint {
    match operation {
        Operation::Messages => Endpoint::Messages,
        Operation::CountTokens => Endpoint::CountTokens,
        Operation::ChatCompletions => Endpoint::ChatCompletions,
        Operation::Embeddings => Endpoint::Embeddings,
        Operation::Responses => Endpoint::Responses,
    }
}

/// Identifies the caller of a request from its head.
pub(super) async fn identify(gateway: &Gateway, headers: &HeaderMap) -> Result<Principal, Refusal> {
    gateway.authenticator.identify(headers).await.map_err(|not| {
        let kind = match not {
            NotIdentified::Missing | NotIdentified::Rejected(_) => Kind::NotIdentified,
            NotIdentified::CannotVerify => Kind::CannotVerify,
        };
        let refusal = Refusal::new(kind, not.client_text());
        if kind == Kind::CannotVerify {
            refusal.retry_after(LEDGER_RETRY_AFTER)
        } else {
            refusal
        }
    })
}

/// Reads, inspects, routes and decides.
async fn decide_request(
    gateway: &Gateway,
    snapshot: &Snapshot,
    session: &mut ServerSession,
    envelope: &mut Envelope,
) -> Result<Decided, Refused> {
    let mut watch = gateway.metrics.stages.watch(Instant::now());
    let body = snapshot.intake.read(session).await?;
    watch.ended(Stage::Intake);
    let read_at = watch.last();
    envelope.request_digest = Some(Sha256::of(&body.bytes));
    let inspection = inspect_body(gateway, snapshot, envelope, &body).await?;
    watch.ended(Stage::Inspect);
    let index = inspection.index();
    envelope.requested_model = Some(index.model().clone());
    envelope.stream = index.stream();
    let candidates = snapshot.routes.candidates(&Asked {
        principal: &envelope.principal,
        index,
        at: envelope.started_at,
        client_session: envelope.labels.session.as_deref(),
    });
    watch.ended(Stage::Route);
    let certificate = envelope.peer.certificate.as_ref();
    let facts = facts(&envelope.principal, certificate, &inspection, &candidates);
    let decision = decide(&facts, &snapshot.policies, &*gateway.clock);
    watch.ended(Stage::Decide);
    match decision {
        Decision::Permit(permit) => {
            let candidates = permitted(candidates, &permit);
            Ok(Decided {
                question: Question::new(inspection, body),
                permit,
                candidates,
                read_at,
                at: watch.last(),
            })
        }
        Decision::Deny(denial) => {
            let kind = match denial.kind {
                DenialKind::UnknownModel => Kind::NotFound,
                DenialKind::Policy => Kind::Policy,
                DenialKind::Secret => Kind::Secret,
            };
            let mut decisions = record::rows(&denial.verdicts);
            decisions.extend(record::finding_rows(&inspection));
            // Unknown models read the same for everybody, with nothing of the request in the text.
            let message = match kind {
                Kind::NotFound => denial.client_text().to_owned(),
                _ => format!("{} (request {})", denial.client_text(), envelope.id.wire()),
            };
            Err(Refused {
                refusal: Refusal::new(kind, message),
                reason: Some(Cow::Owned(denial.reason.to_string())),
                decisions,
            })
        }
    }
}

async fn inspect_body(
    gateway: &Gateway,
    snapshot: &Snapshot,
    envelope: &Envelope,
    body: &Body,
) -> Result<Inspection, Refused> {
    let memory = gateway.memories.of(envelope.principal.tenant);
    let (bytes, operation) = (body.bytes.clone(), envelope.operation);
    let detectors = Arc::clone(&snapshot.detectors);
    let work = move || {
        let index = index(&bytes, operation)?;
        Ok::<Inspection, BadBody>(inspect(index, &detectors, &Actions::SHIPPED, &memory))
    };
    let inspected = if body.bytes.len() > INSPECTED_INLINE_MAX {
        tokio::task::spawn_blocking(work).await.map_err(|_| {
            Refusal::new(
                Kind::Internal,
                "the request could not be inspected: look into the gateway's log",
            )
        })?
    } else {
        work()
    };
    inspected.map_err(|bad| Refusal::new(Kind::Malformed, bad.client_text()).into())
}

/// Tries the candidates, answers, and closes the record.
async fn forward(
    gateway: &Gateway,
    snapshot: &Snapshot,
    session: &mut ServerSession,
    context: &Context,
    envelope: &Envelope,
    decided: Decided,
    record: OpenRecord,
) -> pingora_error::Result<()> {
    gateway.metrics.open_requests.inc();
    let mut attempts = Attempts::new(
        gateway,
        snapshot,
        context,
        envelope,
        decided.question,
        &decided.candidates,
    );
    let told = tokio::select! {
        biased;
        told = attempts.run(session, &record) => Some(told),
        () = overdue(gateway.cut.clone()) => None,
    };
    let told = match told {
        Some(told) => told,
        None => attempts.cut_off(session).await,
    };
    gateway.metrics.open_requests.dec();
    attempts.count();
    let route = attempts.route();
    let close = attempts.into_close();
    request_line::forwarded(context, metered(envelope.operation), envelope, route, &close);
    record.close(close);
    told
}

/// Resolves when the gateway has to end and a request did not end by itself, as streams do.
async fn overdue(mut cut: watch::Receiver<bool>) {
    if cut.wait_for(|cut| *cut).await.is_err() {
        return std::future::pending().await;
    }
    tokio::time::sleep(CUT_PATIENCE).await;
}

/// The refusal of a session that asks too often.
fn over_rate(gateway: &Gateway, snapshot: &Snapshot, envelope: &Envelope) -> Option<Refusal> {
    match snapshot.limits.admit(&envelope.principal, gateway.clock.now()) {
        Admission::Admitted { .. } => None,
        Admission::Limited { retry_after } => {
            let millis = retry_after.as_millis();
            let message = format!("too many requests in this session: try again in {millis} ms");
            Some(Refusal::new(Kind::Rate, message).retry_after(retry_after))
        }
    }
}

/// Refuses for the rate. Repeated refusals become one counted row, so that a flood of requests is
/// no flood of rows.
async fn decline_rate(
    gateway: &Gateway,
    session: &mut ServerSession,
    context: &Context,
    envelope: &Envelope,
    refusal: Refusal,
) -> pingora_error::Result<()> {
    let principal = &envelope.principal;
    let like = coalesce::Refused {
        tenant: principal.tenant,
        user: principal.user,
        rule: RATE_RULE.into(),
    };
    let Row::Write { count } = gateway.coalescer.refused(like, gateway.clock.now()) else {
        return gateway
            .refuse(
                session,
                &refusal,
                envelope.operation.family(),
                context,
                metered(envelope.operation),
                Some(principal),
            )
            .await;
    };
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let row = DecisionRow {
        stage: "rate".into(),
        outcome: decision::Verdict::Deny,
        rule: Some(RATE_RULE.into()),
        reason: Some(refusal.message.as_ref().into()),
        facts: None,
        duration_us: 0,
    };
    let refused = Refused {
        decisions: vec![row],
        ..Refused::from(refusal)
    };
    decline_counted(gateway, session, context, envelope, refused, count).await
}

async fn decline(
    gateway: &Gateway,
    session: &mut ServerSession,
    context: &Context,
    envelope: &Envelope,
    refused: Refused,
) -> pingora_error::Result<()> {
    decline_counted(gateway, session, context, envelope, refused, 1).await
}

/// Writes the refusal down, then sends it. If it cannot be written down, that is what the client
/// is told.
async fn decline_counted(
    gateway: &Gateway,
    session: &mut ServerSession,
    context: &Context,
    envelope: &Envelope,
    refused: Refused,
    count: u32,
) -> pingora_error::Result<()> {
    let agent = session.get_header_bytes(http::header::USER_AGENT);
    let family = envelope.operation.family();
    let (status, _) = refuse::status_and_type(refused.refusal.kind, family, agent);
    let reason = refused.reason.as_deref().unwrap_or(&refused.refusal.message);
    let declined = Declined {
        envelope,
        status: status.as_u16(),
        kind: refused.refusal.kind.as_str(),
        reason,
        decisions: refused.decisions,
        count,
        last_at: (count > 1).then(|| gateway.clock.now()),
        latency: context.started.elapsed(),
    };
    let refusal = match record::deny(&gateway.ledger, declined).await {
        Ok(()) => refused.refusal,
        Err(error) => unrecordable(context, &error),
    };
    gateway
        .refuse(
            session,
            &refusal,
            envelope.operation.family(),
            context,
            metered(envelope.operation),
            Some(&envelope.principal),
        )
        .await
}

fn unrecordable(context: &Context, error: &Unrecorded) -> Refusal {
    tracing::error!(
        request = %context.id.wire(),
        trace = %context.trace.id,
        generation = context.generation,
        policies = %context.policy_digest,
        error = %error,
        "the ledger cannot be written"
    );
    let message = format!(
        "the request cannot be recorded, so it is not forwarded: {}",
        error.client_text()
    );
    Refusal::new(Kind::AuditUnavailable, message).retry_after(LEDGER_RETRY_AFTER)
}
