//! Every metric: name, kind, labels, meaning. `docs/reference/metrics.md` is made from this table.
//!
//! Labels are bounded by the configuration and by closed sets of words ([`super::words`]). Nothing
//! that a client or an upstream sends becomes one.

/// What kind of metric it is, with the bounds of its buckets where it has some.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only grows, from 0 at the start of the process.
    Counter,
    /// A present value.
    Gauge,
    /// Durations in seconds.
    Histogram(&'static [f64]),
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// The name, in the order subject, measure, unit.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Its labels, in order.
    pub labels: &'static [&'static str],
    /// What it says, in one sentence.
    pub help: &'static str,
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Definition {
    Definition {
        name,
        kind: Kind::Counter,
        labels,
        help,
    }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Definition {
    Definition {
        name,
        kind: Kind::Gauge,
        labels,
        help,
    }
}

const fn seconds(
    name: &'static str,
    labels: &'static [&'static str],
    bounds: &'static [f64],
    help: &'static str,
) -> Definition {
    Definition {
        name,
        kind: Kind::Histogram(bounds),
        labels,
        help,
    }
}

/// Our own stages cost microseconds; a slow client's body takes seconds.
const STAGE_BOUNDS: &[f64] = &[
    0.000_001,
    0.000_002_5,
    0.000_005,
    0.000_01,
    0.000_025,
    0.000_05,
    0.000_1,
    0.000_25,
    0.000_5,
    0.001,
    0.002_5,
    0.005,
    0.01,
    0.05,
    0.25,
    1.0,
    10.0,
    60.0,
];

/// Networks and models take milliseconds to minutes.
const ANSWER_BOUNDS: &[f64] = &[
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
    600.0, 1_800.0,
];

pub(super) const REQUESTS: Definition = counter(
    "tollgate_requests_total",
    &["endpoint", "route", "upstream", "outcome"],
    "Requests by endpoint, route (its name or model pattern), upstream tried last, and outcome",
);
pub(super) const REQUEST_SECONDS: Definition = seconds(
    "tollgate_request_seconds",
    &["route"],
    ANSWER_BOUNDS,
    "From the head of a forwarded request to the end of its answer",
);
pub(super) const FIRST_BYTE_SECONDS: Definition = seconds(
    "tollgate_time_to_first_byte_seconds",
    &["route"],
    ANSWER_BOUNDS,
    "From the head of a forwarded request to the first byte of its answer",
);
pub(super) const REFUSALS: Definition = counter(
    "tollgate_refusals_total",
    &["kind"],
    "Refusals by kind, also those that end a forwarded request",
);
pub(super) const STAGE_SECONDS: Definition = seconds(
    "tollgate_stage_seconds",
    &["stage"],
    STAGE_BOUNDS,
    "Time spent in one stage of a governed request",
);
pub(super) const GOVERNANCE_SECONDS: Definition = seconds(
    "tollgate_governance_seconds",
    &[],
    STAGE_BOUNDS,
    "From the body read to the durable record: what governance adds to a request",
);
pub(super) const OPEN_REQUESTS: Definition = gauge(
    "tollgate_open_requests",
    &[],
    "Requests that are recorded and being forwarded",
);
pub(super) const OPEN_STREAMS: Definition =
    gauge("tollgate_open_streams", &[], "Streams on their way to clients");
pub(super) const BUFFERED_BYTES: Definition = gauge(
    "tollgate_buffered_body_bytes",
    &[],
    "Request bodies held in memory; bounded by server.buffered_bytes_max",
);
pub(super) const MALFORMED_HEADS: Definition = counter(
    "tollgate_connections_malformed_total",
    &[],
    "Connections closed for a head that could not be read at all",
);

pub(super) const OPEN_CONNECTIONS: Definition = gauge(
    "tollgate_open_connections",
    &[],
    "Connections of clients; bounded by server.connections_max",
);
pub(super) const SHED_CONNECTIONS: Definition = counter(
    "tollgate_connections_shed_total",
    &[],
    "Connections closed because too many were open",
);

pub(super) const ATTEMPTS: Definition = counter(
    "tollgate_upstream_attempts_total",
    &["upstream", "outcome"],
    "Attempts at upstreams by outcome",
);
pub(super) const CONNECT_SECONDS: Definition = seconds(
    "tollgate_upstream_connect_seconds",
    &["upstream"],
    ANSWER_BOUNDS,
    "Making a new connection to an upstream, TLS included; pooled connections are not counted",
);
pub(super) const HEAD_SECONDS: Definition = seconds(
    "tollgate_upstream_first_byte_seconds",
    &["upstream"],
    ANSWER_BOUNDS,
    "From the start of an attempt to the head of the upstream's answer",
);

pub(super) const SKIPS: Definition = counter(
    "tollgate_upstream_skips_total",
    &["upstream", "reason"],
    "Requests that were not sent to an upstream of their route, by reason",
);
pub(super) const BREAKER_OPENED: Definition = counter(
    "tollgate_upstream_breaker_opened_total",
    &["upstream"],
    "Times that an upstream's breaker opened",
);
pub(super) const BREAKER_STATE: Definition = gauge(
    "tollgate_upstream_breaker_state",
    &["upstream"],
    "An upstream's breaker: 0 closed, 1 half open, 2 open",
);
pub(super) const UPSTREAM_INSIDE: Definition = gauge(
    "tollgate_upstream_open_requests",
    &["upstream"],
    "Requests at an upstream; bounded by max_concurrent",
);
pub(super) const UPSTREAM_WAITING: Definition = gauge(
    "tollgate_upstream_queued_requests",
    &["upstream"],
    "Requests that wait for a place at an upstream; bounded by queue",
);

