//! A request's body, read within named bounds.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pingora_core::protocols::http::ServerSession;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::pipeline::refusal::{Kind, Refusal};

/// What is reserved before anything has arrived, whatever a header promises.
const FIRST_CAPACITY_MAX: usize = 64 * 1024;

/// Room is counted in units of this many bytes.
const ROOM_UNIT_BYTES: usize = 1024;

/// How much of an unwanted body is read and thrown away before the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// All that a client is likely to send, so that it reads our answer.
    Usual,
    /// Little: there is too much to do.
    Overloaded,
}

impl Patience {
    /// How many bytes, and for how long.
    const fn bounds(self) -> (usize, Duration) {
        match self {
            Self::Usual => (64 * 1024 * 1024, Duration::from_secs(10)),
            Self::Overloaded => (256 * 1024, Duration::from_secs(1)),
        }
    }
}

/// When a busy gateway may be asked again.
const BUSY_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Bounds of request bodies, of one and of all that are held at a moment.
#[derive(Debug)]
pub struct Intake {
    body_bytes_max: usize,
    room_units: usize,
    deadline: Duration,
    room: Arc<Semaphore>,
}

/// A body, and the room that it takes until it is dropped.
#[derive(Debug)]
pub struct Body {
    /// The bytes as they came.
    pub bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

impl Intake {
    /// An intake with these bounds.
    pub fn new(body_bytes_max: usize, buffered_bytes_max: usize, deadline: Duration) -> Self {
        let units = (buffered_bytes_max / ROOM_UNIT_BYTES).min(Semaphore::MAX_PERMITS);
        Self {
            body_bytes_max,
            room_units: units,
            deadline,
            room: Arc::new(Semaphore::new(units)),
        }
    }

    /// The bytes of bodies that are held at this moment, in whole units.
    pub fn held_bytes(&self) -> usize {
        self.room_units
            .saturating_sub(self.room.available_permits())
            .saturating_mul(ROOM_UNIT_BYTES)
    }

    /// The same room for bodies under other bounds of a single one.
    pub fn with_bounds(&self, body_bytes_max: usize, deadline: Duration) -> Self {
        Self {
            body_bytes_max,
            deadline,
            room_units: self.room_units,
            room: Arc::clone(&self.room),
        }
    }

    /// Reads the whole body. Trailers behind it are read and dropped: none of them counts as a header (RFC 9110,
    /// 6.5.1), no policy sees them, and upstreams get none.
    ///
    /// # Errors
    /// A [`Refusal`]: encoded (415), too large (413), truncated or slow (408), no room (503).
    pub async fn read(&self, session: &mut ServerSession) -> Result<Body, Refusal> {
        refuse_encoded(session)?;
        let announced = announced_bytes(session);
        if announced.is_some_and(|bytes| bytes > self.body_bytes_max) {
            return Err(self.too_large(announced));
        }
        if expects_continue(session) {
            session.write_continue_response().await.map_err(|_| truncated())?;
        }
        let ends = Instant::now() + self.deadline;
        let read = self.collect(session, announced, ends).await;
        if read.as_ref().is_err_and(|refusal| refusal.kind != Kind::TooLarge) {
            // Where the body was not understood, nobody knows where the next request begins.
            session.set_keepalive(None);
        }
        read
    }

    async fn collect(
        &self,
        session: &mut ServerSession,
        announced: Option<usize>,
        ends: Instant,
    ) -> Result<Body, Refusal> {
        let mut buffer = BytesMut::with_capacity(announced.unwrap_or(0).min(FIRST_CAPACITY_MAX));
        let mut room: Option<OwnedSemaphorePermit> = None;
        while let Some(chunk) = self.next_chunk(session, ends).await? {
            let bytes = buffer.len().saturating_add(chunk.len());
            if bytes > self.body_bytes_max {
                return Err(self.too_large(announced));
            }
            self.make_room(&mut room, bytes, ends).await?;
            buffer.extend_from_slice(&chunk);
        }
        if announced.is_some_and(|announced| announced != buffer.len()) {
            return Err(truncated());
        }
        Ok(Body {
            bytes: buffer.freeze(),
            _room: room,
        })
    }

