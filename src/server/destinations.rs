//! Every place that the process may ever connect to, for people who write firewall rules.

use crate::config::Config;
use crate::config::effective::without_password;
use crate::provider::lending::cache::Loans;
use crate::server::vendors::Vendors;

/// One place, and what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// What is done there.
    pub purpose: String,
    /// Where, without credentials.
    pub address: String,
}

/// The whole list, of a configuration that has been compiled. An embedded store is a file and no destination.
pub fn destinations(config: &Config) -> Vec<Destination> {
    let vendors = Vendors::collect().ok();
    let endpoints = config.upstreams.iter().filter_map(|upstream| {
        let vendor = vendors.as_ref()?.of(upstream).ok()?;
        // Only what borrows has lenders, and only opening it shows them.
        let lent = upstream.credentials.as_ref();
        let opened = lent.and_then(|_| vendor.open(config, upstream, &Loans::default()).ok());
        let lenders = opened.map(|provider| provider.authorization().endpoints());
        Some((
            upstream.name.get_ref(),
            vendor.endpoint,
            lenders.unwrap_or_default(),
        ))
    });
    let endpoints: Vec<_> = endpoints.collect();
    let upstreams = endpoints.iter().flat_map(|(name, endpoint, lenders)| {
        let itself = Destination {
            purpose: format!("upstream {name}"),
            address: endpoint.to_string(),
        };
        let lenders = lenders.iter().map(move |address| Destination {
            purpose: format!("credentials of {name}"),
            address: address.clone(),
        });
        std::iter::once(itself).chain(lenders)
    });
    let store = config.store.url.get_ref().contains("://").then(|| Destination {
        purpose: "store".to_owned(),
        address: without_password(config.store.url.get_ref()),
    });
    let names = endpoints
        .iter()
        .any(|(_, endpoint, _)| endpoint.host().parse::<std::net::IpAddr>().is_err());
    let resolver = names.then(|| Destination {
        purpose: "names".to_owned(),
        address: "the resolver of this host (/etc/resolv.conf, /etc/hosts)".to_owned(),
    });
    let proxy = (!config.egress.proxy.is_empty()).then(|| Destination {
        purpose: "forward proxy".to_owned(),
        address: without_password(&config.egress.proxy),
    });
    upstreams.chain(proxy).chain(store).chain(resolver).collect()
}
