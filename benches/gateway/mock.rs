//! The mock upstream: HTTP/1.1 with keep-alive on plain sockets, with as little work as possible.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::bodies;

const READ_BYTES: usize = 256 << 10;
const PAUSE: Duration = Duration::from_millis(2);

/// What is answered in one dialect.
struct Answers {
    json: Vec<u8>,
    stream: Vec<Vec<u8>>,
}

/// By dialect: Messages, chat completions.
type Dialects = [Answers; 2];

/// Puts the mock on a runtime, which serves it whenever it runs; gives its address.
pub fn start(runtime: &Runtime) -> Result<SocketAddr> {
    let listener = runtime
        .block_on(TcpListener::bind("127.0.0.1:0"))
        .context("binding the mock")?;
    let address = listener.local_addr()?;
    let [messages, completion] = bodies::json_answers();
    let [events, chunks] = bodies::stream_chunks();
    let answers = Arc::new([
        Answers {
            json: messages,
            stream: events,
        },
        Answers {
            json: completion,
            stream: chunks,
        },
    ]);
    runtime.spawn(accept(listener, answers));
    Ok(address)
}

async fn accept(listener: TcpListener, answers: Arc<Dialects>) {
    let mut connections = JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            connections.spawn(serve(stream, Arc::clone(&answers)));
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Answers requests until the peer closes; an I/O error ends the connection, which the peer sees.
async fn serve(mut stream: TcpStream, dialects: Arc<Dialects>) -> std::io::Result<()> {
    let mut input = Vec::with_capacity(READ_BYTES);
    loop {
        input.clear();
        let Some(body_at) = read_head(&mut stream, &mut input).await? else {
            return Ok(());
        };
        let end = body_at + content_length(input.get(..body_at).unwrap_or_default());
        while input.len() < end {
            if stream.read_buf(&mut input).await? == 0 {
                return Ok(());
            }
        }
        let [messages, completions] = dialects.as_ref();
        let answers = if input.starts_with(b"POST /v1/chat/") {
            completions
        } else {
            messages
        };
        let body = input.get(body_at..end).unwrap_or_default();
        if memmem::find(body, bodies::HOLD_MARK.as_bytes()).is_some() {
            return hold(stream, answers).await;
        }
        if memmem::find(body, b"\"stream\":true").is_some() {
            let paused = memmem::find(body, bodies::PAUSE_MARK.as_bytes()).is_some();
            write_stream(&mut stream, answers, paused.then_some(PAUSE)).await?;
        } else {
            stream.write_all(&answers.json).await?;
        }
    }
}

/// Reads until the head is complete; gives where the body begins, or nothing at the peer's close.
async fn read_head(stream: &mut TcpStream, input: &mut Vec<u8>) -> std::io::Result<Option<usize>> {
    loop {
        if stream.read_buf(input).await? == 0 {
            return Ok(None);
        }
        if let Some(at) = memmem::find(input, b"\r\n\r\n") {
            return Ok(Some(at + 4));
        }
    }
}

fn content_length(head: &[u8]) -> usize {
    let head = std::str::from_utf8(head).unwrap_or_default();
    head.split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or_default()
}

/// One write per event. Without a pause they still take turns with other streams' events.
async fn write_stream(
    stream: &mut TcpStream,
    answers: &Answers,
    pause: Option<Duration>,
) -> std::io::Result<()> {
    let mut ticks = pause.map(tokio::time::interval);
    for chunk in &answers.stream {
        match &mut ticks {
            Some(ticks) => drop(ticks.tick().await),
            None => tokio::task::yield_now().await,
        }
        stream.write_all(chunk).await?;
    }
    Ok(())
}

/// Says hello and stays silent until the peer leaves.
async fn hold(mut stream: TcpStream, answers: &Answers) -> std::io::Result<()> {
    for chunk in answers.stream.iter().take(2) {
        stream.write_all(chunk).await?;
    }
    let mut sink = [0_u8; 64];
    while stream.read(&mut sink).await? > 0 {}
    Ok(())
}
