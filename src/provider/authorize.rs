//! How requests are authorised: by a header that never changes, or by a credential that is leased.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use crate::provider::Misconfigured;
use crate::types::secret::Secret;

/// How a vendor wants a key that is the same for every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// `x-api-key: KEY` (Anthropic).
    XApiKey,
    /// `authorization: Bearer KEY` (OpenAI and most others).
    Bearer,
    /// `api-key: KEY` (Azure).
    ApiKey,
    /// `x-goog-api-key: KEY` (Gemini).
    XGoogApiKey,
}

impl Scheme {
    /// The header as it is written in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::XApiKey => "x-api-key: KEY",
            Self::Bearer => "authorization: Bearer KEY",
            Self::ApiKey => "api-key: KEY",
            Self::XGoogApiKey => "x-goog-api-key: KEY",
        }
    }

    /// The header with a key.
    ///
    /// # Errors
    /// A key that HTTP cannot carry.
    pub fn header(self, key: &Secret<String>) -> Result<(HeaderName, HeaderValue), Misconfigured> {
        let (name, value) = match self {
            Self::XApiKey => (HeaderName::from_static("x-api-key"), key.expose().clone()),
            Self::Bearer => (AUTHORIZATION, format!("Bearer {}", key.expose())),
            Self::ApiKey => (HeaderName::from_static("api-key"), key.expose().clone()),
            Self::XGoogApiKey => (HeaderName::from_static("x-goog-api-key"), key.expose().clone()),
        };
        let mut value = HeaderValue::try_from(value).map_err(|_| {
            Misconfigured(
                "its credential has characters that no header can carry: correct the secret".to_owned(),
            )
        })?;
        value.set_sensitive(true);
        Ok((name, value))
    }
}

/// How the requests to one upstream are authorised.
#[derive(Debug)]
pub enum Authorization {
    /// Not at all.
    None,
    /// By a header that is the same for every request; made once, so that a request copies no key.
    Fixed(HeaderName, HeaderValue),
    /// By a credential that is leased for each request.
    Leased(Box<dyn Authorizer>),
}

impl Authorization {
    /// A key in this scheme; none where there is no key.
    ///
    /// # Errors
    /// A key that HTTP cannot carry.
    pub fn fixed(scheme: Scheme, key: Option<&Secret<String>>) -> Result<Self, Misconfigured> {
        let header = key.map(|key| scheme.header(key)).transpose()?;
        Ok(header.map_or(Self::None, |(name, value)| Self::Fixed(name, value)))
    }

    /// Where credentials are leased, for those who write firewall rules.
    pub fn endpoints(&self) -> Vec<String> {
        match self {
            Self::None | Self::Fixed(..) => Vec::new(),
            Self::Leased(authorizer) => authorizer.endpoints(),
        }
    }

    /// The credential for one request. Only a leased one waits for anything.
    ///
    /// # Errors
    /// [`Unauthorized`]: the request must not be sent.
    pub async fn lease(&self) -> Result<Credential<'_>, Unauthorized> {
        match self {
            Self::None => Ok(Credential::None),
            Self::Fixed(name, value) => Ok(Credential::Fixed(name, value)),
            Self::Leased(authorizer) => Ok(Credential::Leased(authorizer.lease().await?)),
        }
    }
}

/// Where credentials come from that have to be fetched, and that end.
///
/// An implementation keeps what it fetched, fetches for all who wait at once, renews before the end, and bounds
/// every wait.
#[async_trait]
pub trait Authorizer: Debug + Send + Sync {
    /// A credential that is good for a request to be sent now.
    ///
    /// # Errors
    /// [`Unauthorized`] where there is none.
    async fn lease(&self) -> Result<Arc<dyn Lease>, Unauthorized>;

    /// Where it connects to, for those who write firewall rules.
    fn endpoints(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A credential that is good for a while.
pub trait Lease: Debug + Send + Sync {
    /// The headers that prove a request to be ours, made over its finished head and its body. A request that
    /// is sent again is signed again.
    ///
    /// # Errors
    /// [`Unauthorized`] where it cannot be signed.
    fn sign(&self, request: &Unsigned<'_>) -> Result<Vec<(HeaderName, HeaderValue)>, Unauthorized>;
}

/// A finished request that is not authorised yet. It is always a POST.
#[derive(Clone, Copy, Debug)]
pub struct Unsigned<'a> {
    /// The host, with the port where that is not the scheme's own.
    pub authority: &'a str,
    /// The path and query as they are sent.
    pub target: &'a str,
    /// The headers that are sent, `host` included.
    pub headers: &'a HeaderMap,
    /// The whole body.
    pub body: &'a [u8],
}

/// The credential of one request.
#[derive(Debug)]
pub enum Credential<'a> {
    /// None.
    None,
    /// A header that is the same for every request.
    Fixed(&'a HeaderName, &'a HeaderValue),
    /// One that signs.
    Leased(Arc<dyn Lease>),
}

/// There is no credential for a request, which must not be sent then. The text is for the log; it never holds
/// a secret, nor what a token endpoint said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unauthorized(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stand_where_each_scheme_wants_them() {
        let key = Secret::new("k1".to_owned());
        for scheme in [
            Scheme::XApiKey,
            Scheme::Bearer,
            Scheme::ApiKey,
            Scheme::XGoogApiKey,
        ] {
            let (name, value) = scheme.header(&key).unwrap();
            let written = format!("{name}: {}", value.to_str().unwrap());
            assert_eq!(written, scheme.as_str().replace("KEY", "k1"));
            assert!(value.is_sensitive() && !format!("{value:?}").contains("k1"));
        }
        assert!(Scheme::Bearer.header(&Secret::new("a\nb".to_owned())).is_err());
    }
}
