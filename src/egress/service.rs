//! The client of services that are no model and no tool: token endpoints, identity providers.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::egress::exchange::{Asked, NoAnswer, Told, exchange};
use crate::egress::proxy::{ForwardProxy, NoProxy};
use crate::egress::resolve::{Resolver, Unresolved, is_forbidden};
use crate::egress::tunnel;
use crate::tls::client::ClientTls;
use crate::types::destination::Destination;

/// How long a whole request may take, in all.
const TOTAL_MAX: Duration = Duration::from_secs(10);

/// How services are reached.
#[derive(Debug)]
pub struct Settings {
    /// Whom we trust.
    pub tls: ClientTls,
    /// The proxy that leads out.
    pub proxy: Option<Arc<ForwardProxy>>,
    /// What is reached without it.
    pub no_proxy: NoProxy,
    /// How long connecting may take: resolving, the proxy and TLS included.
    pub connect: Duration,
}

/// Asks services, one request per connection.
pub struct ServiceClient {
    settings: Settings,
    resolver: Resolver,
}

impl fmt::Debug for ServiceClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServiceClient")
    }
}

impl ServiceClient {
    /// A client with these settings.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            resolver: Resolver::default(),
        }
    }

    /// Sends a request to a configured service; its base path is not put before the target. A redirect is an
    /// answer like any other.
    ///
    /// # Errors
    /// [`NoAnswer`]
    pub async fn ask(&self, to: &Destination, asked: Asked) -> Result<Told, NoAnswer> {
        let talk = async {
            let connecting = tokio::time::timeout(self.settings.connect, self.connect(to));
            let stream = connecting
                .await
                .map_err(|_| NoAnswer::TooSlow(self.settings.connect))??;
            if !to.tls() {
                return exchange(stream, &to.authority(), asked).await;
            }
            let name = ClientTls::server_name(to.host());
            let name = name.map_err(|error| NoAnswer::Tls(std::io::Error::other(error)))?;
            let connector = TlsConnector::from(self.settings.tls.config());
            let handshake = tokio::time::timeout(self.settings.connect, connector.connect(name, stream));
            let stream = handshake
                .await
                .map_err(|_| NoAnswer::TooSlow(self.settings.connect))?
                .map_err(NoAnswer::Tls)?;
            exchange(stream, &to.authority(), asked).await
        };
        let told = tokio::time::timeout(TOTAL_MAX, Box::pin(talk)).await;
        told.unwrap_or(Err(NoAnswer::TooSlow(TOTAL_MAX)))
    }

    /// A connection to the service, through the proxy where one leads there.
    async fn connect(&self, to: &Destination) -> Result<TcpStream, NoAnswer> {
        let proxy = self.settings.proxy.as_ref();
        let Some(proxy) = proxy.filter(|_| !self.settings.no_proxy.covers(to)) else {
            return dial(self.address(to).await?).await;
        };
        // A name that only the proxy resolves is the proxy's to judge; an address is not.
        if to.host().parse::<IpAddr>().is_ok_and(is_forbidden) {
            return Err(Unresolved::NoAddress.into());
        }
        let mut stream = dial(self.address(&proxy.at).await?).await?;
        tunnel::open(&mut stream, proxy, &to.host_and_port()).await?;
        Ok(stream)
    }

    async fn address(&self, of: &Destination) -> Result<SocketAddr, NoAnswer> {
        let addresses = self.resolver.resolve(of, self.settings.connect).await?;
        Ok(addresses.first().copied().ok_or(Unresolved::NoAddress)?)
    }
}

/// A connection to this address. The deadline is the caller's.
pub(super) async fn dial(address: SocketAddr) -> Result<TcpStream, NoAnswer> {
    TcpStream::connect(address).await.map_err(NoAnswer::Connect)
}
