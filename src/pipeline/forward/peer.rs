//! The one function that makes peers for Pingora's connector.

use std::net::SocketAddr;
use std::time::Duration;

use pingora_core::upstreams::peer::HttpPeer;

use crate::pipeline::forward::failure::Failure;
use crate::types::destination::Destination;

/// How long an idle pooled connection is kept.
pub(super) const POOLED_FOR: Duration = Duration::from_secs(60);

/// A peer for a resolved address. With TLS the destination's host is the name that is verified;
/// for an address literal the certificate must carry that address.
pub(super) fn peer(to: &Destination, address: SocketAddr, connect: Duration) -> Result<HttpPeer, Failure> {
    if to.tls() && to.host().is_empty() {
        return Err(Failure::NoServerName);
    }
    let mut peer = HttpPeer::new(address, to.tls(), to.host().to_owned());
    peer.options.verify_cert = true;
    peer.options.verify_hostname = true;
    peer.options.connection_timeout = Some(connect);
    peer.options.total_connection_timeout = Some(connect);
    peer.options.idle_timeout = Some(POOLED_FOR);
    Ok(peer)
}
