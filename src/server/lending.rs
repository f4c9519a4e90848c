//! From what is configured about an upstream to what its credential is borrowed with.

use std::sync::Arc;

use toml::Spanned;

use crate::config::Config;
use crate::config::credentials::{self, Credentials};
use crate::config::file::Upstream;
use crate::egress::platform::{Places, PlatformClient};
use crate::egress::proxy::NoProxy;
use crate::egress::service::{ServiceClient, Settings};
use crate::provider::lending::cache::Loans;
use crate::provider::lending::{Environment, Grounds, Lending, VARIABLES};
use crate::server::lines::{self, NoLine};
use crate::tls::authorities::Authorities;
use crate::tls::client::ClientTls;
use crate::types::clock::SystemClock;
use crate::types::digest::Sha256;
use crate::types::secret::Secret;

/// What the credential of this upstream is borrowed with; none where no cloud lends it.
///
/// # Errors
/// [`NoLine`]: token endpoints could not be reached as configured.
pub fn of(
    config: &Config,
    upstream: &Upstream,
    key: Option<&Secret<String>>,
    loans: &Loans,
) -> Result<Option<Lending>, NoLine> {
    let Some(credentials) = &upstream.credentials else {
        return Ok(None);
    };
    let grounds = match credentials.get_ref() {
        Credentials::Platform => Grounds::Platform {
            client: PlatformClient::new(Places::FIXED),
            environment: Environment::new(credentials::variables(&VARIABLES)),
        },
        Credentials::Exchange => Grounds::Exchange,
    };
    let bad = |source| NoLine::Material {
        upstream: upstream.name.get_ref().clone(),
        source,
    };
    let authorities = upstream.ca.as_deref().map(Authorities::from_file);
    let authorities = authorities.transpose().map_err(bad)?;
    let tls = ClientTls::new(authorities.as_ref());
    let proxy = lines::proxy(config)?;
    let secrets = [
        key.map(Secret::expose),
        proxy
            .as_ref()
            .and_then(|proxy| Some(proxy.authorization.as_ref()?.expose())),
    ];
    let settings = digest(config, upstream, secrets, authorities.as_ref());
    let services = Settings {
        tls: tls.map_err(|error| NoLine::Tls(error.to_string()))?,
        proxy,
        no_proxy: NoProxy::new(&config.egress.no_proxy),
        connect: config.timeouts.connect.0,
    };
    Ok(Some(Lending {
        services: Arc::new(ServiceClient::new(services)),
        clock: Arc::new(SystemClock),
        settings,
        loans: loans.clone(),
        grounds,
    }))
}

/// What stands for everything by which this credential is lent. The environment stays what it is in a process.
fn digest(
    config: &Config,
    upstream: &Upstream,
    secrets: [Option<&String>; 2],
    authorities: Option<&Authorities>,
) -> Sha256 {
    let written = format!(
        "{:?}",
        (
            upstream.name.get_ref(),
            upstream.provider.get_ref(),
            &upstream.options,
            upstream.credentials.as_ref().map(Spanned::get_ref),
            &config.egress.proxy,
            &config.egress.no_proxy,
            config.timeouts.connect.0,
        )
    );
    // Digests have one length, so that no part can pass for another.
    let secrets = secrets.map(|secret| Sha256::of(secret.map_or(&[][..], |secret| secret.as_bytes())));
    let named = authorities.map_or(&[][..], Authorities::der);
    let named = named.iter().map(|der| Sha256::of(der));
    let parts: Vec<Sha256> = std::iter::once(Sha256::of(written.as_bytes()))
        .chain(secrets)
        .chain(named)
        .collect();
    let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes().as_slice()).collect();
    Sha256::of_parts(&parts)
}
