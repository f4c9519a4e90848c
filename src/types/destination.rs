//! Where an upstream lives.

use std::fmt;

use serde::Deserialize;

/// The base URL of an upstream, in parts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Destination {
    tls: bool,
    host: Box<str>,
    port: u16,
    base_path: Box<str>,
}

/// The text is not a usable endpoint.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an endpoint: write http://HOST[:PORT][/PATH] or https://…, without credentials or query")]
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

    /// `HOST:PORT`, IPv6 literals in brackets.
    pub fn host_and_port(&self) -> String {
        format!("{}:{}", self.host, self.port)
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

impl TryFrom<String> for Destination {
    type Error = NotADestination;

    fn try_from(text: String) -> Result<Self, NotADestination> {
        Self::parse(&text)
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
        assert_eq!(d.host_and_port(), "[::1]:8000");
        for bad in ["ftp://h", "http://", "http://u:p@h", "http://h/?q", "h:1", ""] {
            assert_eq!(Destination::parse(bad), Err(NotADestination), "{bad}");
        }
    }
}
