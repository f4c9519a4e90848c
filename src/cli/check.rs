//! `tollgate check`

use std::sync::Arc;

use serde_json::json;

use crate::cli::output::Output;
use crate::cli::root::{Failed, Place};
use crate::config::Config;
use crate::gateway::snapshot::Snapshot;
use crate::pipeline::route::guard::Guards;
use crate::server::assemble::StartError;
use crate::server::certificates;
use crate::server::snapshot::{self, Lasting};
use crate::telemetry::metrics::Metrics;
use crate::types::clock::SystemClock;

/// Checks everything that can be checked without listening, and prints what it means: models,
/// routes, and every place that connections may go to.
pub fn check(place: &Place, output: &mut Output) -> Result<(), Failed> {
    let config = place.load()?;
    let snapshot = compiled(&config)?;
    certificates::load(&config).map_err(|error| Failed::usage(StartError::Tls(error)))?;
    let proxy = Some(&config.egress.proxy).filter(|proxy| !proxy.is_empty());
    let proxy = proxy.map(|proxy| format!("forward-proxy {proxy}"));
    let egress: Vec<String> = config
        .upstreams
        .iter()
        .map(|upstream| format!("{} {}", upstream.name.get_ref(), upstream.endpoint))
        .chain(proxy)
        .collect();
    if output.is_json() {
        let routes: Vec<_> = config
            .routes
            .iter()
            .map(|route| {
                let upstreams: Vec<&String> = route.upstreams.iter().map(toml::Spanned::get_ref).collect();
                json!({"model_pattern": route.model_pattern.get_ref(), "upstreams": upstreams,
                       "upstream_model": route.upstream_model})
            })
            .collect();
        return output
            .json(
                &json!({"ok": true, "listen": config.server.listen, "metrics": config.metrics.listen,
                "data_dir": config.server.data_dir, "store": config.store.url,
                "policy_digest": snapshot.policies.digest(), "models": snapshot.models, "routes": routes,
                "egress": egress}),
            )
            .map_err(Failed::new);
    }
    let listen: Vec<String> = config.server.listen.iter().map(ToString::to_string).collect();
    let mut lines = vec![
        format!("listen        {}", listen.join(", ")),
        format!("metrics       {}", config.metrics.listen),
        format!("data          {}", config.server.data_dir.display()),
        format!("store         {}", config.store.url),
        format!("policies      digest {}", snapshot.policies.digest()),
        format!("models        {}", snapshot.models.len()),
    ];
    for route in &config.routes {
        let upstreams: Vec<&str> = route
            .upstreams
            .iter()
            .map(|name| name.get_ref().as_str())
            .collect();
        let alias = route
            .upstream_model
            .as_deref()
            .map(|name| format!(" as {name}"))
            .unwrap_or_default();
        lines.push(format!(
            "route         {} -> {}{alias}",
            route.model_pattern.get_ref(),
            upstreams.join(", ")
        ));
    }
    lines.push("egress        connections may go to these places and to no others:".to_owned());
    lines.extend(
        egress
            .iter()
            .map(|destination| format!("              {destination}")),
    );
    lines.push("ok".to_owned());
    lines
        .iter()
        .try_for_each(|line| output.line(line))
        .map_err(Failed::new)
}

/// The snapshot that a node would serve by; it counts and guards nothing.
fn compiled(config: &Config) -> Result<Snapshot, Failed> {
    let metrics = Metrics::new().map_err(Failed::new)?;
    let guards = Guards::new(Arc::new(SystemClock));
    let lasting = Lasting {
        metrics: &metrics,
        guards: &guards,
    };
    snapshot::compile(config, 0, lasting).map_err(Failed::usage)
}
