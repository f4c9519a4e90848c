//! A tunnel through a forward proxy, as Pingora's connector opens it.

use std::sync::Arc;

use async_trait::async_trait;
use pingora_core::connectors::l4::Connect;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::protocols::l4::stream::Stream;
use pingora_error::{Error, ErrorType, OrErr, Result};
use tokio::net::TcpStream;

use crate::egress::proxy::ForwardProxy;
use crate::egress::tunnel::{self, NoTunnel};

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
        let opened = tunnel::open(&mut stream, &self.proxy, &self.to).await;
        if let Err(NoTunnel::Refused(code)) = &opened {
            tracing::warn!(to = %self.to, status = code, "the forward proxy opens no tunnel");
        }
        opened.or_err(ErrorType::ConnectProxyFailure, "opening a tunnel")?;
        Ok(stream.into())
    }
}
