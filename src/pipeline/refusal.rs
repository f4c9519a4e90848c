//! We decline: the one value that says so, whatever stage it comes from.
//!
//! A refusal knows what happened and what the client may do about it. It knows no status: those
//! live in `gateway/refuse.rs`.

use std::borrow::Cow;
use std::time::Duration;

/// Why a request is declined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The credential is missing, unknown, expired, revoked, or there are two.
    NotIdentified,
    /// We cannot verify credentials at the moment.
    CannotVerify,
    /// The request is malformed.
    Malformed,
    /// The head is larger than we read.
    HeadTooLarge,
    /// The path or the model does not exist, for this caller.
    NotFound,
    /// The path exists, but not with this method.
    MethodNotAllowed,
    /// The body did not arrive whole in time.
    BodyTimeout,
    /// The body is encoded.
    Encoded,
    /// The body is too large.
    TooLarge,
    /// A policy forbids it.
    Policy,
    /// A secret was found.
    Secret,
    /// Too many requests.
    Rate,
    /// No room for another request.
    Overloaded,
    /// The ledger cannot be written.
    AuditUnavailable,
    /// The upstreams of this model asked to be left alone for a while.
    UpstreamRate,
    /// The upstreams of this model fail, are busy, or said so.
    UpstreamBusy,
    /// No upstream gave an answer.
    UpstreamFailed,
    /// No upstream answered in time.
    UpstreamTimeout,
    /// The upstream has no such operation.
    NotSupported,
    /// A defect of ours.
    Internal,
}

impl Kind {
    /// The word that rows, metrics and logs use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotIdentified => "not_identified",
            Self::CannotVerify => "cannot_verify",
            Self::Malformed => "malformed",
            Self::HeadTooLarge => "head_too_large",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::BodyTimeout => "body_timeout",
            Self::Encoded => "encoded",
            Self::TooLarge => "too_large",
            Self::Policy => "policy",
            Self::Secret => "secret",
            Self::Rate => "rate",
            Self::Overloaded => "overloaded",
            Self::AuditUnavailable => "audit_unavailable",
            Self::UpstreamRate => "upstream_rate",
            Self::UpstreamBusy => "upstream_busy",
            Self::UpstreamFailed => "upstream_failed",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::NotSupported => "not_supported",
            Self::Internal => "internal",
        }
    }
}

/// A declined request.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Why.
    pub kind: Kind,
    /// What the client reads: what is wrong and what to do. Never a secret.
    pub message: Cow<'static, str>,
    /// When to come back.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal with this text.
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            retry_after: None,
        }
    }

    /// The same refusal, with a time to come back.
    #[must_use]
    pub const fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}
