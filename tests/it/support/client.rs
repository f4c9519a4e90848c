//! A client that can be well-behaved or hostile: it sends exactly the bytes that it is told to.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::h2_client::{H2Body, H2Connection};
use crate::support::sse::{self, Event, EventReader};
use crate::support::wait::within;
use crate::support::wire::{Framing, Head, LAST_CHUNK, Socket, Wire, as_chunk};

/// The name by which clients know the gateway.
pub const GATEWAY_NAME: &str = "gateway.test";

/// A request to be sent.
#[derive(Clone, Debug)]
pub struct Call {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    chunk: Option<usize>,
}

impl Call {
    /// A request without a body.
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            chunk: None,
        }
    }

    /// A POST of this JSON.
    pub fn post(target: &str, body: &Value) -> Self {
        Self::post_bytes(target, body.to_string().into_bytes())
    }

    /// A POST of these bytes as JSON.
    pub fn post_bytes(target: &str, body: Vec<u8>) -> Self {
        Self::bare("POST", target, body).header("content-type", "application/json")
    }

    /// A request with this body and no header about it but its length.
    pub fn bare(method: &str, target: &str, body: Vec<u8>) -> Self {
        let mut call = Self::new(method, target);
        call.body = body;
        call
    }

    /// A POST to `/v1/messages` by the owner of `key`.
    pub fn messages(key: &str, body: &Value) -> Self {
        Self::post("/v1/messages", body).key(key)
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds the credential as `x-api-key`, with the version that Anthropic clients send.
    pub fn key(self, key: &str) -> Self {
        self.header("x-api-key", key)
            .header("anthropic-version", "2023-06-01")
    }

    /// Adds the credential as `Authorization: Bearer`.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Sends the body in chunks of this size instead of announcing its length.
    pub fn chunked(mut self, size: usize) -> Self {
        self.chunk = Some(size);
        self
    }

    /// The method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Path and query.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The headers that the test asked for.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// The length that is announced, unless the body goes in chunks.
    pub fn announced(&self) -> Option<usize> {
        let has_body = self.method == "POST" || !self.body.is_empty();
        (self.chunk.is_none() && has_body).then_some(self.body.len())
    }

    /// The body in the pieces in which it is sent.
    pub fn pieces(&self) -> Vec<Vec<u8>> {
        let size = self.chunk.unwrap_or(self.body.len()).max(1);
        self.body.chunks(size).map(<[u8]>::to_vec).collect()
    }

    /// The head alone, with the empty line.
    pub fn head_bytes(&self) -> Vec<u8> {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: gateway.test\r\n",
            self.method, self.target
        );
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match self.chunk {
            Some(_) => head.push_str("Transfer-Encoding: chunked\r\n"),
            None if self.method == "POST" || !self.body.is_empty() => {
                head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
            }
            None => {}
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// The framed body.
    pub fn body_bytes(&self) -> Vec<u8> {
        let Some(size) = self.chunk else {
            return self.body.clone();
        };
        let mut framed: Vec<u8> = self.body.chunks(size).flat_map(as_chunk).collect();
        framed.extend_from_slice(LAST_CHUNK);
        framed
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The head.
    pub head: Head,
    /// The decoded body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first value of this header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; panics when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("no JSON ({error}) in the {} answer: {}", self.status, self.text())
        })
    }

    /// The body as events.
    pub fn events(&self) -> Vec<Event> {
        sse::events(&self.body)
    }

    /// `error.type` of an Anthropic error body.
    pub fn error_type(&self) -> String {
        let body = self.json();
        assert_eq!(body["type"], "error", "not in Anthropic's envelope: {body}");
        body["error"]["type"].as_str().unwrap_or_default().to_owned()
    }

    /// `error.message` of an error body of either dialect.
    pub fn error_message(&self) -> String {
        self.json()["error"]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// The gateway's id of this request.
    pub fn request_id(&self) -> String {
        let id = self.header("request-id");
        let id = id.unwrap_or_else(|| {
            panic!(
                "no request-id on the {} answer: {:?}",
                self.status, self.head.headers
            )
        });
        assert_eq!(
            Some(id),
            self.header("x-tollgate-request-id"),
            "both ids are ours"
        );
        id.to_owned()
    }
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address)
        .await
        .expect("the gateway accepts connections")
}

async fn handshake(stream: TcpStream, config: Arc<ClientConfig>) -> io::Result<Socket> {
    let name = ServerName::try_from(GATEWAY_NAME).expect("a name");
    let connecting = TlsConnector::from(config).connect(name, stream);
    let stream = within("a TLS handshake", connecting).await?;
    Ok(Socket::Tls(Box::new(stream.into())))
}

/// A keep-alive connection to the gateway.
#[derive(Debug)]
pub struct Connection {
    wire: Wire,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Self {
        Self {
            wire: Wire::new(connect(address).await),
        }
    }

    /// Connects with TLS.
    ///
    /// # Errors
    /// The handshake failed, on either side.
    pub async fn open_tls(address: SocketAddr, config: Arc<ClientConfig>) -> io::Result<Self> {
        Ok(Self {
            wire: Wire::new(handshake(connect(address).await, config).await?),
        })
    }

