//! A simulated upstream over raw TCP: it records every byte it gets and answers by script.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rustls::ServerConfig;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tollgate::types::digest::Sha256;

use crate::support::h2_server;
use crate::support::wait::{pause, until};
use crate::support::wire::{Head, LAST_CHUNK, Socket, Wire, as_chunk};

/// A door that a script waits at until the test opens it.
#[derive(Clone, Debug)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    /// A closed door.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Lets everyone through, now and later.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    pub(super) async fn pass(&self) {
        drop(self.0.subscribe().wait_for(|open| *open).await);
    }
}

/// One thing that an upstream does after it read a request.
#[derive(Clone, Debug)]
pub enum Step {
    /// Sends a whole answer with its length.
    Answer(u16, Headers, Vec<u8>),
    /// Sends the head of an answer whose body comes in pieces.
    Head(u16, Headers),
    /// Sends a piece of such a body.
    Piece(Vec<u8>),
    /// Ends such a body properly.
    End,
    /// Writes these bytes as they are; over HTTP/2, where they would be no frame, the stream is reset.
    Send(Vec<u8>),
    /// Waits for the test.
    Wait(Gate),
    /// Lets a moment pass, so that the reader sees a border between two writes.
    Pause(Duration),
    /// Ends the connection with a reset.
    Reset,
    /// Ends the connection properly.
    Close,
    /// Says nothing more until the peer leaves.
    Hang,
}

/// What an upstream does with one request; the connection stays open afterwards unless it says otherwise.
pub type Script = Vec<Step>;

/// Names and values.
pub type Headers = Vec<(String, String)>;

fn owned(headers: &[(&str, &str)]) -> Headers {
    let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    headers.iter().map(own).collect()
}

/// A complete answer with a length.
pub fn answer(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Script {
    vec![Step::Answer(status, owned(headers), body.to_vec())]
}

/// A complete JSON answer.
pub fn json(status: u16, body: &Value) -> Script {
    answer(
        status,
        &[("content-type", "application/json")],
        body.to_string().as_bytes(),
    )
}

/// The head of an event stream; chunks follow.
pub fn stream_head(headers: &[(&str, &str)]) -> Step {
    let mut headers = owned(headers);
    headers.push(("content-type".to_owned(), "text/event-stream".to_owned()));
    Step::Head(200, headers)
}

/// One chunk of a stream.
pub fn chunk(bytes: &[u8]) -> Step {
    Step::Piece(bytes.to_vec())
}

/// The proper end of a stream.
pub fn end() -> Step {
    Step::End
}

/// A whole event stream, one write per piece.
pub fn stream(pieces: impl IntoIterator<Item = Vec<u8>>) -> Script {
    let mut script = vec![stream_head(&[])];
    script.extend(pieces.into_iter().map(|piece| chunk(&piece)));
    script.push(end());
    script
}

/// What a step writes on an HTTP/1.1 connection, if it writes at all.
fn wire_bytes(step: &Step) -> Option<Vec<u8>> {
    match step {
        Step::Answer(status, headers, body) => {
            let mut bytes = head(*status, headers);
            bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
            bytes.extend_from_slice(body);
            Some(bytes)
        }
        Step::Head(status, headers) => {
            let mut bytes = head(*status, headers);
            bytes.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
            Some(bytes)
        }
        Step::Piece(bytes) => Some(as_chunk(bytes)),
        Step::End => Some(LAST_CHUNK.to_vec()),
        Step::Send(bytes) => Some(bytes.clone()),
        Step::Wait(_) | Step::Pause(_) | Step::Reset | Step::Close | Step::Hang => None,
    }
}

fn head(status: u16, headers: &Headers) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} Scripted\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.into_bytes()
}

/// How the handling of a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The script is still running.
    Running,
    /// The script ran to its end.
    Finished,
    /// The peer left before the script was through.
    PeerLeft,
}

/// A request as the upstream got it.
#[derive(Clone, Debug)]
pub struct Received {
    /// Which connection it came on, counted from 0.
    pub connection: usize,
    /// Its head.
    pub head: Head,
    /// Its decoded body.
    pub body: Vec<u8>,
    /// How it ended.
    pub ending: Ending,
}

