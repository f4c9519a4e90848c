//! Why an answer cannot be had, in words for the client.

use crate::dialect::anthropic::error::ErrorKind;

/// A failure of the upstream, as the client shall see it: a status and an envelope while nothing has
/// been sent, a terminal `error` event afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The HTTP status.
    pub status: u16,
    /// The `error.type`.
    pub kind: ErrorKind,
    /// Text for the client: no host names, no credentials.
    pub message: String,
    /// The value of `retry-after`, where the upstream gave one that still holds.
    pub retry_after: Option<String>,
}

impl Fault {
    /// A fault with the status that its kind usually has.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            status: kind.status(),
            kind,
            message: message.into(),
            retry_after: None,
        }
    }

    /// The upstream broke the rules of its own format, or broke off.
    pub fn broken(message: impl Into<String>) -> Self {
        Self {
            status: 502,
            ..Self::new(ErrorKind::Api, message)
        }
    }
}
