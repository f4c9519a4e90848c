//! `tollgate check`

use std::sync::Arc;

use serde_json::{Value, json};

use crate::cli::output::Output;
use crate::cli::root::Failed;
use crate::config::Config;
use crate::config::effective::Written;
use crate::config::mistake::Mistake;
use crate::config::source::Source;
use crate::gateway::snapshot::Snapshot;
use crate::pipeline::route::guard::Guards;
use crate::server::certificates;
use crate::server::destinations::{Destination, destinations};
use crate::server::snapshot::{self, Lasting};
use crate::telemetry::metrics::Metrics;
use crate::types::clock::SystemClock;

/// Checks everything that can be checked without listening, and prints what it means: every key in
/// force, and every place that connections may go to. Mistakes are printed all at once.
pub fn check(source: &Source, output: &mut Output) -> Result<(), Failed> {
    let examined = source.examine();
    let mut mistakes = examined.mistakes.0;
    let mut compiled = None;
    if let Some(config) = &examined.config {
        // It counts and guards nothing.
        let metrics = Metrics::new().map_err(Failed::new)?;
        let guards = Guards::new(Arc::new(SystemClock));
        let lasting = Lasting {
            metrics: &metrics,
            guards: &guards,
        };
        match snapshot::compile(config, 0, None, lasting) {
            Ok(snapshot) => compiled = Some(snapshot),
            Err(more) => mistakes.extend(more.0),
        }
        if let Err(error) = certificates::load(config) {
            mistakes.push(config.mistake("server.tls", error.to_string()));
        }
    }
    match (examined.config, compiled) {
        (Some(config), Some(snapshot)) if mistakes.is_empty() => show(&config, &snapshot, output),
        _ => refuse(&mistakes, output),
    }
}

fn refuse(mistakes: &[Mistake], output: &mut Output) -> Result<(), Failed> {
    let texts: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    if !output.is_json() {
        return Err(Failed::usage(texts.join("\n")));
    }
    let listed: Vec<Value> = mistakes
        .iter()
        .map(|mistake| json!({"file": mistake.file, "line": mistake.line, "message": mistake.message}))
        .collect();
    output
        .json(&json!({"ok": false, "mistakes": listed}))
        .map_err(Failed::new)?;
    Err(Failed::usage(""))
}

fn show(config: &Config, snapshot: &Snapshot, output: &mut Output) -> Result<(), Failed> {
    let egress = destinations(config);
    if output.is_json() {
        return output
            .json(&as_json(config, snapshot, &egress))
            .map_err(Failed::new);
    }
    let settings = config.effective.iter().map(|(key, setting)| {
        let line = format!("{key} = {}", setting.value);
        match setting.written {
            Written::Line(number) => format!("{line:<60}  # line {number}"),
            Written::Argument => format!("{line:<60}  # command line"),
            Written::Default => line,
        }
    });
    let mut lines: Vec<String> = settings.collect();
    lines.push(String::new());
    lines.push(format!("policies: digest {}", snapshot.policies.digest()));
    lines.push("egress: connections may go to these places and to no others".to_owned());
    lines.extend(
        egress
            .iter()
            .map(|place| format!("  {:<24} {}", place.purpose, place.address)),
    );
    lines.push("ok".to_owned());
    lines
        .iter()
        .try_for_each(|line| output.line(line))
        .map_err(Failed::new)
}

fn as_json(config: &Config, snapshot: &Snapshot, egress: &[Destination]) -> Value {
    let settings = config.effective.iter().map(|(key, setting)| {
        let written = match setting.written {
            Written::Line(number) => json!({"line": number}),
            Written::Argument => json!("command line"),
            Written::Default => json!("default"),
        };
        (
            key.to_owned(),
            json!({"value": setting.value, "written": written}),
        )
    });
    let egress: Vec<Value> = egress
        .iter()
        .map(|place| json!({"purpose": place.purpose, "address": place.address}))
        .collect();
    json!({"ok": true, "effective": settings.collect::<serde_json::Map<_, _>>(),
        "policy_digest": snapshot.policies.digest(), "models": snapshot.models, "egress": egress})
}
