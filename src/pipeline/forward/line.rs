//! How an upstream is reached: protocol, whom to trust, who we are, which way out.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use pingora_core::connectors::l4::Connect;
use pingora_core::protocols::tls::CaType;
use pingora_core::utils::tls::{CertKey, WrappedX509, parse_x509};

use crate::egress::proxy::ForwardProxy;
use crate::pipeline::forward::tunnel::Tunnel;
use crate::tls::authorities::Authorities;
use crate::tls::key_pair::KeyPair;
use crate::types::destination::Destination;
use crate::types::digest::Sha256;
use crate::types::ids::UpstreamName;

/// Which HTTP an upstream is spoken to in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Http2 {
    /// What the handshake of TLS negotiates; HTTP/1.1 without TLS.
    #[default]
    Auto,
    /// HTTP/1.1.
    Never,
    /// HTTP/2, without TLS by prior knowledge.
    Only,
}

/// What an operator chose for one upstream.
#[derive(Debug, Default)]
pub struct Choice<'a> {
    /// Which HTTP.
    pub http2: Http2,
    /// Who vouches for the upstream; the system's authorities where absent.
    pub authorities: Option<&'a Authorities>,
    /// Our own certificate.
    pub identity: Option<&'a KeyPair>,
    /// The proxy to go through.
    pub proxy: Option<&'a Arc<ForwardProxy>>,
}

/// How one upstream is reached.
#[derive(Clone)]
pub struct Line {
    pub(super) http2: Http2,
    pub(super) authorities: Option<Arc<CaType>>,
    pub(super) identity: Option<Arc<CertKey>>,
    pub(super) tunnel: Option<Arc<dyn Connect + Send + Sync>>,
    /// Where the first connection goes; none for the destination itself.
    pub(super) hop: Option<Destination>,
    /// Connections are shared only by lines that agree in all of this.
    pub(super) group: u64,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("http2", &self.http2)
            .field("hop", &self.hop)
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

impl Line {
    /// The line to a destination.
    pub fn new(to: &Destination, choice: &Choice<'_>) -> Self {
        let host_and_port = to.host_and_port();
        let authorities = choice.authorities.map_or(&[][..], Authorities::der);
        let wrapped = authorities
            .iter()
            .map(|der| WrappedX509::new(der.clone(), parse_x509));
        let chain = choice.identity.map_or_else(Vec::new, KeyPair::chain_der);
        let mut parts: Vec<&[u8]> = vec![host_and_port.as_bytes()];
        parts.extend(authorities.iter().chain(&chain).map(Vec::as_slice));
        if let Some(proxy) = choice.proxy {
            parts.push(proxy.at.host().as_bytes());
        }
        Self {
            http2: choice.http2,
            authorities: choice.authorities.map(|_| wrapped.collect()),
            identity: choice
                .identity
                .map(|pair| Arc::new(CertKey::new(chain.clone(), pair.key_der()))),
            tunnel: choice.proxy.map(|proxy| {
                let tunnel: Arc<dyn Connect + Send + Sync> = Arc::new(Tunnel {
                    proxy: Arc::clone(proxy),
                    to: host_and_port.clone(),
                });
                tunnel
            }),
            hop: choice.proxy.map(|proxy| proxy.at.clone()),
            group: group_of(&parts),
        }
    }
}

/// A number for these parts; its lowest bit is left to the engine.
fn group_of(parts: &[&[u8]]) -> u64 {
    let digest = Sha256::of_parts(parts);
    let first = digest.as_bytes().first_chunk().copied().unwrap_or_default();
    u64::from_le_bytes(first) & !1
}

/// The lines to all upstreams of a configuration.
#[derive(Default)]
pub struct Lines(HashMap<UpstreamName, Line>);

impl Lines {
    /// Adds the line to an upstream.
    pub fn add(&mut self, name: UpstreamName, line: Line) {
        self.0.insert(name, line);
    }

    /// The line to an upstream.
    pub fn to(&self, name: &UpstreamName) -> Option<&Line> {
        self.0.get(name)
    }
}
