//! From what is configured about an upstream to what its credential is borrowed with.

use std::sync::Arc;

use crate::config::Config;
use crate::config::credentials::{self, Credentials};
use crate::config::file::Upstream;
use crate::egress::platform::{Places, PlatformClient};
use crate::egress::proxy::NoProxy;
use crate::egress::service::{ServiceClient, Settings};
use crate::provider::lending::{Environment, Grounds, Lending, VARIABLES};
use crate::server::lines::{self, NoLine};
use crate::tls::authorities::Authorities;
use crate::tls::client::ClientTls;
use crate::types::clock::SystemClock;

/// What the credential of this upstream is borrowed with; none where no cloud lends it.
///
/// # Errors
/// [`NoLine`]: token endpoints could not be reached as configured.
pub fn of(config: &Config, upstream: &Upstream) -> Result<Option<Lending>, NoLine> {
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
    Ok(Some(Lending {
        services: Arc::new(services(config, upstream)?),
        clock: Arc::new(SystemClock),
        grounds,
    }))
}

/// The client of the token endpoints that lend to this upstream.
fn services(config: &Config, upstream: &Upstream) -> Result<ServiceClient, NoLine> {
    let bad = |source| NoLine::Material {
        upstream: upstream.name.get_ref().clone(),
        source,
    };
    let authorities = upstream.ca.as_deref().map(Authorities::from_file);
    let authorities = authorities.transpose().map_err(bad)?;
    let tls = ClientTls::new(authorities.as_ref());
    let settings = Settings {
        tls: tls.map_err(|error| NoLine::Tls(error.to_string()))?,
        proxy: lines::proxy(config)?,
        no_proxy: NoProxy::new(&config.egress.no_proxy),
        connect: config.timeouts.connect.0,
    };
    Ok(ServiceClient::new(settings))
}
