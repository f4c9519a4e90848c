//! From what is configured about upstreams to the lines that lead to them.

use std::sync::Arc;

use crate::config::file::{Config, Http2, Upstream};
use crate::config::secret_source::SecretMissing;
use crate::egress::proxy::{ForwardProxy, NoProxy};
use crate::pipeline::forward::line::{self, Choice, Line, Lines};
use crate::server::vendors::Vendor;
use crate::tls::authorities::Authorities;
use crate::tls::key_pair::KeyPair;
use crate::tls::pem::BadMaterial;
use crate::types::clock::Timestamp;
use crate::types::destination::Destination;
use crate::types::ids::UpstreamName;
use crate::types::secret::Secret;

/// Why an upstream could not be reached as configured.
#[derive(Debug, thiserror::Error)]
pub enum NoLine {
    /// TLS material cannot be used.
    #[error("upstream `{upstream}`: {source}")]
    Material {
        /// Whose.
        upstream: String,
        /// Why.
        source: BadMaterial,
    },
    /// A secret is missing.
    #[error("secret `{name}`: {source}")]
    Secret {
        /// Which.
        name: String,
        /// Why.
        source: SecretMissing,
    },
    /// The proxy's address is none.
    #[error("egress.proxy `{0}` is not a proxy: write http://HOST:PORT")]
    Proxy(String),
    /// TLS cannot be spoken to services.
    #[error("TLS to token endpoints cannot be set up: {0}")]
    Tls(String),
}

impl NoLine {
    /// The configuration key that it is about.
    pub fn key(&self) -> String {
        match self {
            Self::Material { upstream, .. } => format!("upstream.{upstream}.endpoint"),
            Self::Secret { name, .. } => format!("secrets.{name}"),
            Self::Proxy(_) => "egress.proxy".to_owned(),
            Self::Tls(_) => "upstream".to_owned(),
        }
    }
}

/// The lines to all upstreams of a configuration.
///
/// # Errors
/// [`NoLine`] names what is missing.
pub fn compile(
    config: &Config,
    upstreams: &[(&Upstream, Vendor<'_>)],
    now: Timestamp,
) -> Result<Lines, NoLine> {
    let proxy = proxy(config)?;
    let exceptions = NoProxy::new(&config.egress.no_proxy);
    let mut lines = Lines::default();
    for (upstream, vendor) in upstreams {
        let to = &vendor.endpoint;
        let proxy = proxy.as_ref().filter(|_| !exceptions.covers(to));
        let line = line(config, upstream, to, proxy, now)?;
        lines.add(UpstreamName::from(upstream.name.get_ref().as_str()), line);
    }
    Ok(lines)
}

/// The proxy that leads out, where there is one.
///
/// # Errors
/// [`NoLine`]: its address is none, or its credential is missing.
pub fn proxy(config: &Config) -> Result<Option<Arc<ForwardProxy>>, NoLine> {
    let text = &config.egress.proxy;
    if text.is_empty() {
        return Ok(None);
    }
    let at = Destination::parse(text).map_err(|_| NoLine::Proxy(text.clone()))?;
    let named = config.egress.proxy_credential_secret.as_ref();
    let credential = named.map(|name| secret(config, name.get_ref())).transpose()?;
    Ok(Some(Arc::new(ForwardProxy::new(at, credential.as_ref()))))
}

fn line(
    config: &Config,
    upstream: &Upstream,
    to: &Destination,
    proxy: Option<&Arc<ForwardProxy>>,
    now: Timestamp,
) -> Result<Line, NoLine> {
    let bad = |source| NoLine::Material {
        upstream: upstream.name.get_ref().clone(),
        source,
    };
    let authorities = upstream.ca.as_deref().map(Authorities::from_file);
    let authorities = authorities.transpose().map_err(bad)?;
    let identity = match (&upstream.client_certificate, &upstream.client_key_secret) {
        (Some(certificate), Some(name)) => {
            let key = secret(config, name.get_ref())?;
            let key_name = format!("in secret `{}`", name.get_ref());
            let pair = KeyPair::from_text(certificate, key.expose().as_bytes(), &key_name, now);
            Some(pair.map_err(bad)?)
        }
        _ => None,
    };
    let choice = Choice {
        http2: match upstream.http2 {
            Http2::Auto => line::Http2::Auto,
            Http2::Never => line::Http2::Never,
            Http2::Only => line::Http2::Only,
        },
        authorities: authorities.as_ref(),
        identity: identity.as_ref(),
        proxy,
    };
    Ok(Line::new(to, &choice))
}

fn secret(config: &Config, name: &str) -> Result<Secret<String>, NoLine> {
    let missing = |source| NoLine::Secret {
        name: name.to_owned(),
        source,
    };
    let source = config
        .secrets
        .get(name)
        .ok_or_else(|| missing(SecretMissing::Env(name.to_owned())))?;
    source.read(&config.folder).map_err(missing)
}
