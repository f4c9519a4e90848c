//! Searches that a regular expression does badly: PEM blocks and passwords in URLs.

use std::ops::Range;

use memchr::memmem;

use crate::pipeline::inspect::secrets::harmless::is_placeholder;

/// Bytes between `-----BEGIN` and `PRIVATE KEY` at most.
const PEM_LABEL_MAX: usize = 48;
/// Bytes of one PEM block at most; the largest RSA keys in use have a quarter of that.
const PEM_MAX: usize = 64 << 10;
/// Base64 characters below which a PEM block is an illustration.
const PEM_KEY_MIN: usize = 40;
/// Bytes of a scheme, and of a URL's user and password, at most.
const SCHEME_MAX: usize = 24;
const USERINFO_MAX: usize = 320;
const PASSWORD_MIN: usize = 3;

/// The PEM block whose first line has the keyword `PRIVATE KEY` at `keyword`.
///
/// A block without an end is taken as far as it looks like one. The search stops at the next
/// `-----`, so that searches for many blocks do not overlap.
pub(super) fn pem(text: &[u8], keyword: Range<usize>) -> Option<Range<usize>> {
    let label_from = keyword.start.saturating_sub(PEM_LABEL_MAX);
    let label = text.get(label_from..keyword.start)?;
    let start = label_from + memmem::rfind(label, b"-----BEGIN ")?;
    let label = text.get(start + 11..keyword.start)?;
    if !label
        .iter()
        .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || *c == b' ')
    {
        return None;
    }
    let rest = text.get(keyword.end..)?;
    let head = [b" BLOCK-----".as_slice(), b"-----"]
        .into_iter()
        .find(|head| rest.starts_with(head))?;
    let from = keyword.end + head.len();
    let body = text.get(from..text.len().min(from + PEM_MAX))?;
    // Nothing is looked at behind the next dashes: blocks in a row cost what they are long.
    let dashes = memmem::find(body, b"-----").unwrap_or(body.len());
    let (inner, closing) = body.split_at_checked(dashes)?;
    let is_quoting = |c| matches!(c, b'"' | b'\'' | b';' | b'(' | b')');
    let whole = !closing.is_empty()
        && inner
            .iter()
            .all(|c| is_key(*c) || is_layout(*c) || is_quoting(*c));
    let (keys, end) = if whole {
        let ends = closing.starts_with(b"-----END ");
        (dashes, from + dashes + if ends { end_line(closing) } else { 0 })
    } else {
        let strict = run(inner, |c| is_key(c) || is_layout(c));
        (strict, from + strict)
    };
    let key_bytes = body.get(..keys)?.iter().filter(|c| is_key(**c)).count();
    (key_bytes >= PEM_KEY_MIN).then_some(start..end)
}

/// The length of an end line, up to its closing dashes.
fn end_line(text: &[u8]) -> usize {
    let line = text.get(..text.len().min(9 + PEM_LABEL_MAX)).unwrap_or_default();
    let after = line.get(9..).unwrap_or_default();
    let Some(place) = memmem::find(after, b"-----") else {
        return 9;
    };
    // In a quoted block the line end is written out, and belongs to the key.
    let behind = after.get(place + 5..).unwrap_or_default();
    let escapes = run(behind, |c| c == b'\\');
    let written = match behind.get(escapes) {
        Some(b'n') if escapes > 0 => escapes + 1,
        Some(b'r') if escapes > 0 => escapes + 1 + end_of_line(behind.get(escapes + 1..).unwrap_or_default()),
        _ => 0,
    };
    9 + place + 5 + written
}

/// The length of a written line feed.
fn end_of_line(text: &[u8]) -> usize {
    let escapes = run(text, |c| c == b'\\');
    if escapes > 0 && text.get(escapes) == Some(&b'n') {
        escapes + 1
    } else {
        0
    }
}

const fn is_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

/// White space, escapes of it, quoting, indentation, and the punctuation of PEM headers.
const fn is_layout(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'\\' | b'>' | b':' | b',' | b'-' | b'|' | b'#' | b'*')
}

fn run(text: &[u8], wanted: impl Fn(u8) -> bool) -> usize {
    text.iter().position(|byte| !wanted(*byte)).unwrap_or(text.len())
}

/// The password of the URL whose `://` stands at `keyword`: `scheme://user:PASSWORD@host`.
pub(super) fn url_password(text: &[u8], keyword: Range<usize>) -> Option<Range<usize>> {
    let before = text.get(keyword.start.saturating_sub(SCHEME_MAX)..keyword.start)?;
    before.last().filter(|byte| byte.is_ascii_alphanumeric())?;
    let from = keyword.end;
    let rest = text.get(from..text.len().min(from + USERINFO_MAX))?;
    // `#` would end it, but people write it into passwords all the same.
    let stops = |c: u8| {
        c.is_ascii_whitespace() || matches!(c, b'/' | b'"' | b'\'' | b'<' | b'>' | b'\\' | b'`' | b'?')
    };
    let authority = rest.get(..run(rest, |byte| !stops(byte)))?;
    let at = authority.iter().rposition(|byte| *byte == b'@')?;
    let (userinfo, host) = (authority.get(..at)?, authority.get(at + 1..)?);
    let colon = userinfo.iter().position(|byte| *byte == b':')?;
    let (user, password) = (userinfo.get(..colon)?, userinfo.get(colon + 1..)?);
    let port_like = password.len() <= 5 && password.iter().all(u8::is_ascii_digit);
    let sample = port_like || password == user || is_local(host) || is_placeholder(password);
    let starts_host = host
        .first()
        .is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, b'['));
    let found = password.len() >= PASSWORD_MIN && starts_host && !sample;
    found.then_some(from + colon + 1..from + at)
}

/// Whether a host is the machine itself: URLs to it are samples.
fn is_local(host: &[u8]) -> bool {
    let name = host
        .split(|c| matches!(c, b':' | b','))
        .next()
        .unwrap_or_default();
    [
        b"localhost".as_slice(),
        b"127.0.0.1",
        b"0.0.0.0",
        b"host",
        b"hostname",
    ]
    .contains(&name)
        || host.starts_with(b"[::1]")
}