impl Received {
    /// The method.
    pub fn method(&self) -> &str {
        self.head.word(0)
    }

    /// The path without its query.
    pub fn path(&self) -> &str {
        self.target().split('?').next().unwrap_or_default()
    }

    /// Path and query.
    pub fn target(&self) -> &str {
        self.head.word(1)
    }

    /// The body as JSON; panics when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the upstream got JSON")
    }

    /// The digest of the body.
    pub fn digest(&self) -> Sha256 {
        Sha256::of(&self.body)
    }
}

type Respond = dyn Fn(&Received) -> Script + Send + Sync;

#[derive(Default)]
struct Seen {
    connections: usize,
    requests: Vec<Received>,
    broken: Vec<u8>,
    client_certificates: Vec<Option<Vec<u8>>>,
}

/// What the handlers of all connections share.
#[derive(Clone)]
pub(super) struct Shared {
    seen: Arc<Mutex<Seen>>,
    respond: Arc<Respond>,
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no handler panics")
    }

    /// Notes a whole request; gives its number and what to do with it.
    pub(super) fn received(&self, request: Received) -> (usize, Script) {
        let script = (self.respond)(&request);
        let mut seen = self.seen();
        seen.requests.push(request);
        (seen.requests.len() - 1, script)
    }

    /// Notes how the handling of a request ended.
    pub(super) fn ended(&self, index: usize, ending: Ending) {
        self.seen().requests[index].ending = ending;
    }
}

