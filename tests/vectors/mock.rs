//! The upstream of the vectors: each case at a path prefix of its own, each chunk in a write of its own.

use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::Value;

use super::http::{Message, patient};
use super::transcript::{Ending, Transcript};

/// What the mock answers under one prefix.
#[derive(Clone, Debug)]
pub struct Script {
    /// For requests that ask for a stream.
    pub stream: Transcript,
    /// Whether placeholders in it are to be filled.
    pub template: bool,
    /// After how many bytes it is cut anew, once it is filled; as it is, where there is none.
    pub cut: Option<usize>,
    /// For other requests.
    pub whole: Option<Value>,
    /// Runs after every chunk; a pause keeps chunks from being read at once.
    pub after_chunk: fn(),
}

/// A running mock. It ends with the process.
#[derive(Clone, Debug)]
pub struct Mock {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    script: Option<Script>,
    received: Vec<(String, Value)>,
}

impl Mock {
    /// Starts listening on loopback.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let mock = Self {
            address: listener.local_addr()?,
            shared: Arc::default(),
        };
        let serving = mock.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                // An error here is the other side's going away.
                thread::spawn(move || serving.serve(stream));
            }
        });
        Ok(mock)
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets what is answered from now on.
    pub fn play(&self, script: Script) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.script = Some(script);
        shared.received.clear();
    }

    /// Paths and bodies that were received since then.
    pub fn received(&self) -> Vec<(String, Value)> {
        self.shared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .received
            .clone()
    }

    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        patient(&stream)?;
        let mut reader = BufReader::new(stream.try_clone()?);
        while let Some(request) = Message::read(&mut reader)? {
            let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            let script = {
                let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
                shared.received.push((request.path().to_owned(), body.clone()));
                shared.script.clone()
            };
            let Some(script) = script else { return Ok(()) };
            // Gemini is asked for a stream by the path.
            if body["stream"] == true || request.path().contains(":stream") {
                if answer_stream(&mut stream, &script, &body)? == Ending::Reset {
                    return Ok(());
                }
            } else {
                let (status, answer) = match script.whole {
                    Some(answer) => (200, answer.to_string()),
                    None => (
                        500,
                        r#"{"error":{"message":"this case has no whole answer"}}"#.to_owned(),
                    ),
                };
                let length = answer.len();
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
                );
                stream.write_all((head + &answer).as_bytes())?;
            }
        }
        Ok(())
    }
}

fn answer_stream(stream: &mut TcpStream, script: &Script, request: &Value) -> io::Result<Ending> {
    let mut transcript = script.stream.clone();
    if script.template {
        transcript = transcript.filled(request).map_err(io::Error::other)?;
    }
    if let Some(size) = script.cut {
        transcript = transcript.recut(size);
    }
    let mut head = format!(
        "HTTP/1.1 {} X\r\ntransfer-encoding: chunked\r\n",
        transcript.status
    );
    for (name, value) in &transcript.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all((head + "\r\n").as_bytes())?;
    // A chunk without bytes would be the end of the body.
    for chunk in transcript.chunks.iter().filter(|chunk| !chunk.is_empty()) {
        let framed = [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat();
        stream.write_all(&framed)?;
        stream.flush()?;
        (script.after_chunk)();
    }
    if transcript.ending == Ending::Eof {
        stream.write_all(b"0\r\n\r\n")?;
    }
    Ok(transcript.ending)
}
