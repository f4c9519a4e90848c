//! HTTP/1.1 framing, spelled out: both the clients and the upstreams of the tests see every byte.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

/// A message head as it came.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// All bytes up to and with the empty line.
    pub raw: Vec<u8>,
    /// The request or status line.
    pub start: String,
    /// Name and value in order of arrival, spelled as sent.
    pub headers: Vec<(String, String)>,
}

impl Head {
    fn parse(raw: Vec<u8>) -> Self {
        let text = String::from_utf8_lossy(&raw).into_owned();
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        Self { raw, start, headers }
    }

    /// The first value of this header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// Every value of this header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = |(key, _): &&(String, String)| key.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .filter(named)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// A word of the start line: 0, 1 or 2.
    pub fn word(&self, index: usize) -> &str {
        self.start.split(' ').nth(index).unwrap_or_default()
    }

    fn is_chunked(&self) -> bool {
        let last = self.all("transfer-encoding").last().copied().unwrap_or_default();
        last.to_ascii_lowercase().ends_with("chunked")
    }

    fn length(&self) -> Option<usize> {
        self.header("content-length")?.parse().ok()
    }

    /// How the body of this request is framed.
    pub fn request_framing(&self) -> Framing {
        match (self.is_chunked(), self.length()) {
            (true, _) => Framing::Chunked,
            (false, length) => Framing::Length(length.unwrap_or(0)),
        }
    }

    /// How the body of this answer to `method` is framed.
    pub fn answer_framing(&self, method: &str) -> Framing {
        let status = self.word(1);
        if method == "HEAD" || status == "204" || status == "304" || status.starts_with('1') {
            return Framing::Length(0);
        }
        match (self.is_chunked(), self.length()) {
            (true, _) => Framing::Chunked,
            (false, Some(length)) => Framing::Length(length),
            (false, None) => Framing::UntilClose,
        }
    }
}

/// What is left of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// This many bytes.
    Length(usize),
    /// Chunks, until the empty one.
    Chunked,
    /// Everything until the peer closes.
    UntilClose,
    /// Nothing: the end was seen.
    Done,
}

/// A connection, plain or in TLS.
#[derive(Debug)]
pub enum Socket {
    /// Plain TCP.
    Plain(TcpStream),
    /// TLS over it.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    /// Makes the end of this connection a reset.
    pub fn reset_when_dropped(&self) {
        self.tcp()
            .set_zero_linger()
            .expect("an open socket takes SO_LINGER");
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Self::Plain(stream)
    }
}

/// One end of a connection, with what was read and not yet used.
#[derive(Debug)]
pub struct Wire {
    stream: Socket,
    buffer: Vec<u8>,
}

impl Wire {
    /// The connection itself, where nothing was read from it yet.
    pub fn into_socket(self) -> Socket {
        assert!(self.buffer.is_empty(), "bytes were read already");
        self.stream
    }

    /// This end of the connection, nothing read yet.
    pub fn new(stream: impl Into<Socket>) -> Self {
        let stream = stream.into();
        stream
            .tcp()
            .set_nodelay(true)
            .expect("a fresh socket takes TCP_NODELAY");
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// The leaf certificate of the other end, as DER bytes.
    pub fn server_certificate(&self) -> Option<Vec<u8>> {
        match &self.stream {
            Socket::Plain(_) => None,
            Socket::Tls(stream) => Some(stream.get_ref().1.peer_certificates()?.first()?.to_vec()),
        }
    }

    /// The protocol that was negotiated in the handshake.
    pub fn protocol(&self) -> Option<String> {
        match &self.stream {
            Socket::Plain(_) => None,
            Socket::Tls(stream) => {
                let name = stream.get_ref().1.alpn_protocol()?;
                Some(String::from_utf8_lossy(name).into_owned())
            }
        }
    }

    /// Writes all bytes at once.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Says that nothing more will be sent (FIN), and stays to read.
    pub async fn finish(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    /// Ends the connection with a reset (RST).
    pub fn reset(self) {
        self.stream.reset_when_dropped();
    }

    /// Reads a message head; `None` when the peer closed before its first byte.
    pub async fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                let raw = self.take(at + 4);
                return Ok(Some(Head::parse(raw)));
            }
            if self.fill().await? == 0 {
                return match self.buffer.is_empty() {
                    true => Ok(None),
                    false => Err(cut("inside a head")),
                };
            }
        }
    }

    /// Reads the next piece of a body as it arrives; `None` at its proper end.
    pub async fn piece(&mut self, framing: &mut Framing) -> io::Result<Option<Vec<u8>>> {
        match *framing {
            Framing::Done | Framing::Length(0) => {
                *framing = Framing::Done;
                Ok(None)
            }
            Framing::Length(left) => {
                if self.buffer.is_empty() && self.fill().await? == 0 {
                    return Err(cut("before content-length was reached"));
                }
                let piece = self.take(self.buffer.len().min(left));
                *framing = Framing::Length(left - piece.len());
                Ok(Some(piece))
            }
            Framing::UntilClose => {
                if self.buffer.is_empty() && self.fill().await? == 0 {
                    *framing = Framing::Done;
                    return Ok(None);
                }
                Ok(Some(self.take(self.buffer.len())))
            }
            Framing::Chunked => self.chunk(framing).await,
        }
    }

    async fn chunk(&mut self, framing: &mut Framing) -> io::Result<Option<Vec<u8>>> {
        let line = self.line().await?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(digits, 16)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("chunk size {line:?}")))?;
        if size == 0 {
            while !self.line().await?.is_empty() {}
            *framing = Framing::Done;
            return Ok(None);
        }
        while self.buffer.len() < size + 2 {
            if self.fill().await? == 0 {
                return Err(cut("inside a chunk"));
            }
        }
        let mut piece = self.take(size + 2);
        piece.truncate(size);
        Ok(Some(piece))
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                let line = self.take(at + 2);
                return Ok(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            if self.fill().await? == 0 {
                return Err(cut("inside a chunked body"));
            }
        }
    }

    /// Reads whole bodies.
    pub async fn body(&mut self, mut framing: Framing) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece(&mut framing).await? {
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// Waits until the peer closes or resets; what it sends meanwhile is kept. Cancel-safe.
    pub async fn closed_by_peer(&mut self) {
        while self.fill().await.is_ok_and(|count| count > 0) {}
    }

    /// Reads everything until the peer closes or resets.
    pub async fn rest(&mut self) -> Vec<u8> {
        self.closed_by_peer().await;
        std::mem::take(&mut self.buffer)
    }

    async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.reserve(64 * 1024);
        self.stream.read_buf(&mut self.buffer).await
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(count);
        std::mem::replace(&mut self.buffer, rest)
    }
}

/// The bytes as one HTTP chunk.
pub fn as_chunk(bytes: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

/// The chunk that ends a body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Where `needle` first stands in `haystack`.
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(haystack, needle)
}

fn cut(place: &str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, format!("connection ended {place}"))
}
