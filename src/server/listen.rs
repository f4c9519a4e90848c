//! Listeners: bound before anything is served, so that an address in use is an error at the start.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::IntoRawFd;
use std::sync::Arc;

use parking_lot::Mutex;
use pingora_core::listeners::tls::TlsSettings;
use pingora_core::listeners::{L4BufferSettings, ListenerConfig};
use pingora_core::server::Fds;
use pingora_core::services::Service as _;
use pingora_core::services::listening::Service;
use tokio::sync::watch;

use crate::config::Config;
use crate::gateway::Entrance;
use crate::server::run::Started;
use crate::server::service::Passed;
use crate::tls::listener::ListenerTls;

/// What is read from a TLS connection at once: one record (RFC 8446, 5.1). It is held for each.
const TLS_READ_BYTES: usize = 16 * 1024;

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct ListenError {
    address: SocketAddr,
    source: std::io::Error,
}

/// Binds an address; port 0 lets the system choose.
///
/// # Errors
/// The address is in use or not ours.
pub fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ListenError> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        let local = listener.local_addr()?;
        Ok((listener, local))
    });
    bound.map_err(|source| ListenError { address, source })
}

/// The listeners of a node.
pub struct Listeners {
    /// For clients.
    pub public: Vec<(TcpListener, SocketAddr)>,
    /// For `/metrics`, `/healthz` and `/readyz`.
    pub metrics: TcpListener,
    metrics_address: SocketAddr,
}

impl Listeners {
    /// The addresses that are really listened on.
    pub fn whereabouts(&self) -> Started {
        Started {
            public: self.public.iter().map(|(_, address)| *address).collect(),
            metrics: self.metrics_address,
        }
    }
}

/// Opens the listeners: sockets that were passed to us, else the configured addresses.
///
/// # Errors
/// An address is in use or not ours, or a passed socket has none.
pub fn open(config: &Config, passed: Passed) -> Result<Listeners, ListenError> {
    let known = |listener: TcpListener| match listener.local_addr() {
        Ok(address) => Ok((listener, address)),
        Err(source) => Err(ListenError {
            address: SocketAddr::from(([0, 0, 0, 0], 0)),
            source,
        }),
    };
    let public: Vec<_> = if passed.public.is_empty() {
        let addresses = config.server.listen.iter();
        addresses
            .map(|address| bind(*address))
            .collect::<Result<_, _>>()?
    } else {
        passed.public.into_iter().map(known).collect::<Result<_, _>>()?
    };
    let (metrics, metrics_address) = match passed.metrics {
        Some(listener) => known(listener)?,
        None => bind(config.metrics.listen)?,
    };
    Ok(Listeners {
        public,
        metrics,
        metrics_address,
    })
}

/// Addresses as a text for people.
pub fn list(addresses: &[SocketAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

/// Serves the data plane on bound listeners until `stop` turns true. Requests in flight go on
/// afterwards; the gateway counts them.
pub async fn serve(
    entrance: Entrance,
    listeners: Vec<(TcpListener, SocketAddr)>,
    tls: Option<Arc<ListenerTls>>,
    stop: watch::Receiver<bool>,
) {
    let mut fds = Fds::new();
    let before_tls = entrance.before_tls();
    let mut service = Service::new("tollgate".to_owned(), entrance);
    for (listener, address) in listeners {
        // The service takes a bound socket over when it is registered under the same text.
        fds.add(address.to_string(), listener.into_raw_fd());
        let buffers = L4BufferSettings::default().read(match tls {
            Some(_) => TLS_READ_BYTES,
            // Heads and bodies are read into buffers of their own.
            None => 0,
        });
        let endpoint = ListenerConfig::tcp(address.to_string()).l4_buffer(buffers);
        service.add_listener(match &tls {
            Some(tls) => match settings(tls) {
                Ok(settings) => endpoint.tls(settings),
                Err(error) => {
                    tracing::error!(%error, "TLS cannot be set up");
                    return;
                }
            },
            None => endpoint,
        });
    }
    if let Some(before_tls) = before_tls {
        service.endpoints().set_pre_tls_callback(before_tls);
    }
    service
        .start_service(Some(Arc::new(Mutex::new(fds))), stop, 1)
        .await;
}

/// TLS 1.2 and 1.3, HTTP/2 before HTTP/1.1, certificates from replaceable material.
fn settings(tls: &Arc<ListenerTls>) -> pingora_error::Result<TlsSettings> {
    // These paths are never read: the resolver stands in their place.
    let mut settings = TlsSettings::intermediate("", "")?;
    settings.enable_h2();
    settings.set_cert_resolver(Arc::<ListenerTls>::clone(tls));
    if tls.asks_clients() {
        settings.set_client_cert_verifier(Arc::<ListenerTls>::clone(tls));
    }
    Ok(settings)
}
