//! Prometheus metrics, all names in one place.

use std::time::Duration;

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};

/// Bounds of latency histograms in seconds: governance costs microseconds, models minutes.
const LATENCY_SECONDS: [f64; 14] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0, 30.0, 120.0,
];

/// Every metric that the gateway exposes.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// `tollgate_requests_total{endpoint,outcome}`
    pub requests: IntCounterVec,
    /// `tollgate_refusals_total{kind}`
    pub refusals: IntCounterVec,
    /// `tollgate_upstream_attempts_total{upstream,outcome}`
    pub attempts: IntCounterVec,
    /// `tollgate_governance_seconds`: from the body read to the durable record.
    pub governance: Histogram,
    /// `tollgate_upstream_head_seconds{upstream}`: from sending to the head of the answer.
    pub upstream_head: HistogramVec,
    /// `tollgate_open_requests`
    pub open_requests: IntGauge,
    /// `tollgate_open_streams`
    pub open_streams: IntGauge,
    /// `tollgate_connections_malformed_total`: heads that could not be read at all.
    pub malformed_heads: IntCounter,
    /// `tollgate_journal_unshipped_leaves`
    pub journal_unshipped: IntGauge,
    /// `tollgate_journal_bytes`
    pub journal_bytes: IntGauge,
    /// `tollgate_identity_view_age_seconds`
    pub identity_age: IntGauge,
}

impl Metrics {
    /// All metrics at zero, in a registry of their own.
    ///
    /// # Errors
    /// Two metrics of one name, which is a defect of this file.
    pub fn new() -> Result<Self, prometheus::Error> {
        let seconds =
            |name: &str, help: &str| HistogramOpts::new(name, help).buckets(LATENCY_SECONDS.to_vec());
        let metrics = Self {
            registry: Registry::new(),
            requests: IntCounterVec::new(
                Opts::new("tollgate_requests_total", "Requests by endpoint and outcome"),
                &["endpoint", "outcome"],
            )?,
            refusals: IntCounterVec::new(
                Opts::new("tollgate_refusals_total", "Refusals by kind"),
                &["kind"],
            )?,
            attempts: IntCounterVec::new(
                Opts::new(
                    "tollgate_upstream_attempts_total",
                    "Attempts by upstream and outcome",
                ),
                &["upstream", "outcome"],
            )?,
            governance: Histogram::with_opts(seconds(
                "tollgate_governance_seconds",
                "From the body read to the durable record",
            ))?,
            upstream_head: HistogramVec::new(
                seconds(
                    "tollgate_upstream_head_seconds",
                    "From sending to the head of the answer",
                ),
                &["upstream"],
            )?,
            open_requests: IntGauge::new("tollgate_open_requests", "Requests in flight")?,
            open_streams: IntGauge::new("tollgate_open_streams", "Streams in flight")?,
            malformed_heads: IntCounter::new(
                "tollgate_connections_malformed_total",
                "Connections closed for an unreadable head",
            )?,
            journal_unshipped: IntGauge::new(
                "tollgate_journal_unshipped_leaves",
                "Leaves that the store does not have yet",
            )?,
            journal_bytes: IntGauge::new(
                "tollgate_journal_bytes",
                "Size of the journal, reservations included",
            )?,
            identity_age: IntGauge::new("tollgate_identity_view_age_seconds", "Age of the identity view")?,
        };
        metrics.register()?;
        Ok(metrics)
    }

    fn register(&self) -> Result<(), prometheus::Error> {
        let version = Opts::new("tollgate_build_info", "Always 1; the version is a label")
            .const_label("version", env!("CARGO_PKG_VERSION"));
        let build = IntGauge::with_opts(version)?;
        build.set(1);
        let all: [Box<dyn prometheus::core::Collector>; 12] = [
            Box::new(build),
            Box::new(self.requests.clone()),
            Box::new(self.refusals.clone()),
            Box::new(self.attempts.clone()),
            Box::new(self.governance.clone()),
            Box::new(self.upstream_head.clone()),
            Box::new(self.open_requests.clone()),
            Box::new(self.open_streams.clone()),
            Box::new(self.malformed_heads.clone()),
            Box::new(self.journal_unshipped.clone()),
            Box::new(self.journal_bytes.clone()),
            Box::new(self.identity_age.clone()),
        ];
        all.into_iter()
            .try_for_each(|metric| self.registry.register(metric))
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

    /// Notes how long governance took.
    pub fn governed_in(&self, took: Duration) {
        self.governance.observe(took.as_secs_f64());
    }
}