    async fn next_chunk(&self, session: &mut ServerSession, ends: Instant) -> Result<Option<Bytes>, Refusal> {
        let read = tokio::time::timeout_at(ends, session.read_request_body())
            .await
            .map_err(|_| {
                let seconds = self.deadline.as_secs();
                let message =
                    format!("the body did not arrive within {seconds} s: send it faster or make it smaller");
                Refusal::new(Kind::BodyTimeout, message)
            })?;
        read.map_err(|error| match error.etype().as_str() {
            "InvalidChunk" | "InvalidTrailerEnd" => Refusal::new(
                Kind::Malformed,
                "the body's chunks are malformed: encode them as RFC 9112, 7.1 says",
            ),
            _ => truncated(),
        })
    }

    /// Waits until this body's share of the room covers `bytes`.
    async fn make_room(
        &self,
        held: &mut Option<OwnedSemaphorePermit>,
        bytes: usize,
        ends: Instant,
    ) -> Result<(), Refusal> {
        let have = held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = bytes.div_ceil(ROOM_UNIT_BYTES).saturating_sub(have);
        if more == 0 {
            return Ok(());
        }
        let more = u32::try_from(more).map_err(|_| self.too_large(None))?;
        let acquired = Arc::clone(&self.room).acquire_many_owned(more);
        let Ok(Ok(permit)) = tokio::time::timeout_at(ends, acquired).await else {
            return Err(busy());
        };
        match held {
            Some(held) => held.merge(permit),
            None => *held = Some(permit),
        }
        Ok(())
    }

    fn too_large(&self, announced: Option<usize>) -> Refusal {
        let limit = self.body_bytes_max;
        let message = match announced {
            Some(bytes) => {
                format!("the body has {bytes} bytes, the limit is {limit}: send less in one request")
            }
            None => format!("the body has more than {limit} bytes, the limit: send less in one request"),
        };
        Refusal::new(Kind::TooLarge, message)
    }
}

fn refuse_encoded(session: &ServerSession) -> Result<(), Refusal> {
    let encoding = session.get_header_bytes(http::header::CONTENT_ENCODING);
    if encoding.is_empty() || encoding.eq_ignore_ascii_case(b"identity") {
        return Ok(());
    }
    Err(Refusal::new(
        Kind::Encoded,
        "the body has a content-encoding: send it plain, without that header",
    ))
}

fn announced_bytes(session: &ServerSession) -> Option<usize> {
    std::str::from_utf8(session.get_header_bytes(http::header::CONTENT_LENGTH))
        .ok()?
        .parse()
        .ok()
}

fn expects_continue(session: &ServerSession) -> bool {
    session
        .get_header_bytes(http::header::EXPECT)
        .eq_ignore_ascii_case(b"100-continue")
}

fn truncated() -> Refusal {
    Refusal::new(
        Kind::BodyTimeout,
        "the body broke off before its end: send it whole",
    )
}

fn busy() -> Refusal {
    Refusal::new(Kind::Overloaded, "the gateway is busy: try again shortly").retry_after(BUSY_RETRY_AFTER)
}

/// Reads and throws away what a refused client still sends; the connection is kept only if that
/// was little and complete.
pub(super) async fn discard_rest(session: &mut ServerSession, patience: Patience) {
    let (bytes_max, span) = patience.bounds();
    if session.is_body_done() {
        return;
    }
    // Who waits for a 100 has not sent anything yet and need not.
    if expects_continue(session) {
        session.set_keepalive(None);
        return;
    }
    let discard = async {
        let mut discarded = 0usize;
        while let Ok(Some(chunk)) = session.read_request_body().await {
            discarded = discarded.saturating_add(chunk.len());
            if discarded > bytes_max {
                return false;
            }
        }
        true
    };
    let complete = tokio::time::timeout(span, discard).await.unwrap_or(false);
    if !complete || !session.is_body_done() {
        session.set_keepalive(None);
    }
}
