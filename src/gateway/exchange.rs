//! Pumps an upstream's answer to the client, piece by piece.
//!
//! Nothing is sent before the first piece is there, so that a failure before it still has a status
//! of its own. After that, whatever happens, the stream ends in a proper end or an error event.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{StatusCode, Version};
use pingora_core::protocols::http::ServerSession;
use pingora_http::ResponseHeader;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::gateway::attempts::Question;
use crate::gateway::respond::{self, Extra};
use crate::pipeline::forward::answer::{Answer, BodyFault};
use crate::pipeline::route::guard::Ticket;
use crate::pipeline::route::guard::breaker::Verdict;
use crate::pipeline::translate::{Ending, ErrorKind, Fault, Progress, Rewriter};
use crate::types::ids::RequestId;

/// How long the rest of a finished answer (usage, end mark) is waited for.
const TAIL_GRACE: Duration = Duration::from_secs(2);

/// How long the end of a body is waited for whose content has ended, to reuse the connection.
const RELEASE_GRACE: Duration = Duration::from_millis(50);

/// How long a pump may be silent, and when it has to stop.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The longest silence of the upstream.
    pub idle: Duration,
    /// Silence towards the client after which a ping is sent.
    pub ping: Duration,
    /// When the whole exchange has to be over.
    pub ends: Instant,
}

/// How a stream ended.
#[derive(Debug)]
pub enum Ended {
    /// With a proper end, or with an error event in place of one: the rewriter knows which.
    Told,
    /// The client left; the upstream was cut off.
    ClientGone,
    /// It failed before anything was sent: the client has to be answered otherwise.
    Unsent(Fault),
}

/// A stream on its way to the client.
pub(super) struct Pump<'a> {
    pub(super) session: &'a mut ServerSession,
    pub(super) rewriter: &'a mut Rewriter,
    pub(super) id: RequestId,
    pub(super) extra: &'a [Extra],
    pub(super) pace: Pace,
    pub(super) cut: watch::Receiver<bool>,
    /// The place at the upstream, which has proven itself with the first piece.
    pub(super) ticket: &'a mut Ticket,
    /// What was asked; dropped with the first byte.
    pub(super) question: &'a mut Option<Question>,
    /// When the first byte of the answer went out.
    pub(super) first_byte: Option<Instant>,
    /// Whether we hung up on the upstream, for whatever reason.
    pub(super) hung_up: bool,
}

/// What the pump woke up for.
enum Woken {
    Chunk(Result<Option<Bytes>, BodyFault>),
    ClientGone,
    Silence,
    Cut,
}