    /// The same, with bytes before the handshake.
    ///
    /// # Errors
    /// The handshake failed, on either side.
    pub async fn open_tls_after(
        address: SocketAddr,
        first: &[u8],
        config: Arc<ClientConfig>,
    ) -> io::Result<Self> {
        let mut stream = connect(address).await;
        stream.write_all(first).await?;
        Ok(Self {
            wire: Wire::new(handshake(stream, config).await?),
        })
    }

    /// The leaf certificate that the gateway showed, as DER bytes.
    pub fn server_certificate(&self) -> Option<Vec<u8>> {
        self.wire.server_certificate()
    }

    /// The protocol that was negotiated in the handshake.
    pub fn protocol(&self) -> Option<String> {
        self.wire.protocol()
    }

    /// Sends raw bytes. A gateway that refuses early may have closed: that is for the reader to see.
    pub async fn send(&mut self, bytes: &[u8]) {
        drop(within("sending to the gateway", self.wire.send(bytes)).await);
    }

    /// Half-closes, as a client does that was cut off while sending.
    pub async fn finish(&mut self) {
        drop(self.wire.finish().await);
    }

    /// Reads one answer, informational heads skipped; `None` when the gateway closed instead.
    pub async fn answer(&mut self, method: &str) -> Option<Answer> {
        let head = self.final_head().await?;
        let framing = head.answer_framing(method);
        let body = within("an answer's body", self.wire.body(framing)).await;
        Some(Answer {
            status: head.word(1).parse().expect("a status line has a number"),
            body: body.unwrap_or_else(|error| panic!("broken answer: {error}; head {:?}", head.start)),
            head,
        })
    }

    /// Reads one head, informational or not; `None` when the gateway closed instead.
    pub async fn head(&mut self) -> Option<Head> {
        within("an answer's head", self.wire.head()).await.ok().flatten()
    }

    async fn final_head(&mut self) -> Option<Head> {
        loop {
            let head = self.head().await?;
            if !head.word(1).starts_with('1') {
                return Some(head);
            }
        }
    }

    /// Sends a request and reads its answer.
    pub async fn call(&mut self, call: &Call) -> Answer {
        self.send(&call.head_bytes()).await;
        self.send(&call.body_bytes()).await;
        let answer = self.answer(&call.method).await;
        answer.unwrap_or_else(|| panic!("closed without an answer to {} {}", call.method, call.target))
    }

    /// Begins HTTP/2 on this connection.
    ///
    /// # Errors
    /// The gateway speaks something else here.
    pub async fn http2(self) -> Result<H2Connection, h2::Error> {
        H2Connection::over(self.wire.into_socket()).await
    }

    /// Sends a request and returns once the answer's head is there, the body still to come.
    pub async fn open_stream(mut self, call: &Call) -> Stream {
        self.send(&call.head_bytes()).await;
        self.send(&call.body_bytes()).await;
        let head = self.final_head().await.expect("closed before the answer's head");
        let framing = head.answer_framing(&call.method);
        Stream::of(head, Source::H1(self.wire, framing))
    }

    /// Everything that the gateway sends until it closes.
    pub async fn rest(&mut self) -> Vec<u8> {
        within("the gateway to close", self.wire.rest()).await
    }
}

/// Where the body of a stream comes from.
enum Source {
    H1(Wire, Framing),
    H2(H2Body),
}

/// An answer that is still arriving.
pub struct Stream {
    /// Its head.
    pub head: Head,
    /// The decoded body so far.
    pub body: Vec<u8>,
    source: Source,
    reader: EventReader,
    ready: std::vec::IntoIter<Event>,
}

impl Stream {
    fn of(head: Head, source: Source) -> Self {
        Self {
            head,
            source,
            reader: EventReader::default(),
            ready: Vec::new().into_iter(),
            body: Vec::new(),
        }
    }

    /// An answer in HTTP/2 frames.
    pub fn over_http2(head: Head, body: H2Body) -> Self {
        Self::of(head, Source::H2(body))
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.head.word(1).parse().expect("a status line has a number")
    }

    /// The next piece of the body as it arrives; `None` at the proper end, an error at any other.
    pub async fn piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        let piece = match &mut self.source {
            Source::H1(wire, framing) => within("the next piece of a stream", wire.piece(framing)).await?,
            Source::H2(body) => body.piece().await?,
        };
        self.body.extend_from_slice(piece.as_deref().unwrap_or_default());
        Ok(piece)
    }

    /// The next event as it arrives; `None` at the proper end.
    pub async fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.next() {
                return Some(event);
            }
            let piece = self
                .piece()
                .await
                .unwrap_or_else(|error| panic!("stream broke: {error}"))?;
            self.ready = self.reader.push(&piece).into_iter();
        }
    }

    /// Every event until the proper end.
    pub async fn events(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.event().await {
            events.push(event);
        }
        assert!(!self.reader.is_inside_event(), "the stream ended inside an event");
        events
    }

    /// Leaves by reset, as a killed client does.
    pub fn reset(self) {
        match self.source {
            Source::H1(wire, _) => wire.reset(),
            Source::H2(body) => body.cancel(),
        }
    }
}