/// A running upstream; it stops when dropped.
pub struct Upstream {
    address: SocketAddr,
    is_tls: bool,
    seen: Arc<Mutex<Seen>>,
    listener: tokio::task::JoinHandle<()>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Upstream {
    /// Answers every request by what `respond` makes of it.
    pub async fn start(respond: impl Fn(&Received) -> Script + Send + Sync + 'static) -> Self {
        Self::start_with(respond, None).await
    }

    /// The same behind TLS.
    pub async fn start_tls(
        respond: impl Fn(&Received) -> Script + Send + Sync + 'static,
        tls: Arc<ServerConfig>,
    ) -> Self {
        Self::start_with(respond, Some(tls)).await
    }

    async fn start_with(
        respond: impl Fn(&Received) -> Script + Send + Sync + 'static,
        tls: Option<Arc<ServerConfig>>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Shared {
            seen: seen.clone(),
            respond: Arc::new(respond),
        };
        let is_tls = tls.is_some();
        let serving = serve(listener, shared, tls);
        Self {
            address,
            is_tls,
            seen,
            listener: tokio::spawn(serving),
        }
    }

    /// Answers each request by the next script, and all further ones by the last.
    pub async fn scripted(scripts: impl IntoIterator<Item = Script>) -> Self {
        let scripts = Mutex::new(scripts.into_iter().collect::<VecDeque<_>>());
        Self::start(move |_| {
            let mut left = scripts.lock().expect("no script panics");
            match left.len() {
                1 => left[0].clone(),
                _ => left.pop_front().expect("a scripted upstream has a script"),
            }
        })
        .await
    }

    /// An address that refuses connections.
    pub async fn refusing() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        listener.local_addr().expect("a bound socket has an address")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`, or with https.
    pub fn url(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The certificate that each connection's client showed, as DER bytes; TLS connections only.
    pub fn client_certificates(&self) -> Vec<Option<Vec<u8>>> {
        self.seen().client_certificates.clone()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no handler panics")
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Received> {
        self.seen().requests.clone()
    }

    /// How many requests came so far.
    pub fn count(&self) -> usize {
        self.seen().requests.len()
    }

    /// How many connections came so far.
    pub fn connections(&self) -> usize {
        self.seen().connections
    }

    /// The newest request.
    pub fn last(&self) -> Received {
        self.seen()
            .requests
            .last()
            .cloned()
            .expect("the upstream got a request")
    }

    /// Every byte of every request, also of those that never became whole.
    pub fn bytes(&self) -> Vec<u8> {
        let seen = self.seen();
        let whole = seen
            .requests
            .iter()
            .flat_map(|request| [&request.head.raw, &request.body]);
        whole.chain([&seen.broken]).flatten().copied().collect()
    }

    /// Whether no request is being handled.
    pub fn is_idle(&self) -> bool {
        self.seen()
            .requests
            .iter()
            .all(|request| request.ending != Ending::Running)
    }

    /// Waits until this many requests came.
    pub async fn wait_for(&self, count: usize) {
        until(&format!("request {count} at the upstream"), async || {
            (self.count() >= count).then_some(())
        })
        .await;
    }

    /// Waits until the handling of a request, counted from 0, has ended.
    pub async fn ending(&self, index: usize) -> Ending {
        until(&format!("the end of upstream request {index}"), async || {
            let ending = self.seen().requests.get(index).map(|request| request.ending)?;
            (ending != Ending::Running).then_some(ending)
        })
        .await
    }
}

async fn serve(listener: TcpListener, shared: Shared, tls: Option<Arc<ServerConfig>>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let index = {
            let mut seen = shared.seen();
            seen.connections += 1;
            seen.connections - 1
        };
        let (shared, tls) = (shared.clone(), tls.clone());
        connections.spawn(async move {
            match tls {
                None if begins_with_http2(&stream).await => {
                    h2_server::converse(stream.into(), index, shared).await;
                }
                None => converse(Wire::new(stream), index, shared).await,
                Some(config) => converse_tls(stream, config, index, shared).await,
            }
        });
    }
}

/// Whether the first bytes of a connection are the HTTP/2 preface (RFC 9113, 3.4). A request line
/// of HTTP/1.1 differs from it in its first three bytes.
async fn begins_with_http2(stream: &TcpStream) -> bool {
    let mut first = [0; 3];
    while let Ok(count) = stream.peek(&mut first).await {
        if count == first.len() || count == 0 || first[..count] != b"PRI"[..count] {
            break;
        }
    }
    &first == b"PRI"
}

async fn converse_tls(stream: TcpStream, config: Arc<ServerConfig>, index: usize, shared: Shared) {
    let Ok(stream) = TlsAcceptor::from(config).accept(stream).await else {
        return;
    };
    let session = stream.get_ref().1;
    let shown = session.peer_certificates().and_then(|chain| chain.first());
    let shown = shown.map(|leaf| leaf.to_vec());
    let is_h2 = session.alpn_protocol() == Some(b"h2");
    shared.seen().client_certificates.push(shown);
    let socket = Socket::Tls(Box::new(stream.into()));
    if is_h2 {
        h2_server::converse(socket, index, shared).await;
    } else {
        converse(Wire::new(socket), index, shared).await;
    }
}

async fn converse(mut wire: Wire, connection: usize, shared: Shared) {
    while let Ok(Some(head)) = wire.head().await {
        let Ok(body) = wire.body(head.request_framing()).await else {
            shared.seen().broken.extend_from_slice(&head.raw);
            return;
        };
        let (index, script) = shared.received(Received {
            connection,
            head,
            body,
            ending: Ending::Running,
        });
        let (ending, kept) = play(wire, script).await;
        shared.ended(index, ending);
        match kept {
            Some(open) => wire = open,
            None => return,
        }
    }
}

/// Runs a script, and notices when the peer leaves while it waits. Returns the connection if it is still of use.
async fn play(mut wire: Wire, script: Script) -> (Ending, Option<Wire>) {
    for step in script {
        if let Some(bytes) = wire_bytes(&step) {
            if wire.send(&bytes).await.is_err() {
                return (Ending::PeerLeft, None);
            }
            continue;
        }
        match step {
            Step::Wait(gate) => tokio::select! {
                () = wire.closed_by_peer() => return (Ending::PeerLeft, None),
                () = gate.pass() => {}
            },
            Step::Pause(span) => tokio::select! {
                () = wire.closed_by_peer() => return (Ending::PeerLeft, None),
                () = pause(span) => {}
            },
            Step::Reset => {
                wire.reset();
                return (Ending::Finished, None);
            }
            Step::Hang => {
                wire.closed_by_peer().await;
                return (Ending::PeerLeft, None);
            }
            _ => return (Ending::Finished, None),
        }
    }
    (Ending::Finished, Some(wire))
}
