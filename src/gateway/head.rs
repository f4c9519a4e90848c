//! Heads that two parsers could read differently are refused before anything else looks at them.
//!
//! Pingora follows RFC 9112 leniently: bare LF ends a line, Transfer-Encoding overrides
//! Content-Length. Behind a gateway such leniency is how requests are smuggled, so the raw head is
//! checked here, strictly.

use crate::pipeline::refusal::{Kind, Refusal};

/// The largest head, request line included, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Checks an HTTP/1.x head as it came.
///
/// # Errors
/// A [`Refusal`] that names what is ambiguous and how to mend it.
pub fn check(raw: &[u8]) -> Result<(), Refusal> {
    if raw.len() > HEAD_BYTES_MAX {
        let message =
            format!("the request's head has more than {HEAD_BYTES_MAX} bytes: send fewer or shorter headers");
        return Err(Refusal::new(Kind::HeadTooLarge, message));
    }
    let mut framing = Framing::default();
    let mut lines = raw.split_inclusive(|byte| *byte == b'\n').map(strip_line_end);
    check_request_line(lines.next().transpose()?.unwrap_or_default())?;
    for line in lines {
        let line = line?;
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(malformed(
                "a header line is folded: write each header on one line (RFC 9112, 5.2)",
            ));
        }
        if let Some(colon) = line.iter().position(|byte| *byte == b':') {
            let (name, value) = line.split_at(colon);
            framing.note(name, value.get(1..).unwrap_or_default().trim_ascii())?;
        }
    }
    framing.finish()
}

/// METHOD TARGET VERSION, one blank between. Pingora repairs a blank inside of the target by encoding
/// it, and nothing that is served here has one in its path.
fn check_request_line(line: &[u8]) -> Result<(), Refusal> {
    let mut words = line.split(|byte| *byte == b' ');
    let (_, target, _, more) = (words.next(), words.next(), words.next(), words.next());
    let path = target
        .unwrap_or_default()
        .split(|byte| *byte == b'?')
        .next()
        .unwrap_or_default();
    if path.is_empty() || more.is_some() || memchr::memmem::find(path, b"%20").is_some() {
        return Err(malformed(
            "the request line is not METHOD TARGET VERSION with one blank between (RFC 9112, 3)",
        ));
    }
    Ok(())
}

fn strip_line_end(line: &[u8]) -> Result<&[u8], Refusal> {
    line.strip_suffix(b"\r\n")
        .filter(|line| !line.contains(&b'\r'))
        .ok_or_else(|| {
            malformed("a line of the head does not end in CR LF: end every line with both (RFC 9112, 2.2)")
        })
}

/// What decides where a message ends and whom it is for.
#[derive(Default)]
struct Framing {
    lengths: usize,
    encodings: usize,
    hosts: usize,
}

impl Framing {
    fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), Refusal> {
        if name.last().is_some_and(u8::is_ascii_whitespace) {
            return Err(malformed(
                "a header's name is followed by blanks: put the colon right behind it",
            ));
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            self.lengths += 1;
            if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
                return Err(malformed(
                    "content-length is not a number: send the body's length in bytes",
                ));
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.encodings += 1;
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err(malformed(
                    "transfer-encoding is not exactly `chunked`: send the body chunked or with content-length",
                ));
            }
        } else if name.eq_ignore_ascii_case(b"host") {
            self.hosts += 1;
        }
        Ok(())
    }

    fn finish(&self) -> Result<(), Refusal> {
        if self.lengths > 0 && self.encodings > 0 {
            return Err(malformed(
                "both content-length and transfer-encoding are set: send one of them",
            ));
        }
        if self.lengths > 1 || self.encodings > 1 {
            return Err(malformed(
                "content-length or transfer-encoding is repeated: send it once",
            ));
        }
        if self.hosts > 1 {
            return Err(malformed("the host header is repeated: send it once"));
        }
        Ok(())
    }
}

fn malformed(message: &'static str) -> Refusal {
    Refusal::new(Kind::Malformed, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ambiguous_heads_are_refused() {
        let check_with = |lines: &str, fine: bool| {
            let raw = format!("POST /v1/messages HTTP/1.1\r\n{lines}\r\n");
            assert_eq!(check(raw.as_bytes()).is_ok(), fine, "{lines:?}");
        };
        check_with("host: a\r\ncontent-length: 3\r\n", true);
        check_with("host: a\r\nTransfer-Encoding: Chunked\r\n", true);
        check_with(
            "host: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n",
            false,
        );
        check_with("content-length: 3\r\nContent-Length: 3\r\n", false);
        check_with("content-length: 3, 3\r\n", false);
        check_with("content-length: +3\r\n", false);
        check_with("content-length:\r\n", false);
        check_with("transfer-encoding: gzip, chunked\r\n", false);
        check_with(
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            false,
        );
        check_with("transfer-encoding: xchunked\r\n", false);
        check_with("x: a\r\n folded\r\n", false);
        check_with("x: a\nhost: b\r\n", false);
        check_with("x: a\rb\r\n", false);
        check_with("content-length : 3\r\n", false);
        check_with("host: a\r\nhost: b\r\n", false);
        check_with(&format!("x: {}\r\n", "y".repeat(70_000)), false);
        assert!(check(b"GET /v1/ models HTTP/1.1\r\n\r\n").is_err());
        assert!(check(b"GET  /v1/models HTTP/1.1\r\n\r\n").is_err());
        assert!(check(b"GET /v1/%20models HTTP/1.1\r\n\r\n").is_err());
        assert!(check(b"GET /v1/models?q=a%20b HTTP/1.1\r\n\r\n").is_ok());
    }
}
