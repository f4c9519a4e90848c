//! Tells HTTP/2 from HTTP/1.1 on a connection that negotiated nothing.
//!
//! Pingora peeks for a whole preface before it decides, which a request shorter than that never
//! fills. Here the first byte that differs decides.

use pingora_core::protocols::l4::stream::Stream;
use tokio::io::AsyncReadExt;

/// What an HTTP/2 client sends first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whether the connection begins with HTTP/2. Nothing of it is lost: what was read is put back.
/// `None` when the client left before it was clear.
pub(super) async fn sniff(stream: &mut Stream) -> Option<bool> {
    let mut read = Vec::with_capacity(PREFACE.len());
    while read.len() < PREFACE.len() && PREFACE.starts_with(&read) {
        read.push(stream.read_u8().await.ok()?);
    }
    stream.rewind(&read);
    Some(read == PREFACE)
}
