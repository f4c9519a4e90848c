//! Whose word about a client's address counts.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;

use crate::types::network::Network;

/// How many hops of `X-Forwarded-For` are looked at, from the right.
const HOPS_MAX: usize = 32;

/// Proxies that say truthfully for whom they ask.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<Network>);

impl TrustedProxies {
    /// The proxies in these networks.
    pub const fn new(networks: Vec<Network>) -> Self {
        Self(networks)
    }

    /// Whether this address is a trusted proxy's.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// The client's address: the rightmost hop that is no trusted proxy. Whatever stands left of it
    /// was written by somebody who is not trusted, and a client may have invented all of it.
    pub fn client(&self, connected: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut nearest = connected;
        let lines = headers.get_all("x-forwarded-for").into_iter().rev();
        let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        for hop in hops.take(HOPS_MAX) {
            if !self.trusts(nearest) {
                break;
            }
            let Some(address) = address_of(hop) else { break };
            nearest = address;
        }
        nearest
    }
}

/// An address as proxies write it: bare, with a port, IPv6 with or without brackets.
fn address_of(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    address.or_else(with_port).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rightmost_untrusted_hop_is_the_client() {
        let networks = ["10.0.0.0/8", "fd00::/8"].map(|text| Network::parse(text).unwrap());
        let trusted = TrustedProxies::new(networks.to_vec());
        let check = |connected: &str, lines: &[&'static str], expected: &str| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", http::HeaderValue::from_static(line));
            }
            let found = trusted.client(connected.parse().unwrap(), &headers);
            assert_eq!(found.to_string(), expected, "{connected} {lines:?}");
        };
        check("192.0.2.1", &["203.0.113.9"], "192.0.2.1");
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &["203.0.113.9"], "203.0.113.9");
        check("10.0.0.1", &["198.51.100.1, 203.0.113.9"], "203.0.113.9");
        check(
            "10.0.0.1",
            &["198.51.100.1, 203.0.113.9, 10.0.0.2"],
            "203.0.113.9",
        );
        check(
            "10.0.0.1",
            &["198.51.100.1", "203.0.113.9", "10.0.0.2"],
            "203.0.113.9",
        );
        check("fd00::1", &["2001:db8::7"], "2001:db8::7");
        check("10.0.0.1", &["[2001:db8::7]:4711"], "2001:db8::7");
        check("10.0.0.1", &["203.0.113.9:4711"], "203.0.113.9");
        check("10.0.0.1", &["203.0.113.9, nonsense"], "10.0.0.1");
        check("10.0.0.1", &["unknown, 10.0.0.3"], "10.0.0.3");
        check("10.0.0.1", &["10.0.0.9"], "10.0.0.9");
    }
}
