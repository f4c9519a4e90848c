//! As much HTTP/1.1 as two sides on loopback need, over plain sockets.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(30);

/// A message: its first line, its header fields and its body.
#[derive(Clone, Debug, Default)]
pub struct Message {
    pub first_line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the body came to its proper end.
    pub complete: bool,
}

impl Message {
    /// A header field, its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The status of an answer.
    pub fn status(&self) -> u16 {
        let word = self.first_line.split(' ').nth(1);
        word.and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// The path of a request.
    pub fn path(&self) -> &str {
        self.first_line.split(' ').nth(1).unwrap_or_default()
    }

    /// Reads a message; `None` where the other side has no more.
    pub fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut message = Self::default();
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        message.first_line = line.trim_end().to_owned();
        loop {
            line.clear();
            if from.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':') {
                message
                    .headers
                    .push((name.trim().to_lowercase(), value.trim().to_owned()));
            }
        }
        message.read_body(from)?;
        Ok(Some(message))
    }

    fn read_body(&mut self, from: &mut impl BufRead) -> io::Result<()> {
        if self.header("transfer-encoding").is_some() {
            return self.read_chunks(from);
        }
        if let Some(length) = self
            .header("content-length")
            .and_then(|length| length.parse().ok())
        {
            let read = from.take(length).read_to_end(&mut self.body)?;
            self.complete = u64::try_from(read) == Ok(length);
        } else if self.first_line.starts_with("HTTP/") {
            self.complete = from.read_to_end(&mut self.body).is_ok();
        } else {
            self.complete = true;
        }
        Ok(())
    }

    fn read_chunks(&mut self, from: &mut impl BufRead) -> io::Result<()> {
        let mut line = String::new();
        loop {
            line.clear();
            if from.read_line(&mut line).unwrap_or(0) == 0 {
                return Ok(());
            }
            let size = u64::from_str_radix(line.trim_end(), 16).map_err(io::Error::other)?;
            if from.take(size).read_to_end(&mut self.body).is_err() || from.read_line(&mut line).is_err() {
                return Ok(());
            }
            if size == 0 {
                self.complete = true;
                return Ok(());
            }
        }
    }
}

/// A connection with patience, and without Nagle's algorithm, so that each write is seen by itself.
pub fn patient(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))
}

/// Posts JSON and reads the whole answer.
pub fn post(to: SocketAddr, path: &str, headers: &[(&str, &str)], body: &str) -> io::Result<Message> {
    let mut stream = TcpStream::connect(to)?;
    patient(&stream)?;
    let mut head = format!("POST {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!(
        "content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    ));
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let answer = Message::read(&mut BufReader::new(stream))?;
    answer.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
}
