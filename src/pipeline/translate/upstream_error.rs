//! Errors of upstreams, as clients shall see them.
//!
//! An error in the client's own dialect is relayed as it is; any other is told in that dialect, with the
//! class and the text that the upstream gave. Two things never pass: that our credential was refused
//! (clients would sign their user out), and where the upstream lives.

use crate::dialect::anthropic::error::{ErrorKind, read_envelope};
use crate::dialect::openai::complaint::{Complaint, in_error_body};
use crate::dialect::raw::Members;
use crate::dialect::{Dialect, Family};
use crate::pipeline::translate::answer::fault::Fault;
use crate::pipeline::translate::overflow;
use crate::pipeline::translate::redaction::cleaned;

/// What the client is told when an upstream refuses our credential.
pub(crate) const REFUSED: &str = "the upstream refused the gateway's credential; the operator must renew it";

/// The longest `retry-after` that is passed on.
const RETRY_AFTER_BYTES_MAX: usize = 64;

/// What the client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// The upstream's body, byte for byte, with this status: it is in the client's dialect.
    Relay {
        /// The HTTP status.
        status: u16,
    },
    /// An answer of our own.
    Own(Fault),
}

/// An upstream's answer with another status than 200.
#[derive(Clone, Copy, Debug, Default)]
pub struct ErrorAnswer<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The header `retry-after`.
    pub retry_after: Option<&'a str>,
    /// The class of the error, where a header names it (`x-amzn-errortype`).
    pub named: Option<&'a str>,
    /// The body, whatever it is.
    pub body: &'a [u8],
}

/// Decides what a client gets for an upstream's answer with another status than 200.
pub fn upstream_error(client: Family, upstream: Dialect, answer: &ErrorAnswer<'_>) -> ClientError {
    let ErrorAnswer {
        status,
        retry_after,
        named,
        body,
    } = *answer;
    let text = String::from_utf8_lossy(body);
    let is_told =
        Some(client) == upstream.family() && (400..600).contains(&status) && !matches!(status, 401 | 403);
    if is_told && client == Family::Anthropic && is_relayed_to_anthropic(&text) {
        return ClientError::Relay { status };
    }
    let mut complaint = in_error_body(&text);
    // Where the class was made stands behind a colon.
    let class = named.and_then(|named| named.split(':').next());
    complaint.words.extend(class.map(str::to_lowercase));
    let mut fault = classify(&complaint, Some(status));
    if is_told && client == Family::OpenAi && fault.message != REFUSED && is_openai_envelope(&text) {
        return ClientError::Relay { status };
    }
    if let Some(value) = retry_after.filter(|value| is_retry_after(value) && is_retried(fault.kind)) {
        fault.retry_after = Some(value.to_owned());
    }
    ClientError::Own(fault)
}

/// Whether asking again may help.
fn is_retried(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::RateLimit | ErrorKind::Overloaded | ErrorKind::Api
    )
}

fn is_relayed_to_anthropic(text: &str) -> bool {
    read_envelope(text).is_some_and(|(word, _)| ErrorKind::parse(&word).is_none_or(|kind| !refuses_us(kind)))
}

fn is_openai_envelope(text: &str) -> bool {
    let error = Members::read(text).and_then(|body| body.members("error"));
    error.is_some_and(|error| error.string("message").is_some())
}

/// The fault that a body with status 200, or an event in a stream, names.
pub(crate) fn fault_in_answer(complaint: &Complaint) -> Fault {
    let status = complaint.number.and_then(|number| u16::try_from(number).ok());
    if complaint.says("base_resp") {
        return minimax(complaint);
    }
    classify(complaint, status.filter(|status| (400..600).contains(status)))
}

/// Whether an error of this kind speaks of our credential.
pub(crate) fn refuses_us(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Authentication | ErrorKind::Permission)
}

fn classify(complaint: &Complaint, status: Option<u16>) -> Fault {
    if let Some(message) = overflow::message(complaint) {
        return Fault::new(ErrorKind::InvalidRequest, message);
    }
    // A model behind the upstream failed (Bedrock), and may have said how.
    let behind = complaint.number.and_then(|number| u16::try_from(number).ok());
    let behind = behind.filter(|behind| status == Some(424) && (400..600).contains(behind));
    let status = behind.or(status);
    let telling = status.filter(|status| !matches!(status, 400 | 422 | 500 | 502));
    let kind = kind_by_words(complaint, &CAUSES)
        .or_else(|| kind_by_status(telling?))
        .or_else(|| kind_by_words(complaint, &CLASSES))
        .or_else(|| kind_by_status(status?));
    let Some(kind) = kind.or(if status.is_none() {
        Some(ErrorKind::Api)
    } else {
        None
    }) else {
        return told(Fault::broken(""), complaint, status);
    };
    if refuses_us(kind) {
        return Fault::broken(REFUSED);
    }
    told(Fault::new(kind, ""), complaint, status)
}

