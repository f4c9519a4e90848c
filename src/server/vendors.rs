//! From what is configured about upstreams to their providers.

use crate::config::file::Upstream;
use crate::provider::declaration::Declaration;
use crate::provider::options::Options;
use crate::provider::registry::{BadRegistry, Registry};
use crate::provider::{Misconfigured, Provider, Settings};
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
    /// Opens the upstream with its credential.
    ///
    /// # Errors
    /// The provider cannot use these settings.
    pub fn open(&self, key: Option<Secret<String>>) -> Result<Box<dyn Provider>, NoVendor> {
        let settings = Settings {
            endpoint: self.endpoint.clone(),
            key,
            options: self.options.clone(),
        };
        let opened = self.registry.open(self.declaration, &settings);
        opened.map_err(|source| NoVendor::Misconfigured {
            upstream: self.upstream.clone(),
            source,
        })
    }
}
