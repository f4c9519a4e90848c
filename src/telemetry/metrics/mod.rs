//! Prometheus metrics.
//!
//! Input: what the rest of the gateway counts and measures. Output: the text exposition. Invariants:
//! every metric stands in `table`; every label is configured or a word of a closed set; the path of a
//! request counts through handles that were found beforehand. Never: a name, an address or a text of
//! a client or an upstream as a label.
//!
//! - `table`: all metrics. `words`: the values of labels. `meters`: handles for the hot path. `node`:
//!   what a scrape reads. `reference`: the page about them.

mod build;
pub mod meters;
pub mod node;
#[cfg(test)]
mod reference;
pub mod table;
pub mod words;

use std::time::Duration;

use prometheus::{
    Encoder, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder,
};

use self::build::Build;
use self::meters::{NONE, Requests, RouteMeters, Stages, UpstreamMeters};
use self::node::{NodeMeters, UpstreamReading};
use self::words::{Endpoint, Outcome};

/// The endpoints whose requests are routed.
const ROUTED: [Endpoint; 5] = [
    Endpoint::Messages,
    Endpoint::CountTokens,
    Endpoint::ChatCompletions,
    Endpoint::Embeddings,
    Endpoint::Responses,
];

/// Every metric that the gateway exposes.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    unrouted: Requests,
    request_seconds: HistogramVec,
    first_byte: HistogramVec,
    refusals: IntCounterVec,
    attempts: IntCounterVec,
    connect: HistogramVec,
    head: HistogramVec,
    skips: IntCounterVec,
    opened: IntCounterVec,
    breaker: IntGaugeVec,
    inside: IntGaugeVec,
    waiting: IntGaugeVec,
    governance: Histogram,
    /// How long the stages take.
    pub stages: Stages,
    /// Requests that are recorded and being forwarded.
    pub open_requests: IntGauge,
    /// Streams on their way to clients.
    pub open_streams: IntGauge,
    /// Connections closed because too many were open.
    pub shed_connections: IntCounter,
    /// Connections closed for a head that could not be read.
    pub malformed_heads: IntCounter,
    /// What a scrape reads off the node.
    pub node: NodeMeters,
}