/// Words that name a cause. They tell more than the status, which a proxy may have chosen.
const CAUSES: [(&str, ErrorKind); 16] = [
    ("insufficient_quota", ErrorKind::Billing),
    ("insufficient_balance", ErrorKind::Billing),
    ("billing", ErrorKind::Billing),
    ("insufficient_system_resource", ErrorKind::Overloaded),
    ("overloaded", ErrorKind::Overloaded),
    ("slow_down", ErrorKind::Overloaded),
    ("rate_limit", ErrorKind::RateLimit),
    ("servicequotaexceeded", ErrorKind::RateLimit),
    ("invalid_api_key", ErrorKind::Authentication),
    ("api_key_invalid", ErrorKind::Authentication),
    ("authentication", ErrorKind::Authentication),
    ("permission", ErrorKind::Permission),
    ("model_not_found", ErrorKind::NotFound),
    ("content_filter", ErrorKind::InvalidRequest),
    ("content_policy", ErrorKind::InvalidRequest),
    ("data_inspection_failed", ErrorKind::InvalidRequest),
];

/// Words that name only a class of errors. A status that says more is believed before them.
const CLASSES: [(&str, ErrorKind); 3] = [
    ("timeout", ErrorKind::Timeout),
    ("server_error", ErrorKind::Api),
    ("invalid_request", ErrorKind::InvalidRequest),
];

/// The kind of the first of these words that the complaint uses. OpenAI words a missing model as an
/// invalid request with code `model_not_found`, hence the order.
fn kind_by_words(complaint: &Complaint, words: &[(&str, ErrorKind)]) -> Option<ErrorKind> {
    words
        .iter()
        .find(|(word, _)| complaint.says(word))
        .map(|(_, kind)| *kind)
}

fn kind_by_status(status: u16) -> Option<ErrorKind> {
    Some(match status {
        401 => ErrorKind::Authentication,
        402 => ErrorKind::Billing,
        403 => ErrorKind::Permission,
        404 => ErrorKind::NotFound,
        408 | 504 => ErrorKind::Timeout,
        409 => ErrorKind::Conflict,
        413 => ErrorKind::RequestTooLarge,
        // A model behind the upstream failed (Bedrock).
        424 => ErrorKind::Api,
        429 => ErrorKind::RateLimit,
        400..500 => ErrorKind::InvalidRequest,
        503 | 529 => ErrorKind::Overloaded,
        500..600 => ErrorKind::Api,
        _ => return None,
    })
}

/// MiniMax reports errors with status 200 and numbers of its own.
fn minimax(complaint: &Complaint) -> Fault {
    let kind = match complaint.number {
        Some(1001) => ErrorKind::Timeout,
        Some(1002 | 1039 | 1041) => ErrorKind::RateLimit,
        Some(1004 | 2049) => return Fault::broken(REFUSED),
        Some(1008) => ErrorKind::Billing,
        Some(1026 | 1027 | 2013) => ErrorKind::InvalidRequest,
        _ => ErrorKind::Api,
    };
    told(Fault::new(kind, ""), complaint, None)
}

/// The fault with the upstream's text, or with one of ours where it has none.
fn told(mut fault: Fault, complaint: &Complaint, status: Option<u16>) -> Fault {
    let text = cleaned(&complaint.message);
    fault.message = match (text.is_empty(), status) {
        (false, _) => text.into_owned(),
        (true, Some(404)) => {
            // A page instead of an error is a wrong path, which no client can help.
            fault = Fault::broken("");
            "the upstream does not know this path; the operator must correct its endpoint".to_owned()
        }
        (true, Some(status)) => format!("the upstream answered with status {status} and no message"),
        (true, None) => "the upstream reported an error without a message".to_owned(),
    };
    if is_retried(fault.kind) {
        fault.retry_after = complaint.retry_after_s.map(|seconds| seconds.to_string());
    }
    fault
}

fn is_retry_after(value: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b',' | b':' | b'-' | b'+');
    !value.is_empty() && value.len() <= RETRY_AFTER_BYTES_MAX && value.bytes().all(allowed)
}

#[cfg(test)]
mod tests;
