//! What a scrape of `/metrics` reads: the journal, the shipper, and the process as `/proc` shows it.

use std::fs;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::jobs::shipper::Shipper;
use crate::journal::Journal;
use crate::pipeline::route::guard::{self, breaker::Shown};
use crate::telemetry::metrics::node::{JournalReading, ProcessReading, UpstreamReading};
use crate::types::clock::Timestamp;

/// Ticks of a second in `/proc`: `USER_HZ` of the kernel's interface, 100 on every architecture that
/// we build for (proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;

/// When a scrape last found every leaf in the store.
#[derive(Debug)]
pub(super) struct CaughtUp(AtomicI64);

impl CaughtUp {
    pub(super) const fn at(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.unix_micros()))
    }

    /// How long the store has taken nothing although leaves wait. A leaf that has just come after a
    /// quiet hour is not an hour late, so what an earlier scrape saw counts too.
    fn lag(&self, unshipped: u64, last: Option<Timestamp>, now: Timestamp) -> Duration {
        if unshipped == 0 {
            self.0.store(now.unix_micros(), Ordering::Relaxed);
            return Duration::ZERO;
        }
        let seen = Timestamp::from_unix_micros(self.0.load(Ordering::Relaxed));
        now.since(last.map_or(seen, |last| last.max(seen)))
    }
}

/// How the journal and its shipper fare.
pub(super) fn journal(
    journal: &Journal,
    shipper: &Shipper,
    caught_up: &CaughtUp,
    now: Timestamp,
) -> JournalReading {
    let status = journal.status();
    let progress = shipper.progress();
    let unshipped = shipper.unshipped();
    let lag = caught_up.lag(unshipped, progress.last_shipped_at(), now);
    JournalReading {
        leaves: status.leaves,
        unshipped,
        bytes: status.claimed_bytes,
        bytes_max: status.max_bytes,
        open_records: status.reservations,
        closes_unwritten: status.closes_unwritten,
        failing: status.failing,
        lag,
        failures: progress.failures(),
    }
}

/// An upstream's guard, as metrics show it.
pub(super) fn upstream(reading: &guard::Reading) -> UpstreamReading {
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    UpstreamReading {
        breaker: match reading.breaker {
            Shown::Closed => 0,
            Shown::HalfOpen => 1,
            Shown::Open => 2,
        },
        inside: count(reading.inside),
        waiting: count(reading.waiting),
    }
}

/// The process; what `/proc` does not say stays 0.
pub(super) fn process() -> ProcessReading {
    let text = |name: &str| fs::read_to_string(name).unwrap_or_default();
    let mut reading = parsed(
        &text("/proc/self/stat"),
        &text("/proc/self/status"),
        &text("/proc/self/limits"),
        &text("/proc/stat"),
    );
    reading.open_fds = fs::read_dir("/proc/self/fd").map_or(0, |entries| {
        u64::try_from(entries.flatten().count()).unwrap_or(u64::MAX)
    });
    reading
}

/// The words of proc(5).
fn parsed(stat: &str, status: &str, limits: &str, system: &str) -> ProcessReading {
    // The name of the program stands in parentheses and may hold spaces; fields count from 3 after it.
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = after_name.split(' ').collect();
    let ticks = |field: usize| -> f64 {
        let text = field.checked_sub(3).and_then(|index| fields.get(index));
        text.and_then(|text| text.parse().ok()).unwrap_or(0.0)
    };
    let line = |text: &str, name: &str, word: usize| -> u64 {
        let rest = text.lines().find_map(|line| line.strip_prefix(name));
        rest.and_then(|rest| rest.split_whitespace().nth(word)?.parse().ok())
            .unwrap_or(0)
    };
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^53")]
    let booted = line(system, "btime", 0) as f64;
    ProcessReading {
        cpu_seconds: (ticks(14) + ticks(15)) / TICKS_PER_SECOND,
        resident_bytes: line(status, "VmRSS:", 0).saturating_mul(1024),
        virtual_bytes: line(status, "VmSize:", 0).saturating_mul(1024),
        threads: line(status, "Threads:", 0),
        open_fds: 0,
        max_fds: line(limits, "Max open files", 0),
        start_seconds: booted + ticks(22) / TICKS_PER_SECOND,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_proc_shows() {
        let stat = "42 (a) name) S 1 42 42 0 -1 4194304 10 0 0 0 250 150 0 0 20 0 7 0 1000 9999 88";
        let status = "Name:\ta\nVmSize:\t  2048 kB\nVmRSS:\t  1024 kB\nThreads:\t7\n";
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096                 files\n";
        let reading = parsed(stat, status, limits, "cpu 1 2\nbtime 1700000000\n");
        assert_eq!(reading.cpu_seconds, 4.0);
        assert_eq!(
            (reading.resident_bytes, reading.virtual_bytes),
            (1 << 20, 2 << 20)
        );
        assert_eq!((reading.threads, reading.max_fds), (7, 1024));
        assert_eq!(reading.start_seconds, 1_700_000_010.0);
    }

    #[test]
    fn only_leaves_that_wait_make_a_lag() {
        let at = |seconds: i64| Timestamp::from_unix_micros(seconds * 1_000_000);
        let caught_up = CaughtUp::at(at(0));
        let lag =
            |unshipped, last: Option<i64>, now| caught_up.lag(unshipped, last.map(at), at(now)).as_secs();
        assert_eq!(lag(5, None, 10), 10, "nothing was ever shipped");
        assert_eq!(lag(5, Some(12), 20), 8, "since the last batch");
        assert_eq!(lag(0, Some(12), 3_600), 0);
        assert_eq!(
            lag(1, Some(12), 3_601),
            1,
            "what has just come is not an hour late"
        );
    }

    #[test]
    fn this_process_is_seen() {
        let reading = process();
        assert!(reading.resident_bytes > 1 << 20 && reading.open_fds > 2 && reading.threads > 0);
        assert!(reading.start_seconds > 1.0e9);
    }
}
