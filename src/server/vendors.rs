//! From what is configured about upstreams to their providers.

use toml::Spanned;

use crate::config::Config;
use crate::config::file::Upstream;
use crate::config::secret_source::SecretMissing;
use crate::provider::declaration::Declaration;
use crate::provider::lending::cache::Loans;
use crate::provider::options::Options;
use crate::provider::registry::{BadRegistry, Registry};
use crate::provider::{Misconfigured, Provider, Settings};
use crate::server::lending;
use crate::server::lines::NoLine;
use crate::types::destination::Destination;
use crate::types::secret::Secret;

/// Why an upstream's provider is none, or cannot use its settings.
#[derive(Debug, thiserror::Error)]
pub enum NoVendor {
    /// What was built into this binary does not fit together.
    #[error("{0}")]
    Registry(#[from] BadRegistry),
    /// No such provider.
    #[error("upstream `{upstream}`: provider `{label}` is not known: use one of {known}")]
    Unknown {
        /// Whose.
        upstream: String,
        /// What is written.
        label: String,
        /// All that there are.
        known: String,
    },
    /// Its credential is missing.
    #[error("secret `{name}` of upstream `{upstream}`: {source}")]
    Secret {
        /// Whose.
        upstream: String,
        /// Which.
        name: String,
        /// Why.
        source: SecretMissing,
    },
    /// Nothing leads to whoever lends its credential.
    #[error("{0}")]
    Line(#[from] NoLine),
    /// It cannot use these settings.
    #[error("upstream `{upstream}`: {source}")]
    Misconfigured {
        /// Whose.
        upstream: String,
        /// Why.
        source: Misconfigured,
    },
}

impl NoVendor {
    /// The configuration key that it is about.
    pub fn key(&self) -> String {
        match self {
            Self::Registry(_) => "upstream".to_owned(),
            Self::Unknown { upstream, .. } => format!("upstream.{upstream}.provider"),
            Self::Secret { name, .. } => format!("secrets.{name}"),
            Self::Line(no) => no.key(),
            Self::Misconfigured { upstream, .. } => format!("upstream.{upstream}"),
        }
    }
}

/// All providers that this binary has.
#[derive(Debug)]
pub struct Vendors(Registry);

impl Vendors {
    /// Those that were linked.
    ///
    /// # Errors
    /// They do not fit together.
    pub fn collect() -> Result<Self, NoVendor> {
        Ok(Self(Registry::collect()?))
    }

    /// The provider of an upstream.
    ///
    /// # Errors
    /// There is none, or it misses something.
    pub fn of<'v>(&'v self, upstream: &Upstream) -> Result<Vendor<'v>, NoVendor> {
        let name = upstream.name.get_ref();
        let label = upstream.provider.get_ref();
        let declaration = self.0.find(label).ok_or_else(|| NoVendor::Unknown {
            upstream: name.clone(),
            label: label.clone(),
            known: self.0.labels().collect::<Vec<_>>().join(", "),
        })?;
        let bad = |source| NoVendor::Misconfigured {
            upstream: name.clone(),
            source,
        };
        let options = Options::new(&declaration.options, &upstream.options).map_err(bad)?;
        let endpoint = match &upstream.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => self.0.endpoint(declaration, &options).map_err(bad)?,
        };
        Ok(Vendor {
            registry: &self.0,
            upstream: name.clone(),
            declaration,
            endpoint,
            options,
        })
    }
}

/// An upstream's provider, with all but its credential.
#[derive(Debug)]
pub struct Vendor<'v> {
    registry: &'v Registry,
    upstream: String,
    /// What is known about it.
    pub declaration: &'v Declaration,
    /// Where the upstream lives.
    pub endpoint: Destination,
    options: Options,
}

impl Vendor<'_> {
    /// Opens the upstream with its credential, or with what that is borrowed with; `loans` is what was lent already.
    ///
    /// # Errors
    /// The credential is missing, or the provider cannot use these settings.
    pub fn open(
        &self,
        config: &Config,
        upstream: &Upstream,
        loans: &Loans,
    ) -> Result<Box<dyn Provider>, NoVendor> {
        let bad = |source| NoVendor::Misconfigured {
            upstream: self.upstream.clone(),
            source,
        };
        if upstream.credentials.is_some() && self.declaration.cloud.is_none() {
            let label = &self.declaration.label;
            return Err(bad(Misconfigured(format!(
                "no cloud lends credentials for provider `{label}`: remove credentials, and name a key by api_key_secret"
            ))));
        }
        let key = self.key(config, upstream)?;
        let settings = Settings {
            endpoint: self.endpoint.clone(),
            lending: lending::of(config, upstream, key.as_ref(), loans)?,
            key,
            options: self.options.clone(),
        };
        self.registry.open(self.declaration, &settings).map_err(bad)
    }

    fn key(&self, config: &Config, upstream: &Upstream) -> Result<Option<Secret<String>>, NoVendor> {
        let Some(name) = upstream.api_key_secret.as_ref().map(Spanned::get_ref) else {
            return Ok(None);
        };
        let source = config.secrets.get(name);
        let read = source.map(|source| source.read(&config.folder)).transpose();
        read.map_err(|source| NoVendor::Secret {
            upstream: self.upstream.clone(),
            name: name.clone(),
            source,
        })
    }
}
