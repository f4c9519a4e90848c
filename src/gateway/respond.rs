//! Answers that are whole before they are sent.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use pingora_core::protocols::http::ServerSession;
use pingora_error::Result;
use pingora_http::ResponseHeader;

use crate::types::ids::RequestId;

/// The headers by which an answer names its request: `request-id` for Anthropic's SDKs, `x-request-id`
/// for OpenAI's, and our own.
pub(super) fn name_request(head: &mut ResponseHeader, id: RequestId) -> Result<()> {
    let id = id.wire();
    head.insert_header("x-tollgate-request-id", &id)?;
    head.insert_header("x-request-id", &id)?;
    head.insert_header("request-id", id)?;
    Ok(())
}

/// One extra header of an answer.
pub(super) type Extra = (HeaderName, HeaderValue);

/// Sends a whole answer; the body is left out for HEAD.
pub(super) async fn whole(
    session: &mut ServerSession,
    status: StatusCode,
    content_type: &'static str,
    extra: &[Extra],
    id: RequestId,
    body: Bytes,
) -> Result<()> {
    let mut head = ResponseHeader::build(status, Some(8 + extra.len()))?;
    head.insert_header(http::header::CONTENT_TYPE, content_type)?;
    head.insert_header(http::header::CONTENT_LENGTH, body.len())?;
    head.insert_header(http::header::CACHE_CONTROL, "no-store")?;
    name_request(&mut head, id)?;
    for (name, value) in extra {
        head.insert_header(name.clone(), value.clone())?;
    }
    let bodiless = session.req_header().method == http::Method::HEAD || body.is_empty();
    session.write_response_header(Box::new(head)).await?;
    if !bodiless {
        session.write_response_body(body, true).await?;
    }
    Ok(())
}
