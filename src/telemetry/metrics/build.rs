//! From a line of the table to a registered metric.

use prometheus::core::Collector;
use prometheus::{
    Counter, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry,
};

use crate::telemetry::metrics::table::{Definition, Kind};

/// Makes metrics and registers them.
pub(super) struct Build<'a>(pub(super) &'a Registry);

impl Build<'_> {
    fn kept<M: Collector + Clone + 'static>(&self, metric: M) -> Result<M, prometheus::Error> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    pub(super) fn counter(&self, of: &Definition) -> Result<IntCounter, prometheus::Error> {
        self.kept(IntCounter::new(of.name, of.help)?)
    }

    pub(super) fn counters(&self, of: &Definition) -> Result<IntCounterVec, prometheus::Error> {
        self.kept(IntCounterVec::new(Opts::new(of.name, of.help), of.labels)?)
    }

    pub(super) fn float_counter(&self, of: &Definition) -> Result<Counter, prometheus::Error> {
        self.kept(Counter::new(of.name, of.help)?)
    }

    pub(super) fn gauge(&self, of: &Definition) -> Result<IntGauge, prometheus::Error> {
        self.kept(IntGauge::new(of.name, of.help)?)
    }

    pub(super) fn gauges(&self, of: &Definition) -> Result<IntGaugeVec, prometheus::Error> {
        self.kept(IntGaugeVec::new(Opts::new(of.name, of.help), of.labels)?)
    }

    pub(super) fn float_gauge(&self, of: &Definition) -> Result<Gauge, prometheus::Error> {
        self.kept(Gauge::new(of.name, of.help)?)
    }

    pub(super) fn histogram(&self, of: &Definition) -> Result<Histogram, prometheus::Error> {
        self.kept(Histogram::with_opts(options(of))?)
    }

    pub(super) fn histograms(&self, of: &Definition) -> Result<HistogramVec, prometheus::Error> {
        self.kept(HistogramVec::new(options(of), of.labels)?)
    }
}

fn options(of: &Definition) -> HistogramOpts {
    let bounds = match of.kind {
        Kind::Histogram(bounds) => bounds.to_vec(),
        Kind::Counter | Kind::Gauge => Vec::new(),
    };
    HistogramOpts::new(of.name, of.help).buckets(bounds)
}
