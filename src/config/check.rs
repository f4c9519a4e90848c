//! What a single value cannot show: references between sections, paths, addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use toml::Spanned;

use crate::config::credentials::Credentials;
use crate::config::file::{ClientCertificate, Config, Durability, Egress, Model, Store, Tenant, Upstream};
use crate::config::mistake::Collector;
use crate::config::price::{self, Price};
use crate::config::route::{self, Route};
use crate::config::secret_source::SecretSource;
use crate::types::destination::Destination;

/// Makes every path absolute or relative to the working directory, and fills in `{data_dir}`.
pub(crate) fn resolve_paths(config: &mut Config, data_dir: Option<&Path>) {
    let folder = config.folder.clone();
    config.server.data_dir = data_dir.map_or_else(|| folder.join(&config.server.data_dir), Path::to_owned);
    if let Some(given) = data_dir {
        config
            .effective
            .argue("server.data_dir", &given.to_string_lossy());
    }
    let data_dir = config.server.data_dir.clone();
    let url = config.store.url.get_mut();
    if let Some(path) = url.strip_prefix("sqlite:") {
        *url = format!("sqlite:{}", place(Path::new(path), &folder, &data_dir).display());
    }
    if let SecretSource::File(path) = &config.vault.key {
        config.vault.key = SecretSource::File(place(path, &folder, &data_dir));
    }
    if let Some(tls) = &mut config.server.tls {
        let named = [
            Some(&mut tls.certificate),
            Some(&mut tls.key),
            tls.client_ca.as_mut(),
        ];
        for path in named.into_iter().flatten() {
            *path = place(path, &folder, &data_dir);
        }
    }
    for upstream in &mut config.upstreams {
        let named = [upstream.ca.as_mut(), upstream.client_certificate.as_mut()];
        for path in named.into_iter().flatten() {
            *path = place(path, &folder, &data_dir);
        }
    }
    for path in [
        &mut config.policy.directory,
        &mut config.prices.file,
        &mut config.secret_rules.file,
    ] {
        if !path.as_os_str().is_empty() {
            *path = place(path, &folder, &data_dir);
        }
    }
}

fn place(path: &Path, folder: &Path, data_dir: &Path) -> PathBuf {
    match path.strip_prefix("{data_dir}") {
        Ok(rest) => data_dir.join(rest),
        Err(_) => folder.join(path),
    }
}

/// Notes values that are of the right type and still make no sense.
pub(crate) fn values(config: &Config, mistakes: &mut Collector<'_>) {
    if config.server.listen.is_empty() {
        mistakes.add(
            None,
            "server.listen is empty: name at least one address, such as \"127.0.0.1:8080\"",
        );
    }
    if let Some(tls) = &config.server.tls
        && tls.client_ca.is_none()
        && tls.client_certificate == ClientCertificate::Required
    {
        mistakes.add(
            None,
            "server.tls.client_certificate is required without server.tls.client_ca: name the authorities that issue them",
        );
    }
    if config.server.proxy_protocol && config.server.trusted_proxies.is_empty() {
        mistakes.add(
            None,
            "server.proxy_protocol without server.trusted_proxies believes nobody: name the proxies' networks",
        );
    }
    if !config.egress.proxy.is_empty()
        && !Destination::parse(&config.egress.proxy).is_ok_and(|proxy| !proxy.tls())
    {
        mistakes.add(
            None,
            "egress.proxy is not a proxy: write http://HOST:PORT, credentials under proxy_credential_secret",
        );
    }
    for upstream in &config.upstreams {
        if upstream.client_certificate.is_some() != upstream.client_key_secret.is_some() {
            mistakes.add(
                Some(upstream.name.span()),
                "client_certificate and client_key_secret belong together: name both or none",
            );
        }
        credentials(upstream, mistakes);
    }
    store(&config.store, mistakes);
    let durability = &config.ledger.durability;
    if *durability.get_ref() == Durability::Store && config.store.url.get_ref().starts_with("sqlite:") {
        mistakes.add(
            Some(durability.span()),
            "ledger.durability = \"store\" waits for PostgreSQL, and the store is the embedded database: name one in \
             store.url, or write durability = \"journal\"",
        );
    }
    if config.limits.requests_per_minute == 0 {
        mistakes.add(None, "limits.requests_per_minute is 0: name at least 1");
    }
    resilience(config, mistakes);
    for (role, factor) in &config.limits.role_multiplier {
        if !(factor.is_finite() && *factor > 0.0) {
            mistakes.add(
                None,
                format!("limits.role_multiplier.{role} must be a number above 0"),
            );
        }
    }
}

/// Notes what stands against the credential that an upstream borrows.
fn credentials(upstream: &Upstream, mistakes: &mut Collector<'_>) {
    let Some(credentials) = &upstream.credentials else {
        return;
    };
    let span = Some(credentials.span());
    match (credentials.get_ref(), &upstream.api_key_secret) {
        (Credentials::Platform, Some(_)) => mistakes.add(
            span,
            "credentials = \"platform\" needs no key: remove api_key_secret, or credentials",
        ),
        (Credentials::Exchange, None) => mistakes.add(
            span,
            "credentials = \"exchange\" exchanges a credential: name it by api_key_secret",
        ),
        (Credentials::Platform, None) | (Credentials::Exchange, Some(_)) => {}
    }
}

