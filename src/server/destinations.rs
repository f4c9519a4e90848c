//! Every place that the process may ever connect to, for people who write firewall rules.

use crate::config::Config;
use crate::config::effective::without_password;

/// One place, and what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// What is done there.
    pub purpose: String,
    /// Where, without credentials.
    pub address: String,
}

/// The whole list. An embedded store is a file and no destination.
pub fn destinations(config: &Config) -> Vec<Destination> {
    let upstreams = config.upstreams.iter().map(|upstream| Destination {
        purpose: format!("upstream {}", upstream.name.get_ref()),
        address: upstream.endpoint.to_string(),
    });
    let store = config.store.url.get_ref().contains("://").then(|| Destination {
        purpose: "store".to_owned(),
        address: without_password(config.store.url.get_ref()),
    });
    let names = config
        .upstreams
        .iter()
        .any(|upstream| upstream.endpoint.host().parse::<std::net::IpAddr>().is_err());
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
