//! What failures of upstreams become: for the client, for metrics, for the upstream's guard.

use http::StatusCode;

use crate::dialect::operation::Operation;
use crate::gateway::answers::Reply;
use crate::pipeline::forward::answer::BodyFault;
use crate::pipeline::forward::failure::Failure;
use crate::pipeline::refusal::{Kind, Refusal};
use crate::pipeline::route::guard::breaker::Verdict;
use crate::pipeline::route::guard::rest::Cause;
use crate::pipeline::route::guard::{Attempt, Skip};
use crate::pipeline::translate::prepare::Unprepared;
use crate::telemetry::metrics::words::{AttemptOutcome, SkipReason};

/// Whether another candidate may do better.
pub(super) fn is_retryable(status: StatusCode) -> bool {
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

/// What the client is told about a request that cannot be put in an upstream's words.
pub(super) fn unprepared_reply(unprepared: &Unprepared) -> Reply {
    let refusal = match unprepared {
        Unprepared::Untranslatable(cause) => Refusal::new(Kind::Malformed, cause.client_text()),
        Unprepared::NotSupported(Operation::CountTokens) => Refusal::new(
            Kind::NotSupported,
            "the upstream of this model cannot count tokens: estimate them, or ask for another model",
        ),
        Unprepared::NotSupported(operation) => Refusal::new(
            Kind::NotSupported,
            format!(
                "the upstream of this model has no {}: ask for a model that an OpenAI-compatible upstream serves",
                operation.as_str()
            ),
        ),
        Unprepared::Unfit(unfit) => Refusal::new(Kind::Malformed, unfit.to_string()),
        Unprepared::Misfit(_) => Refusal::new(
            Kind::Internal,
            "the request could not be edited: look into the gateway's log",
        ),
    };
    Reply::Refusal(refusal)
}

/// How a failure before the head of an answer is counted.
pub(super) const fn counted(failure: &Failure) -> AttemptOutcome {
    match failure {
        Failure::Resolve(_) | Failure::NoServerName | Failure::Connect(_) => AttemptOutcome::Connect,
        Failure::Credential(_) => AttemptOutcome::Credential,
        Failure::Head(_) | Failure::NoLine => AttemptOutcome::Unsendable,
        Failure::Broken(_) => AttemptOutcome::Reset,
        Failure::Slow(_) => AttemptOutcome::Timeout,
    }
}

/// What the client is told about an upstream that gave no answer.
pub(super) fn failure_reply(failure: &Failure) -> Reply {
    let refusal = match failure {
        Failure::Credential(_) => Refusal::new(
            Kind::UpstreamFailed,
            "the gateway has no valid credential for the upstream of this model: tell its operator",
        ),
        failure if failure.is_timeout() => Refusal::new(
            Kind::UpstreamTimeout,
            "the upstream did not answer in time: try again",
        ),
        _ => Refusal::new(Kind::UpstreamFailed, "the upstream cannot be reached: try again"),
    };
    Reply::Refusal(refusal)
}

/// What the client is told about an answer that broke off.
pub(super) fn body_fault_reply(fault: &BodyFault) -> Reply {
    let refusal = match fault {
        BodyFault::Broken(_) | BodyFault::Misframed(_) => {
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

/// What an attempt tells about the upstream.
pub(super) const fn verdict(outcome: AttemptOutcome) -> Verdict {
    match outcome {
        AttemptOutcome::Complete
        | AttemptOutcome::Credential
        | AttemptOutcome::RateLimited
        | AttemptOutcome::Declined => Verdict::Good,
        AttemptOutcome::Connect
        | AttemptOutcome::Reset
        | AttemptOutcome::Timeout
        | AttemptOutcome::AnswerFailed
        | AttemptOutcome::Overloaded
        | AttemptOutcome::ServerError => Verdict::Bad,
        AttemptOutcome::ClientGone | AttemptOutcome::Unsendable => Verdict::Unknown,
    }
}

/// What the next attempt is after this one. Only failures that come of load make a retry that adds to
/// it: an upstream that refuses our credential has done no work.
pub(super) const fn next_attempt(outcome: AttemptOutcome) -> Attempt {
    match outcome {
        AttemptOutcome::Credential | AttemptOutcome::Declined | AttemptOutcome::Unsendable => Attempt::First,
        _ => Attempt::Retry,
    }
}

/// How a skip is counted and recorded.
pub(super) const fn reason(skip: Skip) -> SkipReason {
    match skip {
        Skip::Resting { .. } => SkipReason::Resting,
        Skip::Broken { .. } => SkipReason::Broken,
        Skip::QueueFull => SkipReason::QueueFull,
        Skip::QueueTimeout => SkipReason::QueueTimeout,
        Skip::NoRetries => SkipReason::RetryBudget,
    }
}

/// What the client is told when no upstream was asked; an upstream that was has the word.
pub(super) fn skip_refusal(skip: Skip) -> Refusal {
    let (kind, message) = match skip {
        Skip::Resting {
            cause: Cause::RateLimited,
            ..
        } => (
            Kind::UpstreamRate,
            "the upstream of this model limits our rate: try again after the time in retry-after",
        ),
        Skip::Resting { .. } => (
            Kind::UpstreamBusy,
            "the upstream of this model is overloaded: try again after the time in retry-after",
        ),
        Skip::Broken { .. } => (
            Kind::UpstreamBusy,
            "the upstream of this model fails and is left alone for a while: try again after the time in retry-after",
        ),
        Skip::QueueFull | Skip::QueueTimeout | Skip::NoRetries => (
            Kind::UpstreamBusy,
            "too many requests wait for the upstream of this model: try again shortly",
        ),
    };
    Refusal::new(kind, message).retry_after(skip.retry_after())
}
