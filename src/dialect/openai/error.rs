//! Errors as OpenAI's API tells them: `{"error":{"message","type","param","code"}}`.

use bytes::{BufMut, BytesMut};

use crate::dialect::anthropic::error::ErrorKind;
use crate::dialect::anthropic::event::put_count;
use crate::dialect::raw::put_string;

/// `type` and `code` of an error of this kind.
pub const fn words(kind: ErrorKind) -> (&'static str, Option<&'static str>) {
    match kind {
        ErrorKind::InvalidRequest | ErrorKind::Conflict => ("invalid_request_error", None),
        ErrorKind::RequestTooLarge => ("invalid_request_error", Some("request_too_large")),
        ErrorKind::Authentication => ("invalid_request_error", Some("invalid_api_key")),
        ErrorKind::Billing => ("insufficient_quota", Some("insufficient_quota")),
        ErrorKind::Permission => ("permission_error", None),
        ErrorKind::NotFound => ("invalid_request_error", Some("model_not_found")),
        ErrorKind::RateLimit => ("rate_limit_error", Some("rate_limit_exceeded")),
        ErrorKind::Timeout => ("server_error", Some("timeout")),
        ErrorKind::Api => ("server_error", None),
        ErrorKind::Overloaded => ("server_error", Some("overloaded")),
    }
}

/// The status under which OpenAI's clients know an error that has this one in the Messages API.
pub const fn status(messages_status: u16) -> u16 {
    match messages_status {
        402 => 429,
        529 => 503,
        other => other,
    }
}

/// How the Messages API words a context that is too long; both forms are made to be recognised.
const OVERFLOWS: [&str; 2] = ["prompt is too long", "exceed context limit"];

/// The code of a response that failed, one of those that its API lists.
pub fn response_code(kind: ErrorKind, message: &str) -> &'static str {
    match kind {
        ErrorKind::InvalidRequest if OVERFLOWS.iter().any(|form| message.contains(form)) => {
            "context_length_exceeded"
        }
        ErrorKind::RateLimit => "rate_limit_exceeded",
        ErrorKind::Billing => "insufficient_quota",
        ErrorKind::InvalidRequest | ErrorKind::RequestTooLarge => "invalid_prompt",
        _ => "server_error",
    }
}

/// Writes the error envelope: the body of an error answer, and the data of an event that ends a stream.
pub fn put_envelope(out: &mut impl BufMut, kind: ErrorKind, message: &str) {
    let (word, mut code) = words(kind);
    if kind == ErrorKind::InvalidRequest && OVERFLOWS.iter().any(|form| message.contains(form)) {
        code = Some("context_length_exceeded");
    }
    put_words(out, word, code, message);
}

/// The same with these words.
pub fn put_words(out: &mut impl BufMut, word: &str, code: Option<&str>, message: &str) {
    out.put_slice(br#"{"error":{"message":"#);
    put_string(out, message);
    out.put_slice(br#","type":"#);
    put_string(out, word);
    out.put_slice(br#","param":null,"code":"#);
    match code {
        Some(code) => put_string(out, code),
        None => out.put_slice(b"null"),
    }
    out.put_slice(b"}}");
}

/// The event that ends a stream with an error. No end mark follows it.
pub fn put_event(out: &mut BytesMut, kind: ErrorKind, message: &str) {
    out.put_slice(b"data: ");
    put_envelope(out, kind, message);
    out.put_slice(b"\n\n");
}

/// The event that ends a stream of the Responses API with an error. Beside the fields of that API it has
/// the member `error`, by which SDKs know that they have to raise.
pub fn put_response_event(out: &mut BytesMut, kind: ErrorKind, message: &str, number: u64) {
    let (word, code) = words(kind);
    out.put_slice(b"event: error\ndata: {\"type\":\"error\",\"code\":");
    put_string(out, code.unwrap_or(word));
    out.put_slice(br#","message":"#);
    put_string(out, message);
    out.put_slice(br#","param":null,"sequence_number":"#);
    put_count(out, number);
    out.put_slice(br#","error":{"message":"#);
    put_string(out, message);
    out.put_slice(br#","type":"#);
    put_string(out, word);
    out.put_slice(b"}}\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn envelope(kind: ErrorKind, message: &str) -> Value {
        let mut out = Vec::new();
        put_envelope(&mut out, kind, message);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn errors_bear_the_words_that_clients_look_for() {
        assert_eq!(
            envelope(ErrorKind::RateLimit, "a \"b\""),
            json!({"error": {"message": "a \"b\"", "type": "rate_limit_error", "param": null, "code": "rate_limit_exceeded"}})
        );
        assert_eq!(envelope(ErrorKind::Api, "m")["error"]["code"], Value::Null);
        let overflow = envelope(
            ErrorKind::InvalidRequest,
            "prompt is too long: 9 tokens > 8 maximum",
        );
        assert_eq!(overflow["error"]["code"], "context_length_exceeded");
    }

    #[test]
    fn statuses_that_only_one_side_knows_are_replaced() {
        assert_eq!([402, 529, 500, 404].map(status), [429, 503, 500, 404]);
    }
}
