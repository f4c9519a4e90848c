//! `docs/reference/metrics.md`, made from the table.

use std::fmt::Write as _;
use std::path::Path;

use crate::telemetry::metrics::table::{ALL, Kind};
use crate::telemetry::metrics::words::{AttemptOutcome, Endpoint, Outcome, Stage};

const INTRODUCTION: &str = "\
# Metrics

<!-- Made from src/telemetry/metrics/table.rs by the test `the_page_is_current`: do not edit. -->

Served as Prometheus text at `/metrics` on the address `[metrics] listen`, which is never the public
one.

Labels hold configured names (`upstream`; `route` is a route's `model_pattern`) or words of the closed
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
