//! A tunnel through a forward proxy (CONNECT; RFC 9110, 9.3.6).

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::egress::proxy::ForwardProxy;

/// The largest head with which a proxy may answer, in bytes.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// The proxy opens no tunnel.
#[derive(Debug, thiserror::Error)]
pub enum NoTunnel {
    /// The connection to it broke.
    #[error("the connection to the forward proxy broke")]
    Broken(#[from] std::io::Error),
    /// It goes on talking.
    #[error("the forward proxy's head has no end")]
    Endless,
    /// It says no, with this status where that can be read.
    #[error("the forward proxy opens no tunnel")]
    Refused(Option<u16>),
}

/// Turns a connection to a proxy into one to `to`, HOST:PORT. The deadline is the caller's.
///
/// # Errors
/// [`NoTunnel`]
pub async fn open(stream: &mut TcpStream, proxy: &ForwardProxy, to: &str) -> Result<(), NoTunnel> {
    let authorization = proxy.authorization.as_ref();
    let authorization = authorization.map_or_else(String::new, |value| {
        format!("Proxy-Authorization: {}\r\n", value.expose())
    });
    let request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n{authorization}\r\n");
    stream.write_all(request.as_bytes()).await?;
    match status(&read_head(stream).await?) {
        Some(code) if code / 100 == 2 => Ok(()),
        code => Err(NoTunnel::Refused(code)),
    }
}

/// Reads the proxy's head and not a byte more: what follows belongs to the tunnel.
async fn read_head(stream: &mut TcpStream) -> Result<Vec<u8>, NoTunnel> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= HEAD_BYTES_MAX {
            return Err(NoTunnel::Endless);
        }
        head.push(stream.read_u8().await?);
    }
    Ok(head)
}

/// The status of `HTTP/1.x NNN …`.
fn status(head: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(head).ok()?;
    text.strip_prefix("HTTP/1.")?
        .split(' ')
        .nth(1)?
        .trim()
        .parse()
        .ok()
}