pub(super) const JOURNAL_LEAVES: Definition = gauge(
    "tollgate_journal_leaves",
    &[],
    "Leaves that the journal has stored",
);
pub(super) const JOURNAL_UNSHIPPED: Definition = gauge(
    "tollgate_journal_unshipped_leaves",
    &[],
    "Leaves that the store does not have yet",
);
pub(super) const JOURNAL_BYTES: Definition = gauge(
    "tollgate_journal_bytes",
    &[],
    "Bodies that the journal holds, reservations included",
);
pub(super) const JOURNAL_BYTES_MAX: Definition = gauge(
    "tollgate_journal_bytes_max",
    &[],
    "ledger.max_bytes: at this size new requests are refused",
);
pub(super) const JOURNAL_RESERVATIONS: Definition = gauge(
    "tollgate_journal_open_records",
    &[],
    "Records that are open and hold room for their close",
);
pub(super) const JOURNAL_CLOSES_UNWRITTEN: Definition = gauge(
    "tollgate_journal_closes_unwritten",
    &[],
    "Closes that the disk has refused so far",
);
pub(super) const JOURNAL_FAILING: Definition = gauge(
    "tollgate_journal_failing",
    &[],
    "1 while the journal cannot write, else 0",
);
pub(super) const SHIPPER_LAG: Definition = gauge(
    "tollgate_shipper_lag_seconds",
    &[],
    "How long the store has taken nothing although leaves wait for it; else 0",
);
pub(super) const SHIPPER_FAILURES: Definition = gauge(
    "tollgate_shipper_failures",
    &[],
    "Attempts to ship that failed since the last that did not",
);

pub(super) const READY: Definition = gauge("tollgate_ready", &[], "1 while new requests are welcome, else 0");
pub(super) const IDENTITY_AGE: Definition = gauge(
    "tollgate_identity_view_age_seconds",
    &[],
    "Age of the identity view; beyond identity.max_staleness nobody is let in",
);
pub(super) const CONFIGURATION_GENERATION: Definition = gauge(
    "tollgate_configuration_generation",
    &[],
    "The configuration in force, counted from 1 since the start",
);
pub(super) const CONFIGURATION: Definition = gauge(
    "tollgate_configuration_info",
    &["policy_digest"],
    "Always 1; names the policies in force",
);
pub(super) const CONFIGURATION_RELOADS: Definition = counter(
    "tollgate_configuration_reloads_total",
    &["outcome"],
    "Reloads: applied, or kept where the new configuration had mistakes",
);
pub(super) const CONFIGURATION_WAITING: Definition = gauge(
    "tollgate_configuration_keys_waiting_for_restart",
    &[],
    "Changed keys that a reload cannot put in force",
);
pub(super) const BUILD: Definition =
    gauge("tollgate_build_info", &["version"], "Always 1; names the version");

pub(super) const PROCESS_CPU: Definition = counter(
    "process_cpu_seconds_total",
    &[],
    "User and system CPU time of the process in seconds",
);
pub(super) const PROCESS_RESIDENT: Definition =
    gauge("process_resident_memory_bytes", &[], "Resident memory");
pub(super) const PROCESS_VIRTUAL: Definition = gauge("process_virtual_memory_bytes", &[], "Virtual memory");
pub(super) const PROCESS_THREADS: Definition = gauge("process_threads", &[], "Threads");
pub(super) const PROCESS_OPEN_FDS: Definition = gauge("process_open_fds", &[], "Open file descriptors");
pub(super) const PROCESS_MAX_FDS: Definition = gauge(
    "process_max_fds",
    &[],
    "The most file descriptors that may be open (soft limit)",
);
pub(super) const PROCESS_START: Definition = gauge(
    "process_start_time_seconds",
    &[],
    "Start of the process in seconds since 1970",
);

/// All metrics, in the order of the reference page.
pub const ALL: [Definition; 43] = [
    REQUESTS,
    REQUEST_SECONDS,
    FIRST_BYTE_SECONDS,
    REFUSALS,
    STAGE_SECONDS,
    GOVERNANCE_SECONDS,
    OPEN_REQUESTS,
    OPEN_STREAMS,
    BUFFERED_BYTES,
    MALFORMED_HEADS,
    OPEN_CONNECTIONS,
    SHED_CONNECTIONS,
    ATTEMPTS,
    CONNECT_SECONDS,
    HEAD_SECONDS,
    SKIPS,
    BREAKER_OPENED,
    BREAKER_STATE,
    UPSTREAM_INSIDE,
    UPSTREAM_WAITING,
    JOURNAL_LEAVES,
    JOURNAL_UNSHIPPED,
    JOURNAL_BYTES,
    JOURNAL_BYTES_MAX,
    JOURNAL_RESERVATIONS,
    JOURNAL_CLOSES_UNWRITTEN,
    JOURNAL_FAILING,
    SHIPPER_LAG,
    SHIPPER_FAILURES,
    READY,
    IDENTITY_AGE,
    CONFIGURATION_GENERATION,
    CONFIGURATION,
    CONFIGURATION_RELOADS,
    CONFIGURATION_WAITING,
    BUILD,
    PROCESS_CPU,
    PROCESS_RESIDENT,
    PROCESS_VIRTUAL,
    PROCESS_THREADS,
    PROCESS_OPEN_FDS,
    PROCESS_MAX_FDS,
    PROCESS_START,
];
