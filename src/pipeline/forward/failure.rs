//! Why an upstream gave no usable answer.

use std::time::Duration;

use crate::egress::resolve::Unresolved;
use crate::provider::authorize::Unauthorized;

/// An attempt that failed before the head of an answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No address.
    #[error("resolve: {0}")]
    Resolve(#[from] Unresolved),
    /// TLS without a server name would verify nothing.
    #[error("tls: the endpoint has no server name to verify")]
    NoServerName,
    /// The configuration has no way to this upstream.
    #[error("the upstream has no line")]
    NoLine,
    /// No connection.
    #[error("connect: {}", .0.etype().as_str())]
    Connect(#[source] Box<pingora_error::Error>),
    /// There is no credential for the request.
    #[error("credential: {0}")]
    Credential(#[from] Unauthorized),
    /// The head could not be built.
    #[error("request head: {}", .0.etype().as_str())]
    Head(#[source] Box<pingora_error::Error>),
    /// The connection broke before the head of an answer.
    #[error("closed before an answer: {}", .0.etype().as_str())]
    Broken(#[source] Box<pingora_error::Error>),
    /// No head within the deadline.
    #[error("no answer within {} ms", .0.as_millis())]
    Slow(Duration),
}

impl Failure {
    /// The word that rows and metrics use.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Resolve(_) => "resolve",
            Self::NoServerName => "tls",
            Self::NoLine => "line",
            Self::Connect(_) => "connect",
            Self::Credential(_) => "credential",
            Self::Head(_) => "head",
            Self::Broken(_) => "reset",
            Self::Slow(_) => "first_byte_timeout",
        }
    }

    /// Whether time ran out: answered 504 instead of 502.
    pub const fn is_timeout(&self) -> bool {
        matches!(self, Self::Slow(_) | Self::Resolve(Unresolved::TimedOut))
    }
}
