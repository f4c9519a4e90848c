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

/// Decides what a client gets for an upstream's answer with another status than 200.
pub fn upstream_error(
    client: Family,
    upstream: Dialect,
    status: u16,
    retry_after: Option<&str>,
    body: &[u8],
) -> ClientError {
    let text = String::from_utf8_lossy(body);
    let is_told =
        Some(client) == upstream.family() && (400..600).contains(&status) && !matches!(status, 401 | 403);
    if is_told && client == Family::Anthropic && is_relayed_to_anthropic(&text) {
        return ClientError::Relay { status };
    }
    let complaint = in_error_body(&text);
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
const CAUSES: [(&str, ErrorKind); 15] = [
    ("insufficient_quota", ErrorKind::Billing),
    ("insufficient_balance", ErrorKind::Billing),
    ("billing", ErrorKind::Billing),
    ("insufficient_system_resource", ErrorKind::Overloaded),
    ("overloaded", ErrorKind::Overloaded),
    ("slow_down", ErrorKind::Overloaded),
    ("rate_limit", ErrorKind::RateLimit),
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
mod tests {
    use super::*;
    use crate::dialect::anthropic::error::envelope;
    use crate::dialect::openai::complaint::in_answer;

    fn own(dialect: Dialect, status: u16, body: &str) -> Fault {
        match upstream_error(Family::Anthropic, dialect, status, Some("7"), body.as_bytes()) {
            ClientError::Own(fault) => fault,
            relayed @ ClientError::Relay { .. } => panic!("{status} {body}: {relayed:?}"),
        }
    }

    /// Status and `error` of the upstream; kind, status and message for the client.
    const CLASSES: [(u16, &str, ErrorKind, u16, &str); 19] = [
        (
            400,
            r#"{"message":"m","code":"unsupported_parameter"}"#,
            ErrorKind::InvalidRequest,
            400,
            "m",
        ),
        (422, r#"{"message":"m"}"#, ErrorKind::InvalidRequest, 400, "m"),
        (
            400,
            r#"{"message":"m","type":"invalid_request_error","code":"content_filter"}"#,
            ErrorKind::InvalidRequest,
            400,
            "m",
        ),
        (
            401,
            r#"{"message":"Incorrect API key provided: sk-abc"}"#,
            ErrorKind::Api,
            502,
            REFUSED,
        ),
        (403, r#"{"message":"m"}"#, ErrorKind::Api, 502, REFUSED),
        (
            400,
            r#"{"message":"m","code":"invalid_api_key"}"#,
            ErrorKind::Api,
            502,
            REFUSED,
        ),
        (402, r#"{"message":"m"}"#, ErrorKind::Billing, 402, "m"),
        (
            429,
            r#"{"message":"m","code":"insufficient_quota"}"#,
            ErrorKind::Billing,
            402,
            "m",
        ),
        (
            404,
            r#"{"message":"m","type":"invalid_request_error","code":"model_not_found"}"#,
            ErrorKind::NotFound,
            404,
            "m",
        ),
        (408, r#"{"message":"m"}"#, ErrorKind::Timeout, 504, "m"),
        (504, r#"{"message":"m"}"#, ErrorKind::Timeout, 504, "m"),
        (409, r#"{"message":"m"}"#, ErrorKind::Conflict, 409, "m"),
        (413, r#"{"message":"m"}"#, ErrorKind::RequestTooLarge, 413, "m"),
        (
            429,
            r#"{"message":"m","type":"rate_limit_exceeded"}"#,
            ErrorKind::RateLimit,
            429,
            "m",
        ),
        (
            500,
            r#"{"message":"m","type":"server_error"}"#,
            ErrorKind::Api,
            500,
            "m",
        ),
        (524, r#"{"message":"m"}"#, ErrorKind::Api, 500, "m"),
        (503, r#""m""#, ErrorKind::Overloaded, 529, "m"),
        (
            400,
            r#"{"message":"m","code":"context_length_exceeded"}"#,
            ErrorKind::InvalidRequest,
            400,
            "prompt is too long for this model's context",
        ),
        (
            500,
            r#"{"message":"dial tcp 10.0.0.7:8000"}"#,
            ErrorKind::Api,
            500,
            "dial tcp [removed]",
        ),
    ];

    #[test]
    fn errors_keep_their_class_and_text() {
        for (status, error, kind, told, message) in CLASSES {
            let fault = own(Dialect::OpenAiChat, status, &format!("{{\"error\":{error}}}"));
            let seen = (fault.kind, fault.status, fault.message.as_str());
            assert_eq!(seen, (kind, told, message), "{status} {error}");
        }
    }

    #[test]
    fn a_page_is_not_shown_to_clients() {
        let page = "<html><body>nginx at gpu.internal</body></html>";
        let fault = own(Dialect::OpenAiChat, 502, page);
        assert_eq!((fault.kind, fault.status), (ErrorKind::Api, 500));
        assert!(!fault.message.contains("nginx"), "{}", fault.message);
        assert_eq!(
            own(Dialect::OpenAiChat, 404, page).status,
            502,
            "a wrong path is the operator's mistake"
        );
        assert_eq!(own(Dialect::OpenAiChat, 302, "").status, 502);
        assert_eq!(
            own(Dialect::AnthropicMessages, 529, page).kind,
            ErrorKind::Overloaded
        );
    }

    #[test]
    fn retry_after_stays_where_a_retry_helps() {
        let after = |status, body, value| match upstream_error(
            Family::Anthropic,
            Dialect::OpenAiChat,
            status,
            Some(value),
            body,
        ) {
            ClientError::Own(fault) => fault.retry_after,
            ClientError::Relay { .. } => None,
        };
        assert_eq!(after(429, b"{}", "7").as_deref(), Some("7"));
        let date = "Sat, 21 Nov 2026 12:00:00 GMT";
        assert_eq!(after(503, b"{}", date).as_deref(), Some(date));
        assert_eq!(after(429, b"{}", "7\r\nx: y"), None);
        assert_eq!(
            after(429, br#"{"error":{"code":"insufficient_quota"}}"#, "7"),
            None
        );
        assert_eq!(after(400, b"{}", "7"), None);
    }

    #[test]
    fn google_tells_the_cause_and_the_delay_inside_the_body() {
        let delay = r#"{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"16.2s"}"#;
        let body = format!(
            r#"[{{"error":{{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED","details":[{delay}]}}}}]"#
        );
        let told = |retry_after| match upstream_error(
            Family::Anthropic,
            Dialect::OpenAiChat,
            429,
            retry_after,
            body.as_bytes(),
        ) {
            ClientError::Own(fault) => (fault.kind, fault.retry_after),
            relayed @ ClientError::Relay { .. } => panic!("{relayed:?}"),
        };
        assert_eq!(told(None), (ErrorKind::RateLimit, Some("17".to_owned())));
        assert_eq!(
            told(Some("3")).1.as_deref(),
            Some("3"),
            "a header says it more plainly"
        );
        let key = r#"{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT",
            "details":[{"reason":"API_KEY_INVALID"}]}}"#;
        assert_eq!(own(Dialect::OpenAiChat, 400, key).message, REFUSED);
        for (status, word, kind) in [
            (400, "FAILED_PRECONDITION", ErrorKind::InvalidRequest),
            (403, "PERMISSION_DENIED", ErrorKind::Api),
            (404, "NOT_FOUND", ErrorKind::NotFound),
            (500, "INTERNAL", ErrorKind::Api),
            (503, "UNAVAILABLE", ErrorKind::Overloaded),
            (504, "DEADLINE_EXCEEDED", ErrorKind::Timeout),
        ] {
            let body = format!(r#"{{"error":{{"code":{status},"message":"m","status":"{word}"}}}}"#);
            assert_eq!(own(Dialect::OpenAiChat, status, &body).kind, kind, "{word}");
        }
    }

    #[test]
    fn errors_in_the_clients_dialect_are_relayed_unless_they_speak_of_our_key() {
        let relayed = |status, kind| {
            let body = envelope(kind, "m", Some("req_x"));
            upstream_error(Family::Anthropic, Dialect::AnthropicMessages, status, None, &body)
        };
        for (status, kind) in [
            (400, ErrorKind::InvalidRequest),
            (413, ErrorKind::RequestTooLarge),
            (529, ErrorKind::Overloaded),
        ] {
            assert_eq!(relayed(status, kind), ClientError::Relay { status });
        }
        for (status, kind) in [
            (401, ErrorKind::Authentication),
            (403, ErrorKind::Permission),
            (400, ErrorKind::Authentication),
        ] {
            assert_eq!(relayed(status, kind), ClientError::Own(Fault::broken(REFUSED)));
        }
        assert_eq!(
            own(Dialect::AnthropicMessages, 400, r#"{"error":{"message":"m"}}"#).message,
            "m"
        );
    }

    #[test]
    fn errors_inside_answers_are_classed_by_what_they_say() {
        let check = |body: &str, kind, status| {
            let complaint = in_answer(&Members::read(body).unwrap()).unwrap();
            let fault = fault_in_answer(&complaint);
            assert_eq!((fault.kind, fault.status), (kind, status), "{body}");
        };
        check(
            r#"{"error":{"message":"m","type":"server_error"}}"#,
            ErrorKind::Api,
            500,
        );
        check(
            r#"{"error":{"code":429,"message":"m"}}"#,
            ErrorKind::RateLimit,
            429,
        );
        check(
            r#"{"error":{"code":502,"message":"m"},"choices":[{}]}"#,
            ErrorKind::Api,
            500,
        );
        check(r#"{"error":{"code":401,"message":"m"}}"#, ErrorKind::Api, 502);
        check(r#"{"error":"overloaded"}"#, ErrorKind::Api, 500);
        check(
            r#"{"base_resp":{"status_code":1008,"status_msg":"m"}}"#,
            ErrorKind::Billing,
            402,
        );
        check(
            r#"{"base_resp":{"status_code":1004,"status_msg":"m"}}"#,
            ErrorKind::Api,
            502,
        );
        check(r#"{"base_resp":{"status_code":1000}}"#, ErrorKind::Api, 500);
    }

    #[test]
    fn openai_clients_get_errors_of_their_api_as_they_are() {
        let told = |upstream, status, body: &str| {
            upstream_error(Family::OpenAi, upstream, status, None, body.as_bytes())
        };
        let invalid = r#"{"error":{"message":"m","type":"invalid_request_error","param":"n","code":null}}"#;
        assert_eq!(
            told(Dialect::OpenAiChat, 400, invalid),
            ClientError::Relay { status: 400 }
        );
        let refused = ClientError::Own(Fault::broken(REFUSED));
        assert_eq!(told(Dialect::OpenAiChat, 401, invalid), refused);
        let key = r#"{"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}}"#;
        assert_eq!(told(Dialect::OpenAiChat, 400, key), refused);
        let odd = told(Dialect::OpenAiChat, 422, r#"{"detail":"m"}"#);
        assert_eq!(odd, ClientError::Own(Fault::new(ErrorKind::InvalidRequest, "m")));
        let foreign = told(
            Dialect::AnthropicMessages,
            529,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#,
        );
        assert_eq!(foreign, ClientError::Own(Fault::new(ErrorKind::Overloaded, "m")));
    }
}
