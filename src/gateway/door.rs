//! The door: every connection that Pingora accepts comes in here, and only here.
//!
//! What a connection proves about its other end is established once, before its first request, and
//! travels to each of its requests as a value.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use pingora_core::apps::{
    HttpPersistentSettings, HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp,
};
use pingora_core::listeners::PreTlsProcess as _;
use pingora_core::protocols::Stream;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora_core::protocols::l4::stream::Stream as L4Stream;
use pingora_core::server::ShutdownWatch;

use crate::gateway::proxy_protocol::ProxyProtocol;
use crate::gateway::{Gateway, preface};
use crate::tls::identity;
use crate::tls::listener::ListenerTls;
use crate::types::peer::Peer;

/// Requests that one HTTP/2 connection may have in flight.
const H2_STREAMS_MAX: u32 = 100;

/// The largest head of an HTTP/2 request, in bytes; `head.rs` has the same bound for HTTP/1.1.
const H2_HEAD_BYTES_MAX: u32 = 64 * 1024;

/// What a client may send of one HTTP/2 body before it has been read, in bytes. The protocol's own
/// 64 KiB would make an upload of 20 MiB wait for 320 round trips.
const H2_STREAM_WINDOW: u32 = 1024 * 1024;

/// The same for all bodies of one connection: what an unread connection can hold in memory.
const H2_CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// What is expected of connections before their first request.
#[derive(Clone, Copy, Debug)]
pub struct EntranceSettings {
    /// Whether plain connections may begin with HTTP/2.
    pub h2c: bool,
    /// Whether trusted proxies say first for whom they connect (PROXY protocol, version 2).
    pub proxy_protocol: bool,
}

/// Every connection, before it has a protocol.
pub struct Entrance {
    gateway: Arc<Gateway>,
    tls: Option<Arc<ListenerTls>>,
    proxy_protocol: Option<Arc<ProxyProtocol>>,
    options: HttpServerOptions,
}

impl Entrance {
    /// The entrance to this gateway.
    pub fn new(gateway: Arc<Gateway>, tls: Option<Arc<ListenerTls>>, settings: EntranceSettings) -> Self {
        let mut options = HttpServerOptions::default();
        options.h2c = settings.h2c;
        let proxy_protocol = settings
            .proxy_protocol
            .then(|| Arc::new(ProxyProtocol::new(Arc::clone(&gateway))));
        Self {
            gateway,
            tls,
            proxy_protocol,
            options,
        }
    }

    /// What reads the PROXY header of TLS connections, before their handshake.
    pub fn before_tls(&self) -> Option<Arc<ProxyProtocol>> {
        self.proxy_protocol.clone()
    }

    /// Reads what comes before the first request of a plain connection: the PROXY header, then as
    /// much as tells HTTP/2 from HTTP/1.1. `None` when the connection must not be served.
    async fn before_plain(&self, stream: Stream) -> Option<(Stream, bool)> {
        let mut stream = stream.into_any().downcast::<L4Stream>().ok()?;
        if let Some(proxy_protocol) = &self.proxy_protocol
            && let Err(error) = proxy_protocol.process(&mut stream).await
        {
            tracing::info!(%error, "a trusted proxy's connection is closed");
            return None;
        }
        let is_http2 = self.options.h2c && preface::sniff(&mut stream).await?;
        Some((stream, is_http2))
    }

    /// What the connection proves about its other end; `None` when it must not be served.
    fn peer(&self, stream: &Stream) -> Option<Peer> {
        let digest = stream.get_socket_digest();
        let address = digest.as_ref().and_then(|digest| digest.peer_addr()?.as_inet());
        let mut peer = Peer {
            address: address.map(|address| address.ip().to_canonical()),
            certificate: None,
        };
        let chain = stream.get_ssl().and_then(|tls| tls.peer_cert_chain_der());
        if let (Some(chain @ [leaf, ..]), Some(tls)) = (chain, &self.tls) {
            if !tls.accepts(chain, self.gateway.clock.now()) {
                tracing::info!(peer = ?peer.address, "a resumed session's certificate is no longer accepted");
                return None;
            }
            peer.certificate = Some(identity::of_certificate(leaf)?);
        }
        Some(peer)
    }
}

#[async_trait]
impl ServerApp for Entrance {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let gateway = &self.gateway;
        let (connections_max, client_idle) = {
            let snapshot = gateway.snapshot.load();
            (snapshot.connections_max, snapshot.client_idle)
        };
        let Some(_connection) = gateway.connections.enter_below(connections_max) else {
            gateway.metrics.shed_connections.inc();
            return None;
        };
        let mut options = self.options.clone();
        options.h2_idle_timeout = Some(client_idle);
        let mut stream = stream;
        if stream.get_ssl().is_none() && (options.h2c || self.proxy_protocol.is_some()) {
            let before = tokio::time::timeout(client_idle, self.before_plain(stream)).await;
            (stream, options.h2c) = before.ok()??;
        }
        let peer = self.peer(&stream)?;
        let door = Arc::new(Door {
            gateway: Arc::clone(&self.gateway),
            options,
            peer,
            begun: AtomicBool::new(false),
        });
        // Once a request has begun, deadlines of its own hold; until then there is this one, which
        // covers the HTTP/2 preface, too.
        let silence = async {
            tokio::time::sleep(client_idle).await;
            if door.begun.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            left = door.process_new(stream, shutdown) => left,
            () = silence => None,
        }
    }
}

/// The way in for the requests of one connection.
struct Door {
    gateway: Arc<Gateway>,
    options: HttpServerOptions,
    peer: Peer,
    /// Whether a request was ever waited for.
    begun: AtomicBool,
}

#[async_trait]
impl HttpServerApp for Door {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        self.begun.store(true, Ordering::Relaxed);
        let gateway = &self.gateway;
        let mut stopping = shutdown.clone();
        if session.get_keepalive().is_some() {
            // Without a limit of Pingora's: the one below covers the wait between requests, too.
            session.set_keepalive(Some(0));
        }
        let client_idle = gateway.snapshot.load().client_idle;
        let read = tokio::select! {
            biased;
            read = tokio::time::timeout(client_idle, session.read_request()) => read,
            _ = stopping.wait_for(|stopping| *stopping) => return None,
        };
        match read {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return None,
            Ok(Err(error)) => {
                gateway.unreadable(session, &error).await;
                return None;
            }
            Err(_) => {
                session.shutdown().await;
                return None;
            }
        }
        let _in_flight = gateway.in_flight.enter();
        if *shutdown.borrow() {
            session.set_keepalive(None);
        }
        session.set_pipelining_enabled(true);
        if Box::pin(gateway.serve(&mut session, &self.peer)).await.is_err() {
            // The client is gone, or what it was told is incomplete: the connection says so.
            session.shutdown().await;
            return None;
        }
        let settings = HttpPersistentSettings::for_session(&session);
        let reusable = session.finish().await.ok().flatten()?;
        Some(ReusedHttpStream::from_reusable_stream(reusable, settings))
    }

    fn h2_options(&self) -> Option<H2Options> {
        let mut options = default_h2_options();
        options
            .max_concurrent_streams(H2_STREAMS_MAX)
            .max_header_list_size(H2_HEAD_BYTES_MAX)
            .initial_window_size(H2_STREAM_WINDOW)
            .initial_connection_window_size(H2_CONNECTION_WINDOW);
        Some(options)
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }
}
