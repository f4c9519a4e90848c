//! Handles to single time series, found once and kept where they are used: counting on the path of a
//! request hashes no label and allocates nothing.

use std::time::{Duration, Instant};

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};

use crate::telemetry::metrics::words::{AttemptOutcome, Endpoint, Outcome, SkipReason, Stage};

/// The label of requests that no route took, or that reached no upstream.
pub(super) const NONE: &str = "none";

/// One time series for each word of a closed set.
#[derive(Clone, Debug)]
struct Closed<W, M>(Box<[(W, M)]>);

impl<W: Copy + PartialEq, M> Closed<W, M> {
    fn new(words: impl IntoIterator<Item = W>, make: impl Fn(W) -> M) -> Self {
        Self(words.into_iter().map(|word| (word, make(word))).collect())
    }

    fn of(&self, word: W) -> Option<&M> {
        // The sets are small: a walk costs less than a hash.
        self.0
            .iter()
            .find(|(known, _)| *known == word)
            .map(|(_, metric)| metric)
    }
}

/// Requests at one route and upstream.
#[derive(Clone, Debug)]
pub(super) struct Requests(Closed<(Endpoint, Outcome), IntCounter>);

impl Requests {
    pub(super) fn new(all: &IntCounterVec, endpoints: &[Endpoint], route: &str, upstream: &str) -> Self {
        let pairs = endpoints
            .iter()
            .flat_map(|endpoint| Outcome::ALL.map(|outcome| (*endpoint, outcome)));
        Self(Closed::new(pairs, |(endpoint, outcome)| {
            all.with_label_values(&[endpoint.as_str(), route, upstream, outcome.as_str()])
        }))
    }

    pub(super) fn count(&self, endpoint: Endpoint, outcome: Outcome) {
        if let Some(counter) = self.0.of((endpoint, outcome)) {
            counter.inc();
        }
    }
}

/// What is counted about one route.
#[derive(Clone, Debug)]
pub struct RouteMeters {
    pub(super) name: Box<str>,
    /// By the position of the upstream in the route.
    pub(super) answered: Box<[Requests]>,
    pub(super) unanswered: Requests,
    pub(super) seconds: Histogram,
    pub(super) first_byte: Histogram,
}

impl RouteMeters {
    /// The route's name here and in logs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Counts a request that ended. `upstream` is the position of the upstream tried last.
    pub fn ended(&self, endpoint: Endpoint, upstream: Option<usize>, outcome: Outcome, took: Duration) {
        let requests = upstream.and_then(|position| self.answered.get(position));
        requests.unwrap_or(&self.unanswered).count(endpoint, outcome);
        self.seconds.observe(took.as_secs_f64());
    }

    /// Notes when the first byte of an answer went out.
    pub fn first_byte(&self, after: Duration) {
        self.first_byte.observe(after.as_secs_f64());
    }
}

/// What is counted about one upstream.
#[derive(Clone, Debug)]
pub struct UpstreamMeters {
    attempts: Closed<AttemptOutcome, IntCounter>,
    connect: Histogram,
    head: Histogram,
    skips: Closed<SkipReason, IntCounter>,
    opened: IntCounter,
}

impl UpstreamMeters {
    pub(super) fn new(
        name: &str,
        attempts: &IntCounterVec,
        connect: &HistogramVec,
        head: &HistogramVec,
        skips: &IntCounterVec,
        opened: &IntCounterVec,
    ) -> Self {
        Self {
            attempts: Closed::new(AttemptOutcome::ALL, |outcome| {
                attempts.with_label_values(&[name, outcome.as_str()])
            }),
            connect: connect.with_label_values(&[name]),
            head: head.with_label_values(&[name]),
            skips: Closed::new(SkipReason::ALL, |reason| {
                skips.with_label_values(&[name, reason.as_str()])
            }),
            opened: opened.with_label_values(&[name]),
        }
    }

    /// Counts an attempt.
    pub fn attempted(&self, outcome: AttemptOutcome) {
        if let Some(counter) = self.attempts.of(outcome) {
            counter.inc();
        }
    }

    /// Counts a request that was not sent to it.
    pub fn skipped(&self, reason: SkipReason) {
        if let Some(counter) = self.skips.of(reason) {
            counter.inc();
        }
    }

    /// Counts that its breaker opened.
    pub fn opened(&self) {
        self.opened.inc();
    }

    /// Notes how long a new connection took.
    pub fn connected(&self, took: Duration) {
        self.connect.observe(took.as_secs_f64());
    }

    /// Notes how long the head of an answer took.
    pub fn answered(&self, took: Duration) {
        self.head.observe(took.as_secs_f64());
    }
}

/// How long the stages take.
#[derive(Clone, Debug)]
pub struct Stages(Closed<Stage, Histogram>);

impl Stages {
    pub(super) fn new(all: &HistogramVec) -> Self {
        Self(Closed::new(Stage::ALL, |stage| {
            all.with_label_values(&[stage.as_str()])
        }))
    }

    /// A watch that begins to run at `start`.
    pub const fn watch(&self, start: Instant) -> Watch<'_> {
        Watch {
            stages: self,
            last: start,
        }
    }
}

/// Measures stages that follow one another.
#[derive(Debug)]
pub struct Watch<'a> {
    stages: &'a Stages,
    last: Instant,
}

impl Watch<'_> {
    /// A stage has ended; the next one begins.
    pub fn ended(&mut self, stage: Stage) {
        let now = Instant::now();
        if let Some(histogram) = self.stages.0.of(stage) {
            histogram.observe(now.duration_since(self.last).as_secs_f64());
        }
        self.last = now;
    }

    /// When the last stage ended.
    pub const fn last(&self) -> Instant {
        self.last
    }
}
