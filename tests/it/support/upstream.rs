//! A simulated upstream over raw TCP: it records every byte it gets and answers by script.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tollgate::types::digest::Sha256;

use crate::support::wait::{pause, until};
use crate::support::wire::{Head, LAST_CHUNK, Wire, as_chunk};

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

    async fn pass(&self) {
        drop(self.0.subscribe().wait_for(|open| *open).await);
    }
}

/// One thing that an upstream does after it read a request.
#[derive(Clone, Debug)]
pub enum Step {
    /// Writes these bytes and flushes.
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

/// A complete answer with a length.
pub fn answer(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Script {
    let mut bytes = head(status, headers);
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(body);
    vec![Step::Send(bytes)]
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
    let mut bytes = head(200, headers);
    bytes.extend_from_slice(b"content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
    Step::Send(bytes)
}

/// One chunk of a stream.
pub fn chunk(bytes: &[u8]) -> Step {
    Step::Send(as_chunk(bytes))
}

/// The proper end of a stream.
pub fn end() -> Step {
    Step::Send(LAST_CHUNK.to_vec())
}

/// A whole event stream, one write per piece.
pub fn stream(pieces: impl IntoIterator<Item = Vec<u8>>) -> Script {
    let mut script = vec![stream_head(&[])];
    script.extend(pieces.into_iter().map(|piece| chunk(&piece)));
    script.push(end());
    script
}

fn head(status: u16, headers: &[(&str, &str)]) -> Vec<u8> {
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
}

/// A running upstream; it stops when dropped.
pub struct Upstream {
    address: SocketAddr,
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
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let seen = Arc::new(Mutex::new(Seen::default()));
        let respond: Arc<Respond> = Arc::new(respond);
        let serving = serve(listener, seen.clone(), respond);
        Self {
            address,
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

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
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

async fn serve(listener: TcpListener, seen: Arc<Mutex<Seen>>, respond: Arc<Respond>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let index = {
            let mut seen = seen.lock().expect("no handler panics");
            seen.connections += 1;
            seen.connections - 1
        };
        connections.spawn(converse(Wire::new(stream), index, seen.clone(), respond.clone()));
    }
}

async fn converse(mut wire: Wire, connection: usize, seen: Arc<Mutex<Seen>>, respond: Arc<Respond>) {
    while let Ok(Some(head)) = wire.head().await {
        let Ok(body) = wire.body(head.request_framing()).await else {
            seen.lock()
                .expect("no handler panics")
                .broken
                .extend_from_slice(&head.raw);
            return;
        };
        let received = Received {
            connection,
            head,
            body,
            ending: Ending::Running,
        };
        let script = respond(&received);
        let index = {
            let requests = &mut seen.lock().expect("no handler panics").requests;
            requests.push(received);
            requests.len() - 1
        };
        let (ending, kept) = play(wire, script).await;
        seen.lock().expect("no handler panics").requests[index].ending = ending;
        match kept {
            Some(open) => wire = open,
            None => return,
        }
    }
}

/// Runs a script, and notices when the peer leaves while it waits. Returns the connection if it is still of use.
async fn play(mut wire: Wire, script: Script) -> (Ending, Option<Wire>) {
    for step in script {
        match step {
            Step::Send(bytes) => {
                if wire.send(&bytes).await.is_err() {
                    return (Ending::PeerLeft, None);
                }
            }
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
            Step::Close => return (Ending::Finished, None),
            Step::Hang => {
                wire.closed_by_peer().await;
                return (Ending::PeerLeft, None);
            }
        }
    }
    (Ending::Finished, Some(wire))
}
