//! The one function that makes peers for Pingora's connector.

use std::net::SocketAddr;
use std::time::Duration;

use pingora_core::upstreams::peer::HttpPeer;

use crate::pipeline::forward::failure::Failure;
use crate::pipeline::forward::line::{Http2, Line};
use crate::types::destination::Destination;

/// How long an idle pooled connection is kept.
pub(super) const POOLED_FOR: Duration = Duration::from_secs(60);

/// Requests that share one HTTP/2 connection.
const H2_STREAMS_MAX: usize = 100;

/// What an upstream may send of one answer before it has been read, in bytes.
const H2_STREAM_WINDOW: u32 = 256 * 1024;

/// The same for all answers of a connection: a hundred that are not read do not hold up another.
const H2_CONNECTION_WINDOW: u32 = 26 * 1024 * 1024;

/// How often a silent HTTP/2 connection is asked whether it still lives.
const H2_PING_EVERY: Duration = Duration::from_secs(30);

/// Whether a peer's connections come out of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pooling {
    /// They may.
    Shared,
    /// A connection of its own, used for one request and never seen by another.
    Alone,
}

/// A peer for a resolved address, of the destination or of the proxy on the way. With TLS the
/// destination's host is the name that is verified; for an address literal the certificate must
/// carry that address.
pub(super) fn peer(
    to: &Destination,
    line: &Line,
    address: SocketAddr,
    connect: Duration,
    pooling: Pooling,
) -> Result<HttpPeer, Failure> {
    if to.tls() && to.host().is_empty() {
        return Err(Failure::NoServerName);
    }
    let mut peer = HttpPeer::new(address, to.tls(), to.host().to_owned());
    peer.group_key = line.group;
    peer.client_cert_key.clone_from(&line.identity);
    let options = &mut peer.options;
    options.verify_cert = true;
    options.verify_hostname = true;
    options.ca.clone_from(&line.authorities);
    options.custom_l4.clone_from(&line.tunnel);
    options.connection_timeout = Some(connect);
    options.total_connection_timeout = Some(connect);
    options.idle_timeout = Some(POOLED_FOR);
    match line.http2 {
        Http2::Only => options.set_http_version(2, 2),
        Http2::Auto if to.tls() => options.set_http_version(2, 1),
        Http2::Auto | Http2::Never => options.set_http_version(1, 1),
    }
    options.max_h2_streams = H2_STREAMS_MAX;
    options.h2_stream_window_size = Some(H2_STREAM_WINDOW);
    options.h2_connection_window_size = Some(H2_CONNECTION_WINDOW);
    options.h2_ping_interval = Some(H2_PING_EVERY);
    if pooling == Pooling::Alone {
        // A group of its own finds nothing in the pool, and a connection for one stream is not put
        // where others would find it.
        peer.group_key |= 1;
        peer.options.max_h2_streams = 1;
    }
    Ok(peer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::forward::line::Choice;

    fn peer_of(endpoint: &str, http2: Http2, pooling: Pooling) -> Result<HttpPeer, Failure> {
        let to = Destination::parse(endpoint).unwrap();
        let line = Line::new(
            &to,
            &Choice {
                http2,
                ..Choice::default()
            },
        );
        let address = SocketAddr::from(([192, 0, 2, 1], 443));
        peer(&to, &line, address, Duration::from_secs(1), pooling)
    }

    #[test]
    fn tls_without_a_name_is_refused_and_verification_is_always_on() {
        // An empty pair of brackets is a host that is no name.
        assert!(matches!(
            peer_of("https://[]", Http2::Auto, Pooling::Shared),
            Err(Failure::NoServerName)
        ));
        for endpoint in [
            "https://api.example.com",
            "https://192.0.2.1",
            "https://[2001:db8::1]:8443",
        ] {
            let peer = peer_of(endpoint, Http2::Auto, Pooling::Shared).unwrap();
            assert!(!peer.sni.is_empty(), "{endpoint}");
            assert!(peer.options.verify_cert && peer.options.verify_hostname);
            assert_eq!(peer.options.alternative_cn, None);
        }
    }

    #[test]
    fn connections_are_shared_only_by_like_peers() {
        use pingora_core::upstreams::peer::Peer as _;
        let hash = |endpoint, http2, pooling| peer_of(endpoint, http2, pooling).unwrap().reuse_hash();
        let one = hash("https://a.example", Http2::Auto, Pooling::Shared);
        assert_eq!(one, hash("https://a.example", Http2::Auto, Pooling::Shared));
        assert_ne!(one, hash("https://a.example", Http2::Auto, Pooling::Alone));
        assert_ne!(one, hash("https://a.example:8443", Http2::Auto, Pooling::Shared));
        assert_ne!(one, hash("https://b.example", Http2::Auto, Pooling::Shared));
    }
}