/// Notes bounds that would let nothing through.
fn resilience(config: &Config, mistakes: &mut Collector<'_>) {
    for (key, value) in [
        (
            "server.requests_in_flight_max",
            config.server.requests_in_flight_max,
        ),
        ("server.connections_max", config.server.connections_max),
    ] {
        if value == 0 {
            mistakes.add(None, format!("{key} is 0: name at least 1"));
        }
    }
    let shared = &config.resilience;
    if shared.max_concurrent == 0 {
        mistakes.add(None, "resilience.max_concurrent is 0: name at least 1");
    }
    if shared.retry_percent > 100 {
        mistakes.add(
            None,
            "resilience.retry_percent is above 100: retries would multiply the load",
        );
    }
    if let Some(mistake) = shared.breaker.mistake() {
        mistakes.add(None, format!("resilience.breaker: {mistake}"));
    }
    for upstream in &config.upstreams {
        let span = Some(upstream.name.span());
        let name = upstream.name.get_ref();
        if upstream.max_concurrent == Some(0) {
            mistakes.add(
                span,
                format!("upstream `{name}`: max_concurrent is 0: name at least 1"),
            );
        } else if let Some(mistake) = shared.breaker.overridden(&upstream.breaker).mistake()
            && shared.breaker.mistake().is_none()
        {
            mistakes.add(span, format!("upstream `{name}`: breaker: {mistake}"));
        }
    }
}

/// Notes what is wrong with the store's address; its text is never repeated, because a password may stand in it.
fn store(store: &Store, mistakes: &mut Collector<'_>) {
    let url = store.url.get_ref();
    let mut note = |message: &str| mistakes.add(Some(store.url.span()), message);
    let address = url
        .strip_prefix("postgres://")
        .or_else(|| url.strip_prefix("postgresql://"));
    let Some(address) = address else {
        if !url.starts_with("sqlite:") {
            note("store.url must begin with `sqlite:` or `postgres://`");
        } else if store.password_secret.is_some() {
            note(
                "store.password_secret is for PostgreSQL: remove it, or let store.url begin with `postgres://`",
            );
        }
        return;
    };
    let (place, query) = address.split_once('?').unwrap_or((address, ""));
    let authority = place.split('/').next().unwrap_or_default();
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    let parameters = || query.split('&').filter_map(|pair| pair.split_once('='));
    if user.contains(':') || parameters().any(|(name, _)| name == "password") {
        note(
            "store.url holds a password: take it out, put it behind a name under [secrets], and write that name \
             into store.password_secret",
        );
    }
    let files = ["sslrootcert", "sslcert", "sslkey"];
    if parameters().any(|(name, value)| files.contains(&name) && !value.starts_with('/')) {
        note("sslrootcert, sslcert and sslkey in store.url are absolute paths");
    }
}

/// Notes every name of a secret that no entry of `[secrets]` has.
pub(crate) fn secret_names(
    secrets: Option<&BTreeMap<String, SecretSource>>,
    egress: Option<&Egress>,
    store: Option<&Store>,
    upstreams: Option<&[Upstream]>,
    mistakes: &mut Collector<'_>,
) {
    let Some(secrets) = secrets else { return };
    let of_upstreams = upstreams
        .unwrap_or_default()
        .iter()
        .flat_map(|upstream| [&upstream.api_key_secret, &upstream.client_key_secret]);
    let of_proxy = egress.map(|egress| &egress.proxy_credential_secret);
    let of_store = store.map(|store| &store.password_secret);
    let named = of_upstreams.chain(of_proxy).chain(of_store).flatten();
    for name in named.filter(|name| !secrets.contains_key(name.get_ref())) {
        let name_text = name.get_ref();
        let message =
            format!("secret `{name_text}` is not declared: add `{name_text} = \"env:NAME\"` under [secrets]");
        mistakes.add(Some(name.span()), message);
    }
}

/// Notes every reference that leads nowhere. A section that could not be read has been reported
/// already, and what refers to it is not judged.
pub(crate) fn references(
    upstreams: Option<&[Upstream]>,
    models: Option<&[Model]>,
    routes: Option<&[Route]>,
    tenants: Option<&[Tenant]>,
    prices: Option<&[Price]>,
    mistakes: &mut Collector<'_>,
) {
    unique(
        models.unwrap_or_default().iter().map(|model| &model.id),
        "model",
        mistakes,
    );
    let known: Option<BTreeSet<&str>> = upstreams.map(|upstreams| {
        unique(
            upstreams.iter().map(|upstream| &upstream.name),
            "upstream",
            mistakes,
        );
        let names = upstreams.iter().map(|upstream| upstream.name.get_ref().as_str());
        names.collect()
    });
    route::references(routes.unwrap_or_default(), known.as_ref(), mistakes);
    if let (Some(routes), Some(tenants)) = (routes, tenants) {
        route::unknown_regions(routes, tenants, mistakes);
    }
    price::references(prices.unwrap_or_default(), known.as_ref(), mistakes);
}

fn unique<'a>(names: impl Iterator<Item = &'a Spanned<String>>, what: &str, mistakes: &mut Collector<'_>) {
    let mut seen = BTreeSet::new();
    for name in names {
        if name.get_ref().is_empty() {
            mistakes.add(Some(name.span()), format!("the name of this {what} is empty"));
        }
        if !seen.insert(name.get_ref()) {
            mistakes.add(
                Some(name.span()),
                format!("{what} `{}` is declared twice: rename one", name.get_ref()),
            );
        }
    }
}
