//! Names to addresses, remembered for a short while.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::types::destination::Destination;

/// Whether an address must never be connected to: link-local (cloud metadata services live
/// there), multicast, unspecified and broadcast addresses.
pub fn is_forbidden(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_multicast() || v4.is_unspecified() || v4.is_broadcast(),
        IpAddr::V6(v6) => {
            // fd00:ec2::254 is the IPv6 metadata address of one large cloud.
            let metadata = v6.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254];
            metadata || v6.is_unicast_link_local() || v6.is_multicast() || v6.is_unspecified()
        }
    }
}

/// How long an answer of the resolver is used.
const REMEMBERED_FOR: Duration = Duration::from_secs(30);

type HostAndPort = (Box<str>, u16);

/// An answer of the resolver and when it was given.
type Remembered = (Instant, Arc<[SocketAddr]>);

/// The name cannot be turned into an address that may be connected to.
#[derive(Debug, thiserror::Error)]
pub enum Unresolved {
    /// The resolver failed.
    #[error("the name of the upstream cannot be resolved")]
    Lookup(#[source] std::io::Error),
    /// It took too long.
    #[error("resolving the name of the upstream took too long")]
    TimedOut,
    /// Every address is forbidden, or there is none.
    #[error("the upstream's name has no address that may be connected to")]
    NoAddress,
}

/// A resolver with a short memory. It holds at most one entry per configured destination.
#[derive(Debug, Default)]
pub struct Resolver {
    remembered: Mutex<HashMap<HostAndPort, Remembered>>,
}

impl Resolver {
    /// The permitted addresses of a destination, at least one.
    ///
    /// # Errors
    /// [`Unresolved`] when the name has none within the deadline.
    pub async fn resolve(
        &self,
        to: &Destination,
        deadline: Duration,
    ) -> Result<Arc<[SocketAddr]>, Unresolved> {
        if let Ok(literal) = to.host().parse::<IpAddr>() {
            return permitted([SocketAddr::new(literal, to.port())].into_iter());
        }
        let key = (Box::from(to.host()), to.port());
        if let Some((at, addresses)) = self.remembered.lock().get(&key)
            && at.elapsed() < REMEMBERED_FOR
        {
            return Ok(Arc::clone(addresses));
        }
        let lookup = tokio::net::lookup_host((to.host(), to.port()));
        let found = tokio::time::timeout(deadline, lookup)
            .await
            .map_err(|_| Unresolved::TimedOut)?;
        let addresses = permitted(found.map_err(Unresolved::Lookup)?)?;
        self.remembered
            .lock()
            .insert(key, (Instant::now(), Arc::clone(&addresses)));
        Ok(addresses)
    }
}

fn permitted(found: impl Iterator<Item = SocketAddr>) -> Result<Arc<[SocketAddr]>, Unresolved> {
    let addresses: Arc<[SocketAddr]> = found.filter(|address| !is_forbidden(address.ip())).collect();
    if addresses.is_empty() {
        Err(Unresolved::NoAddress)
    } else {
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_literal_metadata_address_is_never_resolved() {
        let to = Destination::parse("http://169.254.169.254/latest").unwrap();
        let refused = Resolver::default().resolve(&to, Duration::from_secs(1)).await;
        assert!(matches!(refused, Err(Unresolved::NoAddress)));
    }

    #[tokio::test]
    async fn localhost_resolves() {
        let to = Destination::parse("http://localhost:81").unwrap();
        let addresses = Resolver::default()
            .resolve(&to, Duration::from_secs(5))
            .await
            .unwrap();
        assert!(
            addresses
                .iter()
                .all(|address| address.ip().is_loopback() && address.port() == 81)
        );
    }

    #[test]
    fn metadata_addresses_are_forbidden_in_every_spelling() {
        for bad in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fd00:ec2::254",
            "fe80::1",
            "0.0.0.0",
            "224.0.0.1",
        ] {
            assert!(is_forbidden(bad.parse().unwrap()), "{bad}");
        }
        for good in ["127.0.0.1", "10.0.0.1", "::1", "203.0.113.7"] {
            assert!(!is_forbidden(good.parse().unwrap()), "{good}");
        }
    }
}
