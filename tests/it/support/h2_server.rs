//! A simulated upstream's side of HTTP/2: the same scripts, in frames.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;

use crate::support::upstream::{Ending, Headers, Received, Script, Shared, Step};
use crate::support::wait::pause;
use crate::support::wire::{Head, Socket};

/// What a script does to the whole connection.
enum Whole {
    /// A reset of the TCP connection, asked for by this request.
    Reset(usize),
    /// GOAWAY, and the end once everything was sent.
    Close,
}

/// A connection that can be told to end with a reset, although it belongs to somebody else.
struct Resettable {
    socket: Socket,
    armed: Arc<AtomicBool>,
}

impl Drop for Resettable {
    fn drop(&mut self) {
        if self.armed.load(Ordering::Acquire) {
            self.socket.reset_when_dropped();
        }
    }
}

impl AsyncRead for Resettable {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for Resettable {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(context)
    }
}

/// Serves one connection until either side ends it.
pub(super) async fn converse(socket: Socket, connection: usize, shared: Shared) {
    let armed = Arc::new(AtomicBool::new(false));
    let socket = Resettable {
        socket,
        armed: armed.clone(),
    };
    let Ok(mut http2) = h2::server::handshake(socket).await else {
        return;
    };
    let (whole, mut ends) = mpsc::unbounded_channel();
    let mut streams = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = http2.accept() => match accepted {
                Some(Ok((request, answer))) => {
                    streams.spawn(serve(request, answer, connection, shared.clone(), whole.clone()));
                }
                Some(Err(_)) | None => break,
            },
            Some(end) = ends.recv() => match end {
                Whole::Reset(index) => {
                    armed.store(true, Ordering::Release);
                    shared.ended(index, Ending::Finished);
                    return;
                }
                Whole::Close => http2.graceful_shutdown(),
            },
        }
    }
    // The scripts see that their peer has left, and say so.
    drop(http2);
    while streams.join_next().await.is_some() {}
}

async fn serve(
    request: http::Request<RecvStream>,
    mut answer: SendResponse<Bytes>,
    connection: usize,
    shared: Shared,
    whole: mpsc::UnboundedSender<Whole>,
) {
    let (parts, mut frames) = request.into_parts();
    let mut body = Vec::new();
    while let Some(piece) = frames.data().await {
        let Ok(piece) = piece else { return };
        let _ = frames.flow_control().release_capacity(piece.len());
        body.extend_from_slice(&piece);
    }
    let (index, script) = shared.received(Received {
        connection,
        head: as_head(&parts),
        body,
        ending: Ending::Running,
    });
    let ending = play(&mut answer, script, index, &whole).await;
    shared.ended(index, ending);
}

async fn play(
    answer: &mut SendResponse<Bytes>,
    script: Script,
    index: usize,
    whole: &mpsc::UnboundedSender<Whole>,
) -> Ending {
    let mut body: Option<SendStream<Bytes>> = None;
    for step in script {
        let sent =
            match step {
                Step::Answer(status, headers, bytes) => send_whole(answer, status, &headers, bytes),
                Step::Head(status, headers) => answer
                    .send_response(as_response(status, &headers), false)
                    .map(|stream| {
                        body = Some(stream);
                    }),
                Step::Piece(bytes) => send(body.as_mut(), bytes, false),
                Step::End => send(body.as_mut(), Vec::new(), true),
                Step::Send(_) => {
                    answer.send_reset(Reason::PROTOCOL_ERROR);
                    Ok(())
                }
                Step::Wait(gate) => tokio::select! {
                    () = left(answer, body.as_mut()) => return Ending::PeerLeft,
                    () = gate.pass() => Ok(()),
                },
                Step::Pause(span) => tokio::select! {
                    () = left(answer, body.as_mut()) => return Ending::PeerLeft,
                    () = pause(span) => Ok(()),
                },
                Step::Reset => {
                    let _ = whole.send(Whole::Reset(index));
                    // The connection is gone before this stream says anything of its own.
                    std::future::pending().await
                }
                Step::Close => {
                    let _ = whole.send(Whole::Close);
                    return Ending::Finished;
                }
                Step::Hang => {
                    left(answer, body.as_mut()).await;
                    return Ending::PeerLeft;
                }
            };
        if sent.is_err() {
            return Ending::PeerLeft;
        }
    }
    Ending::Finished
}

fn send_whole(
    answer: &mut SendResponse<Bytes>,
    status: u16,
    headers: &Headers,
    bytes: Vec<u8>,
) -> Result<(), h2::Error> {
    let mut head = as_response(status, headers);
    head.headers_mut().insert("content-length", bytes.len().into());
    let mut body = answer.send_response(head, false)?;
    body.send_data(bytes.into(), true)
}

fn send(body: Option<&mut SendStream<Bytes>>, bytes: Vec<u8>, is_last: bool) -> Result<(), h2::Error> {
    let body = body.expect("a script sends a head before pieces");
    body.send_data(bytes.into(), is_last)
}

/// Waits until the other side has given the stream or the connection up.
async fn left(answer: &mut SendResponse<Bytes>, body: Option<&mut SendStream<Bytes>>) {
    let _ = match body {
        Some(body) => std::future::poll_fn(|context| body.poll_reset(context)).await,
        None => std::future::poll_fn(|context| answer.poll_reset(context)).await,
    };
}

fn as_response(status: u16, headers: &Headers) -> http::Response<()> {
    let mut response = http::Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name.as_str(), value.as_str());
    }
    response.body(()).expect("an answer")
}

fn as_head(parts: &http::request::Parts) -> Head {
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut headers: Vec<(String, String)> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect();
    if let Some(authority) = parts.uri.authority() {
        headers.push((":authority".to_owned(), authority.to_string()));
    }
    if let Some(scheme) = parts.uri.scheme_str() {
        headers.push((":scheme".to_owned(), scheme.to_owned()));
    }
    let raw = headers
        .iter()
        .flat_map(|(name, value)| format!("{name}: {value}\r\n").into_bytes())
        .collect();
    Head {
        raw,
        start: format!("{} {target} HTTP/2", parts.method),
        headers,
    }
}
