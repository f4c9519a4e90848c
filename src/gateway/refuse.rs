//! Refusals as HTTP: the one place where they get a status, headers and a body.

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, StatusCode};
use pingora_core::protocols::http::ServerSession;
use pingora_error::Result;
use serde_json::json;

use crate::dialect::Family;
use crate::dialect::openai::error as openai;
use crate::gateway::intake;
use crate::gateway::respond::{self, Extra};
use crate::pipeline::refusal::{Kind, Refusal};
use crate::types::ids::RequestId;

/// Sends a refusal. What the client still sends of its body is read and thrown away, within
/// bounds, because a connection closed on unread bytes loses the answer on its way.
pub(super) async fn send(
    session: &mut ServerSession,
    refusal: &Refusal,
    shape: Family,
    id: RequestId,
) -> Result<()> {
    let agent = session.get_header_bytes(http::header::USER_AGENT);
    let (status, error_type) = status_and_type(refusal.kind, shape, agent);
    let body = body(refusal, shape, error_type, id);
    let extra = extra_headers(refusal, status);
    respond::whole(session, status, "application/json", &extra, id, body).await?;
    let patience = match refusal.kind {
        Kind::Overloaded => intake::Patience::Overloaded,
        _ => intake::Patience::Usual,
    };
    intake::discard_rest(session, patience).await;
    Ok(())
}

/// Answers a head that could not be parsed, on a connection that is closed afterwards.
pub(super) async fn unreadable(session: &mut ServerSession, id: RequestId) -> Result<()> {
    let refusal = Refusal::new(
        Kind::Malformed,
        "the request's head cannot be parsed: check the request line and the headers (RFC 9112, 3 and 5)",
    );
    let (status, error_type) = status_and_type(refusal.kind, Family::Anthropic, b"");
    let body = body(&refusal, Family::Anthropic, error_type, id);
    let mut head = pingora_http::ResponseHeader::build(status, Some(6))?;
    head.insert_header(http::header::CONTENT_TYPE, "application/json")?;
    head.insert_header(http::header::CONTENT_LENGTH, body.len())?;
    head.insert_header(http::header::CONNECTION, "close")?;
    respond::name_request(&mut head, id)?;
    session.write_error_response(head, body).await
}

/// Status and error type of a refusal.
pub fn status_and_type(kind: Kind, shape: Family, user_agent: &[u8]) -> (StatusCode, &'static str) {
    let (status, error_type) = anthropic_status_and_type(kind, user_agent);
    match shape {
        Family::Anthropic => (status, error_type),
        Family::OpenAi => {
            let known = StatusCode::from_u16(openai::status(status.as_u16())).unwrap_or(status);
            (known, openai_type(kind, known))
        }
    }
}

/// The error type for OpenAI's clients.
fn openai_type(kind: Kind, status: StatusCode) -> &'static str {
    match kind {
        Kind::Policy | Kind::Secret => "permission_error",
        Kind::Rate | Kind::UpstreamRate => "rate_limit_error",
        _ if status.is_server_error() => "server_error",
        _ => "invalid_request_error",
    }
}

/// The error code for OpenAI's clients: theirs where they know one, else the word of our records.
const fn openai_code(kind: Kind) -> &'static str {
    match kind {
        Kind::NotIdentified => "invalid_api_key",
        Kind::Rate | Kind::UpstreamRate => "rate_limit_exceeded",
        Kind::Overloaded | Kind::UpstreamBusy => "overloaded",
        kind => kind.as_str(),
    }
}

/// Claude Code prints the text of a 451 as it is and hides that of a 403 behind a sign-in hint, so it
/// gets the former.
fn anthropic_status_and_type(kind: Kind, user_agent: &[u8]) -> (StatusCode, &'static str) {
    match kind {
        Kind::NotIdentified => (StatusCode::UNAUTHORIZED, "authentication_error"),
        Kind::Malformed => (StatusCode::BAD_REQUEST, "invalid_request_error"),
        Kind::HeadTooLarge => (
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "invalid_request_error",
        ),
        Kind::NotFound => (StatusCode::NOT_FOUND, "not_found_error"),
        Kind::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error"),
        Kind::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, "invalid_request_error"),
        Kind::Encoded => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request_error"),
        Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "request_too_large"),
        Kind::Policy | Kind::Secret if user_agent.starts_with(b"claude-cli/") => {
            (StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS, "permission_error")
        }
        Kind::Policy | Kind::Secret => (StatusCode::FORBIDDEN, "permission_error"),
        Kind::Rate => (StatusCode::TOO_MANY_REQUESTS, "rate_limit_error"),
        Kind::UpstreamRate => (StatusCode::TOO_MANY_REQUESTS, "rate_limit_error"),
        Kind::Overloaded | Kind::UpstreamBusy => (overloaded(), "overloaded_error"),
        Kind::CannotVerify | Kind::AuditUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "api_error"),
        Kind::UpstreamFailed => (StatusCode::BAD_GATEWAY, "api_error"),
        Kind::UpstreamTimeout => (StatusCode::GATEWAY_TIMEOUT, "timeout_error"),
        Kind::NotSupported => (StatusCode::NOT_IMPLEMENTED, "not_supported"),
        Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "api_error"),
    }
}

/// 529, by which clients of this dialect know that they should come back.
fn overloaded() -> StatusCode {
    StatusCode::from_u16(529).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
}

fn body(refusal: &Refusal, shape: Family, error_type: &str, id: RequestId) -> Bytes {
    match shape {
        Family::Anthropic => {
            let value = json!({
                "type": "error",
                "error": {"type": error_type, "message": refusal.message},
                "request_id": id.wire(),
            });
            Bytes::from(value.to_string())
        }
        Family::OpenAi => {
            let mut body = BytesMut::with_capacity(128 + refusal.message.len());
            openai::put_words(
                &mut body,
                error_type,
                Some(openai_code(refusal.kind)),
                &refusal.message,
            );
            body.freeze()
        }
    }
}

fn extra_headers(refusal: &Refusal, status: StatusCode) -> Vec<Extra> {
    let mut extra = Vec::new();
    // Without this header clients repeat a refusal that will never change.
    let final_answer = matches!(
        refusal.kind,
        Kind::NotIdentified | Kind::Policy | Kind::Secret | Kind::NotSupported
    );
    if final_answer {
        extra.push((
            HeaderName::from_static("x-should-retry"),
            HeaderValue::from_static("false"),
        ));
    }
    if status == StatusCode::UNAUTHORIZED {
        let scheme = HeaderValue::from_static("Bearer realm=\"tollgate\"");
        extra.push((http::header::WWW_AUTHENTICATE, scheme));
    }
    if let Some(wait) = refusal.retry_after {
        // Whole seconds, rounded up: a client that comes back earlier would be refused again.
        let seconds = wait
            .as_secs()
            .saturating_add(u64::from(wait.subsec_nanos() > 0))
            .max(1);
        extra.push((http::header::RETRY_AFTER, HeaderValue::from(seconds)));
    }
    extra
}
