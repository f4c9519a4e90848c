//! What a scrape reads off the node at that moment.

use std::time::Duration;

use prometheus::{Counter, Gauge, IntCounter, IntGauge, IntGaugeVec};

use crate::telemetry::metrics::build::Build;
use crate::telemetry::metrics::table;

/// The journal and what ships it.
#[derive(Clone, Copy, Debug, Default)]
pub struct JournalReading {
    /// Leaves stored.
    pub leaves: u64,
    /// Leaves that the store does not have.
    pub unshipped: u64,
    /// Bytes held or reserved.
    pub bytes: u64,
    /// Their limit.
    pub bytes_max: u64,
    /// Open records.
    pub open_records: u64,
    /// Closes that the disk refused.
    pub closes_unwritten: u64,
    /// Whether writing fails.
    pub failing: bool,
    /// Since when the store has taken nothing, while leaves wait.
    pub lag: Duration,
    /// Failed attempts to ship in a row.
    pub failures: u64,
}

/// The process, as the operating system sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessReading {
    /// User and system time in seconds.
    pub cpu_seconds: f64,
    /// Resident memory in bytes.
    pub resident_bytes: u64,
    /// Virtual memory in bytes.
    pub virtual_bytes: u64,
    /// Threads.
    pub threads: u64,
    /// Open file descriptors.
    pub open_fds: u64,
    /// The most that may be open.
    pub max_fds: u64,
    /// The start in seconds since 1970.
    pub start_seconds: f64,
}

/// What one upstream can bear at the moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct UpstreamReading {
    /// Its breaker: 0 closed, 1 half open, 2 open.
    pub breaker: i64,
    /// Requests at it.
    pub inside: i64,
    /// Requests that wait for a place at it.
    pub waiting: i64,
}

/// Gauges of the whole node.
#[derive(Clone, Debug)]
pub struct NodeMeters {
    leaves: IntGauge,
    unshipped: IntGauge,
    bytes: IntGauge,
    bytes_max: IntGauge,
    open_records: IntGauge,
    closes_unwritten: IntGauge,
    failing: IntGauge,
    lag: Gauge,
    failures: IntGauge,
    ready: IntGauge,
    buffered: IntGauge,
    connections: IntGauge,
    identity_age: Gauge,
    generation: IntGauge,
    configuration: IntGaugeVec,
    reloads_applied: IntCounter,
    reloads_kept: IntCounter,
    keys_waiting: IntGauge,
    cpu: Counter,
    resident: IntGauge,
    virtual_memory: IntGauge,
    threads: IntGauge,
    open_fds: IntGauge,
    max_fds: IntGauge,
    start: Gauge,
}

impl NodeMeters {
    pub(super) fn new(build: &Build<'_>) -> Result<Self, prometheus::Error> {
        let version = build.gauges(&table::BUILD)?;
        version.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let reloads = build.counters(&table::CONFIGURATION_RELOADS)?;
        Ok(Self {
            reloads_applied: reloads.with_label_values(&["applied"]),
            reloads_kept: reloads.with_label_values(&["kept"]),
            keys_waiting: build.gauge(&table::CONFIGURATION_WAITING)?,
            leaves: build.gauge(&table::JOURNAL_LEAVES)?,
            unshipped: build.gauge(&table::JOURNAL_UNSHIPPED)?,
            bytes: build.gauge(&table::JOURNAL_BYTES)?,
            bytes_max: build.gauge(&table::JOURNAL_BYTES_MAX)?,
            open_records: build.gauge(&table::JOURNAL_RESERVATIONS)?,
            closes_unwritten: build.gauge(&table::JOURNAL_CLOSES_UNWRITTEN)?,
            failing: build.gauge(&table::JOURNAL_FAILING)?,
            lag: build.float_gauge(&table::SHIPPER_LAG)?,
            failures: build.gauge(&table::SHIPPER_FAILURES)?,
            ready: build.gauge(&table::READY)?,
            connections: build.gauge(&table::OPEN_CONNECTIONS)?,
            buffered: build.gauge(&table::BUFFERED_BYTES)?,
            identity_age: build.float_gauge(&table::IDENTITY_AGE)?,
            generation: build.gauge(&table::CONFIGURATION_GENERATION)?,
            configuration: build.gauges(&table::CONFIGURATION)?,
            cpu: build.float_counter(&table::PROCESS_CPU)?,
            resident: build.gauge(&table::PROCESS_RESIDENT)?,
            virtual_memory: build.gauge(&table::PROCESS_VIRTUAL)?,
            threads: build.gauge(&table::PROCESS_THREADS)?,
            open_fds: build.gauge(&table::PROCESS_OPEN_FDS)?,
            max_fds: build.gauge(&table::PROCESS_MAX_FDS)?,
            start: build.float_gauge(&table::PROCESS_START)?,
        })
    }

    /// Shows the journal.
    pub fn journal(&self, reading: &JournalReading) {
        self.leaves.set(whole(reading.leaves));
        self.unshipped.set(whole(reading.unshipped));
        self.bytes.set(whole(reading.bytes));
        self.bytes_max.set(whole(reading.bytes_max));
        self.open_records.set(whole(reading.open_records));
        self.closes_unwritten.set(whole(reading.closes_unwritten));
        self.failing.set(i64::from(reading.failing));
        self.lag.set(reading.lag.as_secs_f64());
        self.failures.set(whole(reading.failures));
    }

    /// Shows the configuration in force.
    pub fn configuration(&self, generation: u64, policy_digest: &str) {
        self.generation.set(whole(generation));
        self.configuration.reset();
        self.configuration.with_label_values(&[policy_digest]).set(1);
    }

    /// Counts a reload that was applied, while so many changed keys wait for a restart.
    pub fn reloaded(&self, keys_waiting: usize) {
        self.reloads_applied.inc();
        self.keys_waiting
            .set(i64::try_from(keys_waiting).unwrap_or(i64::MAX));
    }

    /// Counts a reload that changed nothing, because of mistakes.
    pub fn not_reloaded(&self) {
        self.reloads_kept.inc();
    }

    /// Shows the age of the identity view.
    pub fn identity_age(&self, age: Duration) {
        self.identity_age.set(age.as_secs_f64());
    }

    /// Shows how many bytes of request bodies are held.
    pub fn buffered(&self, bytes: usize) {
        self.buffered.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Shows how many connections of clients are open.
    pub fn connections(&self, count: usize) {
        self.connections.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Shows whether new requests are welcome.
    pub fn ready(&self, ready: bool) {
        self.ready.set(i64::from(ready));
    }

    /// Shows the process.
    pub fn process(&self, reading: &ProcessReading) {
        // CPU time never shrinks; a scrape that overtook this one may have shown more already.
        self.cpu.inc_by((reading.cpu_seconds - self.cpu.get()).max(0.0));
        self.resident.set(whole(reading.resident_bytes));
        self.virtual_memory.set(whole(reading.virtual_bytes));
        self.threads.set(whole(reading.threads));
        self.open_fds.set(whole(reading.open_fds));
        self.max_fds.set(whole(reading.max_fds));
        self.start.set(reading.start_seconds);
    }
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
