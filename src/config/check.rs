//! What a single value cannot show: references between sections, paths, addresses.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::Spanned;

use crate::config::file::Config;
use crate::config::mistake::Collector;
use crate::config::secret_source::SecretSource;

/// Makes every path absolute or relative to the working directory, and fills in `{data_dir}`.
pub(crate) fn resolve_paths(config: &mut Config) {
    let folder = config.folder.clone();
    config.server.data_dir = folder.join(&config.server.data_dir);
    let data_dir = config.server.data_dir.clone();
    if let Some(path) = config.store.url.strip_prefix("sqlite:") {
        config.store.url = format!("sqlite:{}", place(Path::new(path), &folder, &data_dir).display());
    }
    if let SecretSource::File(path) = &config.vault.key {
        config.vault.key = SecretSource::File(place(path, &folder, &data_dir));
    }
    for path in [&mut config.policy.directory, &mut config.prices.file] {
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

/// Notes every reference that leads nowhere.
pub(crate) fn references(config: &Config, mistakes: &mut Collector<'_>) {
    if config.server.listen.is_empty() {
        mistakes.add(
            None,
            "server.listen is empty: name at least one address, such as \"127.0.0.1:8080\"",
        );
    }
    if !config.store.url.starts_with("sqlite:") {
        mistakes.add(
            None,
            "store.url must begin with `sqlite:` (PostgreSQL is not part of this version)",
        );
    }
    if config.limits.requests_per_minute == 0 {
        mistakes.add(None, "limits.requests_per_minute is 0: name at least 1");
    }
    for (role, factor) in &config.limits.role_multiplier {
        if !(factor.is_finite() && *factor > 0.0) {
            mistakes.add(
                None,
                format!("limits.role_multiplier.{role} must be a number above 0"),
            );
        }
    }
    upstreams(config, mistakes);
    unique(config.models.iter().map(|model| &model.id), "model", mistakes);
    routes(config, mistakes);
}

fn upstreams(config: &Config, mistakes: &mut Collector<'_>) {
    unique(
        config.upstreams.iter().map(|upstream| &upstream.name),
        "upstream",
        mistakes,
    );
    for upstream in &config.upstreams {
        let endpoint = upstream.endpoint.get_ref();
        let parsed = endpoint.parse::<http::Uri>().ok().filter(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some()
                && uri.query().is_none()
        });
        // A credential in the URL would end up in logs and in `tollgate check`.
        if parsed.is_none() || endpoint.contains('@') {
            let message =
                "endpoint must be http://HOST[:PORT][/PATH] or https://…, without credentials or query";
            mistakes.add(Some(upstream.endpoint.span()), message);
        }
        if let Some(name) = &upstream.api_key_secret
            && !config.secrets.contains_key(name.get_ref())
        {
            let message = format!(
                "secret `{0}` is not declared: add `{0} = \"env:NAME\"` under [secrets]",
                name.get_ref()
            );
            mistakes.add(Some(name.span()), message);
        }
    }
}

fn routes(config: &Config, mistakes: &mut Collector<'_>) {
    let known: BTreeSet<&str> = config
        .upstreams
        .iter()
        .map(|upstream| upstream.name.get_ref().as_str())
        .collect();
    for route in &config.routes {
        if route.upstreams.is_empty() {
            mistakes.add(
                Some(route.model_pattern.span()),
                "this route has no upstreams: name at least one",
            );
        }
        for name in route
            .upstreams
            .iter()
            .filter(|name| !known.contains(name.get_ref().as_str()))
        {
            let message = format!(
                "upstream `{}` is not declared: add an [[upstream]] of that name",
                name.get_ref()
            );
            mistakes.add(Some(name.span()), message);
        }
    }
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
