//! Requests to upstreams on Pingora's pooled connector.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use pingora_core::connectors::ConnectorOptions;
use pingora_core::connectors::http::Connector;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{ErrorType, RetryType};
use pingora_http::RequestHeader;

use crate::egress::resolve::{Resolver, Unresolved, is_forbidden};
use crate::pipeline::forward::answer::Answer;
use crate::pipeline::forward::failure::Failure;
use crate::pipeline::forward::head;
use crate::pipeline::forward::line::Line;
use crate::pipeline::forward::peer::{Pooling, peer};
use crate::pipeline::record::OpenRecord;
use crate::pipeline::route::upstream::Upstream;

/// Informational heads (1xx) that are passed over before the answer's own.
const INFORMATIONAL_MAX: usize = 8;

/// Idle connections kept over all upstreams.
const POOL_SIZE: usize = 1_024;

/// What the engine waits for, at most.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// Resolving and connecting.
    pub connect: Duration,
    /// From the request sent to the head of the answer.
    pub first_byte: Duration,
    /// One write to the upstream.
    pub write: Duration,
}

/// A request on its way out.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Its head.
    pub head: &'a RequestHeader,
    /// Its body.
    pub body: &'a Bytes,
    /// Turns true when the whole of it was written, from which moment it may be billed.
    pub sent: &'a AtomicBool,
}

/// The engine: one per process, kept across reloads, because it owns the connection pool.
pub struct Engine {
    connector: Arc<Connector>,
    resolver: Resolver,
}

impl Default for Engine {
    /// An engine with an empty pool.
    fn default() -> Self {
        let options = ConnectorOptions::new(POOL_SIZE);
        Self {
            connector: Arc::new(Connector::new(Some(options))),
            resolver: Resolver::default(),
        }
    }
}

impl Engine {
    /// Sends a request and waits for the head of its answer.
    ///
    /// The record is the proof that the decision behind this request is written down; nothing goes
    /// upstream without one. A pooled connection that turns out to be dead is replaced once.
    ///
    /// # Errors
    /// [`Failure`]; another candidate may be tried after any of them.
    pub async fn send(
        &self,
        _record: &OpenRecord,
        upstream: &Upstream,
        line: &Line,
        outgoing: &Outgoing<'_>,
        deadlines: Deadlines,
    ) -> Result<Answer, Failure> {
        let address = self.address(upstream, line, deadlines.connect).await?;
        let at = |pooling| peer(&upstream.destination, line, address, deadlines.connect, pooling);
        let to = at(Pooling::Shared)?;
        match self.connect(upstream, &to, deadlines.write).await {
            Ok((session, reused)) => {
                let is_http2 = matches!(session, HttpSession::H2(_));
                match exchange(session, upstream, outgoing, deadlines.first_byte).await {
                    Ok(session) => return Ok(self.answer(session, to, true)),
                    Err(Failure::Broken(error)) if reused && (!is_http2 || was_not_processed(&error)) => {}
                    Err(failure) => return Err(failure),
                }
            }
            // Connecting anew fails otherwise: this is a shared connection that has died.
            Err(Failure::Connect(error)) if error.etype() == &ErrorType::H2Error => {}
            Err(failure) => return Err(failure),
        }
        let to = at(Pooling::Alone)?;
        let (session, _) = self.connect(upstream, &to, deadlines.write).await?;
        let session = exchange(session, upstream, outgoing, deadlines.first_byte).await?;
        Ok(self.answer(session, to, false))
    }

    /// Where the connection goes: an address of the destination, or of the proxy on the way to it.
    async fn address(
        &self,
        upstream: &Upstream,
        line: &Line,
        deadline: Duration,
    ) -> Result<SocketAddr, Failure> {
        let to = &upstream.destination;
        // A name that only the proxy resolves is the proxy's to judge; an address is not.
        if line.hop.is_some() && to.host().parse().is_ok_and(is_forbidden) {
            return Err(Unresolved::NoAddress.into());
        }
        let first = line.hop.as_ref().unwrap_or(to);
        let addresses = self.resolver.resolve(first, deadline).await?;
        let address = addresses.first().copied();
        address.ok_or_else(|| Unresolved::NoAddress.into())
    }

    async fn connect(
        &self,
        upstream: &Upstream,
        to: &HttpPeer,
        write: Duration,
    ) -> Result<(HttpSession, bool), Failure> {
        let began = Instant::now();
        // Handshakes need much state for a short time; a stream must not carry it to its end.
        let connecting = Box::pin(self.connector.get_http_session(to));
        let (mut session, reused) = connecting.await.map_err(Failure::Connect)?;
        if !reused {
            upstream.meters.connected(began.elapsed());
        }
        session.set_write_timeout(Some(write));
        Ok((session, reused))
    }

    fn answer(&self, session: HttpSession, peer: HttpPeer, pooled: bool) -> Answer {
        Answer::new(Arc::clone(&self.connector), session, peer, pooled)
    }
}

async fn exchange(
    mut session: HttpSession,
    upstream: &Upstream,
    outgoing: &Outgoing<'_>,
    first_byte: Duration,
) -> Result<HttpSession, Failure> {
    let head = outgoing.head;
    let head = match session {
        HttpSession::H2(_) => head::for_http2(head, &upstream.destination)?,
        HttpSession::H1(_) | HttpSession::Custom(_) => head.clone(),
    };
    // An upstream may answer before it has read everything (413, 401): a failed write is not
    // the end as long as a head can still be read.
    let written = write(&mut session, head, outgoing.body).await;
    outgoing.sent.store(written.is_ok(), Ordering::Relaxed);
    let read = tokio::time::timeout(first_byte, read_final_head(&mut session)).await;
    match (read, written) {
        (Ok(Ok(())), _) => Ok(session),
        (_, Err(error)) | (Ok(Err(error)), Ok(())) => Err(Failure::Broken(error)),
        (Err(_), Ok(())) => Err(Failure::Slow(first_byte)),
    }
}

async fn write(session: &mut HttpSession, head: RequestHeader, body: &Bytes) -> pingora_error::Result<()> {
    session.write_request_header(Box::new(head)).await?;
    session.write_request_body(body.clone(), true).await?;
    session.finish_request_body().await
}

/// Whether the upstream says, or the broken connection shows, that a request on a shared HTTP/2
/// connection was never worked on (RFC 9113, 8.7). Any other reset may have cost tokens.
fn was_not_processed(error: &pingora_error::Error) -> bool {
    matches!(error.retry, RetryType::Decided(true) | RetryType::ReusedOnly)
}

async fn read_final_head(session: &mut HttpSession) -> pingora_error::Result<()> {
    for _ in 0..INFORMATIONAL_MAX {
        session.read_response_header().await?;
        if session
            .response_header()
            .is_some_and(|head| !head.status.is_informational())
        {
            return Ok(());
        }
    }
    pingora_error::Error::e_explain(
        pingora_error::ErrorType::InvalidHTTPHeader,
        "too many informational answers",
    )
}
