//! An upstream's answer whose head has arrived.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use pingora_core::connectors::http::Connector;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::upstreams::peer::HttpPeer;

use crate::pipeline::forward::peer::POOLED_FOR;
use crate::provider::frames::{Frames, Misframed};

/// The body broke off, or did not fit.
#[derive(Debug, thiserror::Error)]
pub enum BodyFault {
    /// What came is no frame.
    #[error("the upstream's stream cannot be read: {0}")]
    Misframed(#[from] Misframed),
    /// The connection broke.
    #[error("the upstream's answer broke off: {}", .0.etype().as_str())]
    Broken(#[source] Box<pingora_error::Error>),
    /// Nothing came for too long.
    #[error("the upstream fell silent for {} s", .0.as_secs())]
    Silent(Duration),
    /// The answer is larger than what is read into memory.
    #[error("the upstream's answer is larger than {0} bytes")]
    TooLarge(usize),
}

/// An answer. Dropping it unfinished closes the connection, which is how a cancelled request
/// stops costing tokens.
pub struct Answer {
    connector: Arc<Connector>,
    // Boxed, because an answer is handed on from future to future, and each has room for all of it.
    session: Box<HttpSession>,
    peer: Box<HttpPeer>,
    /// Whether the connection may serve another request afterwards.
    pooled: bool,
    /// What takes the body apart, where it is not what it says.
    frames: Option<Box<dyn Frames>>,
}

impl Answer {
    /// The answer that begins on this session with this peer.
    pub(super) fn new(connector: Arc<Connector>, session: HttpSession, peer: HttpPeer, pooled: bool) -> Self {
        Self {
            connector,
            session: Box::new(session),
            peer: Box::new(peer),
            pooled,
            frames: None,
        }
    }

    /// The same with a body that is taken apart.
    #[must_use]
    pub fn framed(self, frames: Option<Box<dyn Frames>>) -> Self {
        Self { frames, ..self }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.session
            .response_header()
            .map_or(StatusCode::BAD_GATEWAY, |head| head.status)
    }

    /// The headers.
    pub fn headers(&self) -> Option<&HeaderMap> {
        self.session.response_header().map(|head| &head.headers)
    }

    /// A header's text; `None` where it is absent or not visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers()?.get(name)?.to_str().ok()
    }

    /// The next piece of the body, `None` at its end: as it came, or the events of its frames. Safe to cancel.
    ///
    /// # Errors
    /// The connection broke, or the frames did.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, BodyFault> {
        loop {
            let chunk = self.session.read_response_body().await;
            let chunk = chunk.map_err(BodyFault::Broken)?;
            match (&mut self.frames, chunk) {
                (None, chunk) => return Ok(chunk),
                (Some(frames), None) if frames.is_at_border() => return Ok(None),
                (Some(_), None) => return Err(Misframed("it ends inside a frame").into()),
                (Some(frames), Some(chunk)) => {
                    let events = frames.push(&chunk)?;
                    if !events.is_empty() {
                        return Ok(Some(events));
                    }
                }
            }
        }
    }

    /// The whole body, of an answer that is not a stream.
    ///
    /// # Errors
    /// It broke off, fell silent for `idle`, or is larger than `bytes_max`.
    pub async fn whole(&mut self, bytes_max: usize, idle: Duration) -> Result<Bytes, BodyFault> {
        let mut body = BytesMut::new();
        loop {
            let next = tokio::time::timeout(idle, self.chunk())
                .await
                .map_err(|_| BodyFault::Silent(idle))?;
            let Some(chunk) = next? else {
                return Ok(body.freeze());
            };
            if body.len().saturating_add(chunk.len()) > bytes_max {
                return Err(BodyFault::TooLarge(bytes_max));
            }
            body.extend_from_slice(&chunk);
        }
    }

    /// Gives the connection back for reuse. Only after the body's proper end.
    pub async fn release(self) {
        if self.pooled {
            let released = self
                .connector
                .release_http_session(*self.session, &*self.peer, Some(POOLED_FOR));
            Box::pin(released).await;
        }
    }
}
