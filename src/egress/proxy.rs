//! The forward proxy that connections to upstreams go through, and which do not.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::types::destination::Destination;
use crate::types::network::Network;
use crate::types::secret::Secret;

/// An HTTP proxy that opens tunnels (RFC 9110, 9.3.6).
#[derive(Debug)]
pub struct ForwardProxy {
    /// Where it listens.
    pub at: Destination,
    /// The value of `Proxy-Authorization`, where it wants one.
    pub authorization: Option<Secret<String>>,
}

impl ForwardProxy {
    /// A proxy, with the credential `USER:PASSWORD` where it wants one (RFC 7617).
    pub fn new(at: Destination, credential: Option<&Secret<String>>) -> Self {
        let basic = |secret: &Secret<String>| {
            Secret::new(format!("Basic {}", STANDARD.encode(secret.expose().as_bytes())))
        };
        Self {
            at,
            authorization: credential.map(basic),
        }
    }
}

/// Destinations that are reached without the proxy.
#[derive(Clone, Debug, Default)]
pub struct NoProxy(Vec<Exception>);

#[derive(Clone, Debug)]
enum Exception {
    /// This name and every name below it.
    Domain(Box<str>),
    /// Address literals in this range; names are not resolved to find out.
    Network(Network),
}

impl NoProxy {
    /// Reads names (`example.com`, the names below it included) and ranges of addresses.
    pub fn new(listed: &[String]) -> Self {
        let read = |text: &String| match Network::parse(text) {
            Ok(network) => Exception::Network(network),
            Err(_) => Exception::Domain(text.trim_start_matches('.').to_ascii_lowercase().into()),
        };
        Self(listed.iter().map(read).collect())
    }

    /// Whether a destination is reached without the proxy.
    pub fn covers(&self, to: &Destination) -> bool {
        let host = to.host().to_ascii_lowercase();
        let literal = host.parse::<IpAddr>().ok();
        self.0.iter().any(|exception| match exception {
            Exception::Network(network) => literal.is_some_and(|address| network.contains(address)),
            Exception::Domain(domain) => {
                let above = host.strip_suffix(domain.as_ref());
                above.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_are_names_with_all_below_and_ranges() {
        let listed = ["corp.example", ".internal", "10.0.0.0/8", "::1"].map(str::to_owned);
        let exceptions = NoProxy::new(&listed);
        let check = |host: &str, covered: bool| {
            let to = Destination::parse(&format!("https://{host}")).unwrap();
            assert_eq!(exceptions.covers(&to), covered, "{host}");
        };
        check("corp.example", true);
        check("gpu.CORP.example", true);
        check("notcorp.example", false);
        check("a.internal", true);
        check("10.1.2.3", true);
        check("[::1]:8000", true);
        check("11.1.2.3", false);
        check("api.anthropic.com", false);
        assert!(!NoProxy::default().covers(&Destination::parse("http://localhost").unwrap()));
    }

    #[test]
    fn credentials_are_basic_and_hidden() {
        let at = Destination::parse("http://proxy:3128").unwrap();
        let secret = Secret::new("Aladdin:open sesame".to_owned());
        let proxy = ForwardProxy::new(at, Some(&secret));
        // The example of RFC 7617, section 2.
        let value = proxy.authorization.as_ref().unwrap().expose();
        assert_eq!(value, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(!format!("{proxy:?}").contains("QWxh"));
    }
}
