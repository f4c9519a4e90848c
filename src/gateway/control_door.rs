//! The way to the control plane: its router is called as a service, in the same process.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Limited};
use pingora_core::protocols::http::ServerSession;
use pingora_error::Result;
use pingora_http::ResponseHeader;
use tower::ServiceExt;

use crate::gateway::context::Context;
use crate::gateway::respond;
use crate::pipeline::refusal::{Kind, Refusal};

/// The control plane as the door knows it: something that answers requests.
pub type ControlPlane = Router;

/// The largest answer of the control plane, in bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// The longest time it may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Headers that speak of one connection only and are never passed on.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Serves a request that has no body from the control plane.
///
/// # Errors
/// A [`Refusal`] when the control plane gives no answer, before anything was sent.
pub(super) async fn serve(
    session: &mut ServerSession,
    control: &ControlPlane,
    context: &Context,
) -> std::result::Result<Result<()>, Refusal> {
    let request = request(session, context).ok_or_else(failed)?;
    let answer = tokio::time::timeout(DEADLINE, control.clone().oneshot(request))
        .await
        .map_err(|_| failed())?;
    let (parts, body) = answer.map_err(|never| match never {})?.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX)
        .collect()
        .await
        .map_err(|_| failed())?
        .to_bytes();
    Ok(send(session, context, &parts, body).await)
}

fn request(session: &ServerSession, context: &Context) -> Option<Request<Body>> {
    let head = session.req_header();
    let mut request = Request::builder()
        .method(head.method.clone())
        .uri(head.uri.clone())
        .body(Body::empty())
        .ok()?;
    *request.headers_mut() = end_to_end(&head.headers);
    request.extensions_mut().insert(context.id);
    request.extensions_mut().insert(context.peer.clone());
    Some(request)
}

async fn send(
    session: &mut ServerSession,
    context: &Context,
    parts: &http::response::Parts,
    body: bytes::Bytes,
) -> Result<()> {
    let mut head = ResponseHeader::build(parts.status, Some(8))?;
    for (name, value) in &end_to_end(&parts.headers) {
        head.append_header(name.clone(), value.clone())?;
    }
    head.insert_header(http::header::CONTENT_LENGTH, body.len())?;
    respond::name_request(&mut head, context.id)?;
    let bodiless = session.req_header().method == http::Method::HEAD || body.is_empty();
    session.write_response_header(Box::new(head)).await?;
    if !bodiless {
        session.write_response_body(body, true).await?;
    }
    Ok(())
}

fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let kept = headers
        .iter()
        .filter(|(name, _)| !HOP_BY_HOP.contains(&name.as_str()));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn failed() -> Refusal {
    Refusal::new(
        Kind::Internal,
        "the control plane gave no answer: look into the gateway's log",
    )
}
