//! `docs/reference/metrics.md`, made from the table.

use std::fmt::Write as _;
use std::path::Path;

use crate::telemetry::metrics::table::{ALL, Kind};
use crate::telemetry::metrics::words::{AttemptOutcome, Endpoint, Outcome, SkipReason, Stage};

const INTRODUCTION: &str = "\
# Metrics

<!-- Made from src/telemetry/metrics/table.rs by the test `the_page_is_current`: do not edit. -->

Served as Prometheus text at `/metrics` on the address `[metrics] listen`, which is never the public
one. `docs/how-to/monitoring.md` says what to watch; `conf/prometheus/alerts.yml` and
`conf/grafana/tollgate.json` are ready to use.

Labels hold configured names (`upstream`; `route` is a route's `name`, else its `model_pattern`) or words of the closed
sets below. Nothing that a client or an upstream sends becomes a label. Series of names that a reload
removed stay until the next start.

| name | kind | labels | meaning |
|---|---|---|---|
";

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for metric in ALL {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(
            page,
            "| `{}` | {kind} | {} | {} |",
            metric.name,
            labels.join(", "),
            metric.help
        )
        .unwrap();
    }
    page.push_str("\n## Values of labels\n\n");
    let mut list = |label: &str, words: Vec<&str>| {
        let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
        writeln!(page, "- {label}: {}.", words.join(", ")).unwrap();
    };
    list("`endpoint`", Endpoint::ALL.map(Endpoint::as_str).to_vec());
    list(
        "`outcome` of requests",
        Outcome::ALL.map(Outcome::as_str).to_vec(),
    );
    list(
        "`outcome` of attempts",
        AttemptOutcome::ALL.map(AttemptOutcome::as_str).to_vec(),
    );
    list(
        "`reason` of skips",
        SkipReason::ALL.map(SkipReason::as_str).to_vec(),
    );
    list("`stage`", Stage::ALL.map(Stage::as_str).to_vec());
    page.push_str("- `kind` of refusals: the kinds of `src/pipeline/refusal.rs`.\n");
    page.push_str("- `route` and `upstream` are `none` where a request came to none.\n");
    page.push_str("\n## Buckets\n\nUpper bounds in seconds.\n\n");
    for metric in ALL {
        if let Kind::Histogram(bounds) = metric.kind {
            let bounds: Vec<String> = bounds.iter().map(ToString::to_string).collect();
            writeln!(page, "- `{}`: {}", metric.name, bounds.join(", ")).unwrap();
        }
    }
    page
}

#[test]
fn the_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/metrics.md");
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let page = page();
    if committed != page {
        std::fs::write(&path, page).unwrap();
        panic!("docs/reference/metrics.md was out of date; it is written anew: review and commit it");
    }
}

/// The metrics that a text names and the table does not know.
fn unknown(text: &str) -> Vec<&str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c: char| !is_name(c));
    let named = words.filter(|word| word.starts_with("tollgate_") || word.starts_with("process_"));
    let is_known = |word: &str| {
        ALL.iter().any(|metric| {
            let rest = word.strip_prefix(metric.name);
            match metric.kind {
                Kind::Histogram(_) => matches!(rest, Some("_bucket" | "_sum" | "_count")),
                Kind::Counter | Kind::Gauge => rest == Some(""),
            }
        })
    };
    named.filter(|word| !is_known(word)).collect()
}

#[test]
fn alerts_and_dashboard_name_metrics_that_exist() {
    let alerts = include_str!("../../../conf/prometheus/alerts.yml");
    let dashboard = include_str!("../../../conf/grafana/tollgate.json");
    assert!(alerts.contains("tollgate_") && dashboard.contains("tollgate_"));
    assert_eq!(unknown(alerts), [""; 0]);
    assert_eq!(unknown(dashboard), [""; 0]);
    assert_eq!(
        unknown("rate(tollgate_nothing_total[5m]) + tollgate_stage_seconds + process_open_fds"),
        ["tollgate_nothing_total", "tollgate_stage_seconds"]
    );
}

#[test]
fn every_metric_is_on_the_dashboard() {
    let dashboard: serde_json::Value =
        serde_json::from_str(include_str!("../../../conf/grafana/tollgate.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let shown: Vec<&str> = targets.filter_map(|target| target["expr"].as_str()).collect();
    for metric in ALL {
        let is_minor = matches!(
            metric.name,
            "process_virtual_memory_bytes" | "process_start_time_seconds"
        );
        assert!(
            is_minor || shown.iter().any(|expression| expression.contains(metric.name)),
            "{}",
            metric.name
        );
    }
}
