//! One HTTP/1.1 connection: sends a prepared request, reads the answer to its end, keeps the times.

use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::bodies::Request;
use crate::door::{Door, Socket};

const READ_BYTES: usize = 64 << 10;

/// When an answer's first body byte came and when its last.
#[derive(Clone, Copy)]
pub struct Times {
    /// The first byte of the body.
    pub first_byte: Instant,
    /// The end of the body.
    pub done: Instant,
}

/// A keep-alive connection that opens itself again when the peer asks for it.
pub struct Connection {
    door: Door,
    stream: Socket,
    input: Vec<u8>,
    filled: usize,
}

enum Framing {
    Length(usize),
    Chunked,
}

impl Connection {
    /// Connects.
    pub async fn open(door: &Door) -> Result<Self> {
        Ok(Self {
            door: door.clone(),
            stream: door.connect().await?,
            input: vec![0; READ_BYTES],
            filled: 0,
        })
    }

    /// One exchange. Anything but a complete 200 that ends as the mock's answers end is an error.
    pub async fn exchange(&mut self, request: &Request) -> Result<Times> {
        self.send(request).await?;
        self.filled = 0;
        let (body_at, framing, closing) = self.head().await?;
        if self.filled == body_at {
            self.fill().await?;
        }
        let first_byte = Instant::now();
        let body_end = match framing {
            Framing::Length(bytes) => {
                while self.filled < body_at + bytes {
                    self.fill().await?;
                }
                body_at + bytes
            }
            Framing::Chunked => self.chunks(body_at).await?,
        };
        let done = Instant::now();
        self.check(body_at, body_end)?;
        if closing {
            self.stream = self.door.connect().await?;
        }
        Ok(Times { first_byte, done })
    }

    /// Sends and waits only for the first bytes of the body; the stream stays open.
    pub async fn begin(&mut self, request: &Request) -> Result<()> {
        self.send(request).await?;
        self.filled = 0;
        let (body_at, _, _) = self.head().await?;
        while self.filled == body_at {
            self.fill().await?;
        }
        self.input = Vec::new();
        Ok(())
    }

    async fn send(&mut self, request: &Request) -> Result<()> {
        self.stream.write_all(request.bytes()).await.context("sending")?;
        self.stream.flush().await.context("sending")
    }

    async fn head(&mut self) -> Result<(usize, Framing, bool)> {
        loop {
            self.fill().await?;
            let Some(at) = memmem::find(self.received(), b"\r\n\r\n") else {
                continue;
            };
            let head = std::str::from_utf8(self.received().get(..at).unwrap_or_default())?;
            if !head.starts_with("HTTP/1.1 200") {
                bail!("refused: {}", String::from_utf8_lossy(self.received()));
            }
            let field = |wanted: &str| {
                head.split("\r\n")
                    .filter_map(|line| line.split_once(':'))
                    .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
                    .map(|(_, value)| value.trim())
            };
            let framing = match field("content-length") {
                Some(bytes) => Framing::Length(bytes.parse()?),
                None => Framing::Chunked,
            };
            let closing = field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
            return Ok((at + 4, framing, closing));
        }
    }

    /// Walks the chunks until the last; gives the end of the body.
    async fn chunks(&mut self, body_at: usize) -> Result<usize> {
        let mut at = body_at;
        loop {
            let rest = self.received().get(at..).unwrap_or_default();
            let Some(line) = memmem::find(rest, b"\r\n") else {
                self.fill().await?;
                continue;
            };
            let size = std::str::from_utf8(rest.get(..line).unwrap_or_default())?;
            let size = usize::from_str_radix(size, 16).with_context(|| format!("chunk size {size:?}"))?;
            let next = at + line + 2 + size + 2;
            while self.filled < next {
                self.fill().await?;
            }
            if size == 0 {
                return Ok(at);
            }
            at = next;
        }
    }

    fn check(&self, body_at: usize, body_end: usize) -> Result<()> {
        let body = self.received().get(body_at..body_end).unwrap_or_default();
        check_end(body)
    }

    fn received(&self) -> &[u8] {
        self.input.get(..self.filled).unwrap_or_default()
    }

    async fn fill(&mut self) -> Result<()> {
        if self.filled == self.input.len() {
            self.input.resize(self.input.len() * 2, 0);
        }
        let room = self.input.get_mut(self.filled..).unwrap_or_default();
        let count = self.stream.read(room).await?;
        ensure!(count > 0, "the peer closed in the middle of an answer");
        self.filled += count;
        Ok(())
    }
}

/// An answer of the mock ends in one of two ways: with its last event, or with its usage.
pub fn check_end(body: &[u8]) -> Result<()> {
    let tail = body.get(body.len().saturating_sub(64)..).unwrap_or_default();
    let whole = memmem::find(tail, b"message_stop").is_some()
        || (memmem::find(tail, b"output_tokens").is_some() && tail.ends_with(b"}}"));
    ensure!(
        whole,
        "an answer that ends early: {}",
        String::from_utf8_lossy(tail)
    );
    Ok(())
}
