//! The ways to a target: plain HTTP/1.1, HTTP/1.1 in TLS, HTTP/2 in TLS.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::bodies::Request;
use crate::client::{Connection, Times};
use crate::client_h2::Place;

/// The name in the certificate.
const SERVER_NAME: &str = "localhost";

/// Requests that share one HTTP/2 connection.
const REQUESTS_PER_H2_CONNECTION: usize = 8;

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// HTTP/1.1 without TLS.
    Plain,
    /// HTTP/1.1 in TLS 1.3.
    Tls,
    /// HTTP/2 in TLS 1.3.
    H2,
}

impl Manner {
    /// As printed.
    pub fn title(self) -> &'static str {
        match self {
            Self::Plain => "HTTP/1.1",
            Self::Tls => "HTTP/1.1 in TLS",
            Self::H2 => "HTTP/2 in TLS",
        }
    }
}

/// The files of a certificate that targets show and clients trust.
pub struct Certificate {
    /// PEM.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
    roots: Arc<RootCertStore>,
}

impl Certificate {
    /// Makes one in this folder.
    pub fn make(folder: &Path) -> Result<Self> {
        let made = rcgen::generate_simple_self_signed([SERVER_NAME.to_owned()])?;
        let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
        std::fs::write(&certificate, made.cert.pem())?;
        std::fs::write(&key, made.signing_key.serialize_pem())?;
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone())?;
        Ok(Self {
            certificate,
            key,
            roots: Arc::new(roots),
        })
    }
}

/// How to reach one target.
#[derive(Clone)]
pub struct Door {
    address: SocketAddr,
    tls: Option<TlsConnector>,
}

/// A connection's bytes.
pub type Socket = Box<dyn Bytestream>;

/// What both kinds of socket are.
pub trait Bytestream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytestream for T {}

impl Door {
    /// To this address in this manner; TLS trusts `certificate` alone.
    pub fn new(address: SocketAddr, manner: Manner, certificate: &Certificate) -> Result<Self> {
        let protocol: &[u8] = match manner {
            Manner::Plain => return Ok(Self { address, tls: None }),
            Manner::Tls => b"http/1.1",
            Manner::H2 => b"h2",
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(Arc::clone(&certificate.roots))
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        Ok(Self {
            address,
            tls: Some(TlsConnector::from(Arc::new(config))),
        })
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connects, with the handshake.
    pub async fn connect(&self) -> Result<Socket> {
        let stream = TcpStream::connect(self.address)
            .await
            .with_context(|| format!("connecting to {}", self.address))?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let stream = tls.connect(ServerName::try_from(SERVER_NAME)?, stream).await?;
        let agreed = stream.get_ref().1.alpn_protocol();
        ensure!(agreed.is_some(), "the target agreed to no protocol");
        Ok(Box::new(stream))
    }
}

/// Somebody who asks, one request after the other.
pub enum Asker {
    /// On a connection of its own.
    Alone(Connection),
    /// On a connection that others use as well.
    Shared(Place),
}

impl Asker {
    /// This many of them.
    pub async fn open(door: &Door, manner: Manner, count: usize) -> Result<Vec<Self>> {
        let mut askers = Vec::with_capacity(count);
        while askers.len() < count {
            if manner == Manner::H2 {
                let place = Place::open(door).await?;
                let places = REQUESTS_PER_H2_CONNECTION.min(count - askers.len());
                askers.extend((0..places).map(|_| Self::Shared(place.clone())));
            } else {
                askers.push(Self::Alone(Connection::open(door).await?));
            }
        }
        Ok(askers)
    }

    /// One exchange, to its end.
    pub async fn exchange(&mut self, request: &Request) -> Result<Times> {
        match self {
            Self::Alone(connection) => connection.exchange(request).await,
            Self::Shared(place) => place.exchange(request).await,
        }
    }
}
