//! A tunnel through a forward proxy (CONNECT; RFC 9110, 9.3.6), as Pingora's connector opens it.

use std::sync::Arc;

use async_trait::async_trait;
use pingora_core::connectors::l4::Connect;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::protocols::l4::stream::Stream;
use pingora_error::{Error, ErrorType, OrErr, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::egress::proxy::ForwardProxy;

/// The largest head with which a proxy may answer, in bytes.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// The way to one destination through a proxy.
#[derive(Debug)]
pub(super) struct Tunnel {
    /// The proxy.
    pub(super) proxy: Arc<ForwardProxy>,
    /// HOST:PORT of the destination.
    pub(super) to: String,
}

#[async_trait]
impl Connect for Tunnel {
    /// `hop` is an address of the proxy; the deadline is the connector's.
    async fn connect(&self, hop: &SocketAddr) -> Result<Stream> {
        let hop = hop
            .as_inet()
            .ok_or_else(|| Error::explain(ErrorType::ConnectError, "the proxy has no IP address"))?;
        let connected = TcpStream::connect(hop).await;
        let mut stream = connected.or_err(ErrorType::ConnectError, "connecting to the forward proxy")?;
        let sent = stream.write_all(self.request().as_bytes()).await;
        sent.or_err(ErrorType::ConnectProxyFailure, "asking the forward proxy")?;
        let head = read_head(&mut stream).await?;
        match status(&head) {
            Some(code) if code / 100 == 2 => Ok(stream.into()),
            code => {
                tracing::warn!(to = %self.to, status = code, "the forward proxy opens no tunnel");
                Error::e_explain(
                    ErrorType::ConnectProxyFailure,
                    "the forward proxy opens no tunnel",
                )
            }
        }
    }
}

impl Tunnel {
    fn request(&self) -> String {
        let authorization = self.proxy.authorization.as_ref();
        let authorization = authorization.map_or_else(String::new, |value| {
            format!("Proxy-Authorization: {}\r\n", value.expose())
        });
        let to = &self.to;
        format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n{authorization}\r\n")
    }
}

/// Reads the proxy's head and not a byte more: what follows belongs to the tunnel.
async fn read_head(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= HEAD_BYTES_MAX {
            return Error::e_explain(
                ErrorType::ConnectProxyFailure,
                "the forward proxy's head has no end",
            );
        }
        let byte = stream.read_u8().await;
        head.push(byte.or_err(
            ErrorType::ConnectProxyFailure,
            "reading the forward proxy's answer",
        )?);
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