impl Pump<'_> {
    /// Pumps until the end. The answer is given back for reuse after a proper end, else dropped,
    /// which cuts the upstream off.
    pub(super) async fn run(&mut self, mut answer: Answer) -> Ended {
        let mut out = BytesMut::new();
        let mut heard = Instant::now();
        let mut told = heard;
        let mut tail: Option<Instant> = None;
        loop {
            let progress = match self
                .wake(&mut answer, self.next_deadline(heard, told, tail))
                .await
            {
                Woken::Chunk(Ok(Some(chunk))) => {
                    heard = Instant::now();
                    self.rewriter.push(&chunk, &mut out)
                }
                Woken::Chunk(Ok(None)) => self.rewriter.end(Ending::Eof, &mut out),
                Woken::Chunk(Err(_)) => self.rewriter.end(Ending::Reset, &mut out),
                Woken::ClientGone => {
                    self.hung_up = true;
                    return Ended::ClientGone;
                }
                Woken::Cut => self.abort(
                    ErrorKind::Overloaded,
                    "the gateway is shutting down: send the request again",
                    &mut out,
                ),
                Woken::Silence => self.silence(heard, told, tail, &mut out),
            };
            if let Progress::Failed(fault) = &progress
                && self.first_byte.is_none()
            {
                return Ended::Unsent(fault.clone());
            }
            if !out.is_empty() {
                if self.write(out.split().freeze()).await.is_err() {
                    self.hung_up = true;
                    return Ended::ClientGone;
                }
                told = Instant::now();
            }
            if !matches!(progress, Progress::More) {
                return self.finish(answer, &progress).await;
            }
            if tail.is_none() && self.rewriter.awaiting_tail() {
                tail = Some(Instant::now() + TAIL_GRACE);
            }
        }
    }

    async fn wake(&mut self, answer: &mut Answer, deadline: Instant) -> Woken {
        tokio::select! {
            biased;
            chunk = answer.chunk() => Woken::Chunk(chunk),
            _ = self.session.read_body_or_idle(true) => Woken::ClientGone,
            _ = self.cut.wait_for(|cut| *cut) => Woken::Cut,
            () = tokio::time::sleep_until(deadline) => Woken::Silence,
        }
    }

    fn next_deadline(&self, heard: Instant, told: Instant, tail: Option<Instant>) -> Instant {
        let nearest = (heard + self.pace.idle)
            .min(told + self.pace.ping)
            .min(self.pace.ends);
        tail.map_or(nearest, |tail| tail.min(nearest))
    }

    /// A deadline passed: which one decides what happens.
    fn silence(
        &mut self,
        heard: Instant,
        told: Instant,
        tail: Option<Instant>,
        out: &mut BytesMut,
    ) -> Progress {
        let now = Instant::now();
        if tail.is_some_and(|tail| now >= tail) {
            return self.rewriter.end(Ending::Eof, out);
        }
        if now >= self.pace.ends {
            return self.abort(
                ErrorKind::Timeout,
                "the answer took longer than the gateway allows",
                out,
            );
        }
        if now >= heard + self.pace.idle {
            return self.abort(ErrorKind::Timeout, "the upstream fell silent", out);
        }
        if now >= told + self.pace.ping {
            self.rewriter.ping(out);
        }
        Progress::More
    }

    fn abort(&mut self, kind: ErrorKind, message: &str, out: &mut BytesMut) -> Progress {
        self.hung_up = true;
        self.rewriter.abort(kind, message, out);
        Progress::Failed(Fault::new(kind, message))
    }

    async fn write(&mut self, piece: Bytes) -> pingora_error::Result<()> {
        self.send_head().await?;
        self.session.write_response_body(piece, false).await
    }

    async fn send_head(&mut self) -> pingora_error::Result<()> {
        if self.first_byte.is_none() {
            let head = stream_head(self.id, self.extra, self.session.req_header().version)?;
            self.session.write_response_header(Box::new(head)).await?;
            self.first_byte = Some(Instant::now());
            self.ticket.settle(Verdict::Good);
            *self.question = None;
        }
        Ok(())
    }

    async fn finish(&mut self, mut answer: Answer, progress: &Progress) -> Ended {
        if self.send_head().await.is_err()
            || self
                .session
                .write_response_body(Bytes::new(), true)
                .await
                .is_err()
        {
            return Ended::ClientGone;
        }
        // The connection is reused only if its body ended; an end mark is not yet the end.
        if matches!(progress, Progress::Finished)
            && let Ok(Ok(None)) = tokio::time::timeout(RELEASE_GRACE, answer.chunk()).await
        {
            answer.release().await;
        }
        Ended::Told
    }
}

fn stream_head(id: RequestId, extra: &[Extra], version: Version) -> pingora_error::Result<ResponseHeader> {
    let mut head = ResponseHeader::build(StatusCode::OK, Some(8 + extra.len()))?;
    head.insert_header(http::header::CONTENT_TYPE, "text/event-stream; charset=utf-8")?;
    head.insert_header(http::header::CACHE_CONTROL, "no-cache")?;
    head.insert_header("x-accel-buffering", "no")?;
    // HTTP/1.0 has no chunks and HTTP/2 frames of its own.
    if version == Version::HTTP_11 {
        head.insert_header(http::header::TRANSFER_ENCODING, "chunked")?;
    }
    respond::name_request(&mut head, id)?;
    for (name, value) in extra {
        head.insert_header(name.clone(), value.clone())?;
    }
    Ok(head)
}