impl Metrics {
    /// All metrics at zero, in a registry of their own.
    ///
    /// # Errors
    /// Two metrics of one name, which is a defect of the table.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let build = Build(&registry);
        let requests = build.counters(&table::REQUESTS)?;
        Ok(Self {
            unrouted: Requests::new(&requests, &Endpoint::ALL, NONE, NONE),
            requests,
            request_seconds: build.histograms(&table::REQUEST_SECONDS)?,
            first_byte: build.histograms(&table::FIRST_BYTE_SECONDS)?,
            refusals: build.counters(&table::REFUSALS)?,
            attempts: build.counters(&table::ATTEMPTS)?,
            connect: build.histograms(&table::CONNECT_SECONDS)?,
            head: build.histograms(&table::HEAD_SECONDS)?,
            skips: build.counters(&table::SKIPS)?,
            opened: build.counters(&table::BREAKER_OPENED)?,
            breaker: build.gauges(&table::BREAKER_STATE)?,
            inside: build.gauges(&table::UPSTREAM_INSIDE)?,
            waiting: build.gauges(&table::UPSTREAM_WAITING)?,
            governance: build.histogram(&table::GOVERNANCE_SECONDS)?,
            stages: Stages::new(&build.histograms(&table::STAGE_SECONDS)?),
            open_requests: build.gauge(&table::OPEN_REQUESTS)?,
            open_streams: build.gauge(&table::OPEN_STREAMS)?,
            shed_connections: build.counter(&table::SHED_CONNECTIONS)?,
            malformed_heads: build.counter(&table::MALFORMED_HEADS)?,
            node: NodeMeters::new(&build)?,
            registry,
        })
    }

    /// The Prometheus text exposition of all metrics.
    ///
    /// # Errors
    /// A metric that cannot be written as text.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// The handles of one configured route, whose upstreams have these names.
    pub fn route(&self, name: &str, upstreams: &[&str]) -> RouteMeters {
        let at = |upstream: &str| Requests::new(&self.requests, &ROUTED, name, upstream);
        RouteMeters {
            name: name.into(),
            answered: upstreams.iter().map(|upstream| at(upstream)).collect(),
            unanswered: at(NONE),
            seconds: self.request_seconds.with_label_values(&[name]),
            first_byte: self.first_byte.with_label_values(&[name]),
        }
    }

    /// The handles of one configured upstream.
    pub fn upstream(&self, name: &str) -> UpstreamMeters {
        UpstreamMeters::new(
            name,
            &self.attempts,
            &self.connect,
            &self.head,
            &self.skips,
            &self.opened,
        )
    }

    /// Shows what an upstream can bear at the moment.
    pub fn upstream_shows(&self, name: &str, reading: UpstreamReading) {
        self.breaker.with_label_values(&[name]).set(reading.breaker);
        self.inside.with_label_values(&[name]).set(reading.inside);
        self.waiting.with_label_values(&[name]).set(reading.waiting);
    }

    /// Counts a request that never came to a route.
    pub fn unrouted(&self, endpoint: Endpoint, outcome: Outcome) {
        self.unrouted.count(endpoint, outcome);
    }

    /// Counts a refusal. The kind is a word of a closed set.
    pub fn refused(&self, kind: &'static str) {
        self.refusals.with_label_values(&[kind]).inc();
    }

    /// Notes how long governance took.
    pub fn governed_in(&self, took: Duration) {
        self.governance.observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::words::AttemptOutcome;
    use super::*;

    fn names(text: &str) -> BTreeSet<&str> {
        text.lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
            .collect()
    }

    #[test]
    fn what_is_exposed_stands_in_the_table_and_the_reverse() {
        let metrics = Metrics::new().unwrap();
        let _route = metrics.route("claude-*", &["anthropic"]);
        let _upstream = metrics.upstream("anthropic");
        metrics.upstream_shows("anthropic", UpstreamReading::default());
        metrics.refused("policy");
        metrics.node.configuration(1, "00");
        let text = metrics.text().unwrap();
        let known: BTreeSet<&str> = table::ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(known.len(), table::ALL.len(), "a name stands twice");
        assert_eq!(names(&text), known);
        for metric in table::ALL {
            assert!(
                text.contains(&format!("# HELP {} {}", metric.name, metric.help)),
                "{}",
                metric.name
            );
        }
    }

    #[test]
    fn handles_count_where_their_labels_say() {
        let metrics = Metrics::new().unwrap();
        let route = metrics.route("claude-*", &["first", "second"]);
        let took = Duration::from_millis(30);
        route.ended(Endpoint::Messages, Some(1), Outcome::Complete, took);
        route.ended(Endpoint::Messages, None, Outcome::Error, took);
        metrics.upstream("first").attempted(AttemptOutcome::Reset);
        metrics.unrouted(Endpoint::Models, Outcome::Complete);
        let text = metrics.text().unwrap();
        let check = |line: &str| assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        let requests = |endpoint: &str, route: &str, upstream: &str, outcome: &str| {
            format!(
                "tollgate_requests_total{{endpoint=\"{endpoint}\",outcome=\"{outcome}\",route=\"{route}\",upstream=\"{upstream}\"}} 1"
            )
        };
        check(&requests("messages", "claude-*", "second", "complete"));
        check(&requests("messages", "claude-*", "none", "error"));
        check(&requests("models", "none", "none", "complete"));
        check("tollgate_upstream_attempts_total{outcome=\"reset\",upstream=\"first\"} 1");
        check("tollgate_request_seconds_bucket{route=\"claude-*\",le=\"0.025\"} 0");
        check("tollgate_request_seconds_bucket{route=\"claude-*\",le=\"0.05\"} 2");
    }

    #[test]
    fn the_old_configuration_is_not_shown_beside_the_new() {
        let metrics = Metrics::new().unwrap();
        metrics.node.configuration(1, "aa");
        metrics.node.configuration(2, "bb");
        let text = metrics.text().unwrap();
        assert!(!text.contains("policy_digest=\"aa\"") && text.contains("policy_digest=\"bb\""));
        assert!(text.contains("tollgate_configuration_generation 2"));
    }
}
