//! One configured destination.

use std::fmt;
use std::net::IpAddr;

/// The base URL of an upstream, in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    tls: bool,
    host: Box<str>,
    port: u16,
    base_path: Box<str>,
}

/// The text is not a usable endpoint.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an endpoint: write http://HOST[:PORT][/PATH] or https://…")]
pub struct NotADestination;

impl Destination {
    /// Reads `http://host[:port][/path]`; a slash at the end of the path is dropped.
    ///
    /// # Errors
    /// Another scheme, no host, a query, or credentials in the URL.
    pub fn parse(text: &str) -> Result<Self, NotADestination> {
        let uri: http::Uri = text.parse().map_err(|_| NotADestination)?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(NotADestination),
        };
        let authority = uri.authority().ok_or(NotADestination)?;
        if authority.as_str().contains('@') || uri.query().is_some() || authority.host().is_empty() {
            return Err(NotADestination);
        }
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let base_path = uri.path().trim_end_matches('/').into();
        Ok(Self {
            tls,
            host: authority.host().into(),
            port,
            base_path,
        })
    }

    /// Whether TLS is spoken.
    pub const fn tls(&self) -> bool {
        self.tls
    }

    /// The host name or address literal; IPv6 literals without brackets.
    pub fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What stands before the path of every request; empty or beginning with a slash.
    pub fn base_path(&self) -> &str {
        &self.base_path
    }

    /// The `Host` header: the port is left out where it is the scheme's own.
    pub fn authority(&self) -> String {
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}{}", self.host, self.port, self.base_path)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_endpoints_and_refuses_the_rest() {
        let d = Destination::parse("https://api.example.com/openai/v1/").unwrap();
        assert_eq!(
            (d.tls(), d.host(), d.port(), d.base_path()),
            (true, "api.example.com", 443, "/openai/v1")
        );
        assert_eq!(d.authority(), "api.example.com");
        let d = Destination::parse("http://[::1]:8000").unwrap();
        assert_eq!(
            (d.host(), d.authority().as_str(), d.base_path()),
            ("::1", "[::1]:8000", "")
        );
        for bad in ["ftp://h", "http://", "http://u:p@h", "http://h/?q", "h:1", ""] {
            assert_eq!(Destination::parse(bad), Err(NotADestination), "{bad}");
        }
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
