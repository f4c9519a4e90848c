//! Coalesce: a client that runs against its limit again and again gets one row, with a count.
//!
//! Input: refusals by limit. Output: which of them are written now, and for how many they stand.
//! Invariants: every refusal is counted in exactly one row; per principal and rule at most one row
//! is written in [`WINDOW`]; memory is bounded by [`OPEN_MAX`], beyond it every refusal is a row.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

use crate::types::clock::Timestamp;
use crate::types::ids::{TenantId, UserId};

/// How long refusals are gathered into one row.
pub const WINDOW: Duration = Duration::from_secs(10);
/// Principals and rules gathered for at most.
pub const OPEN_MAX: usize = 8_192;

/// What refusals are gathered by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Refused {
    /// The principal's tenant.
    pub tenant: TenantId,
    /// The principal's user.
    pub user: UserId,
    /// The limit: the name of a rate or budget.
    pub rule: Box<str>,
}

/// What to do about one refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// Write a row now; it stands for so many refusals, this one included.
    Write {
        /// This refusal, and those counted since the last row.
        count: u64,
    },
    /// It is counted; a later row stands for it.
    Counted,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    since: Timestamp,
    counted: u64,
}

/// Gathers refusals by principal and rule.
#[derive(Debug, Default)]
pub struct Coalescer {
    open: Mutex<HashMap<Refused, Window>>,
}

impl Coalescer {
    /// Counts a refusal. The first one is written at once; those that follow within [`WINDOW`] are
    /// counted and go into the row of the next one, or of [`Coalescer::drain`].
    pub fn refused(&self, refused: Refused, now: Timestamp) -> Row {
        let mut open = self.open.lock();
        let room = open.len() < OPEN_MAX;
        match open.get_mut(&refused) {
            Some(window) if within(window, now) => {
                window.counted = window.counted.saturating_add(1);
                Row::Counted
            }
            Some(window) => {
                let count = window.counted.saturating_add(1);
                *window = Window {
                    since: now,
                    counted: 0,
                };
                Row::Write { count }
            }
            None => {
                if room {
                    open.insert(
                        refused,
                        Window {
                            since: now,
                            counted: 0,
                        },
                    );
                }
                Row::Write { count: 1 }
            }
        }
    }

    /// Closes the windows that have ended; returns those whose counted refusals have no row yet.
    ///
    /// Somebody has to call this every few seconds: it also makes room.
    pub fn drain(&self, now: Timestamp) -> Vec<(Refused, u64)> {
        self.take(|window| !within(window, now))
    }

    /// Closes all windows, for the end of the process.
    pub fn drain_all(&self) -> Vec<(Refused, u64)> {
        self.take(|_| true)
    }

    fn take(&self, ended: impl Fn(&Window) -> bool) -> Vec<(Refused, u64)> {
        let closed = self
            .open
            .lock()
            .extract_if(|_, window| ended(window))
            .collect::<Vec<_>>();
        let mut rows: Vec<_> = closed
            .into_iter()
            .filter(|(_, window)| window.counted > 0)
            .map(|(refused, window)| (refused, window.counted))
            .collect();
        rows.sort_unstable();
        rows
    }
}

/// Whether the window is still open. A clock that stepped back closes it.
fn within(window: &Window, now: Timestamp) -> bool {
    now >= window.since && now.since(window.since) < WINDOW
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(rule: &str) -> Refused {
        Refused {
            tenant: TenantId::from_uuid(uuid::Uuid::from_u128(1)),
            user: UserId::from_uuid(uuid::Uuid::from_u128(2)),
            rule: rule.into(),
        }
    }

    const fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_micros(seconds * 1_000_000)
    }

    #[test]
    fn writes_one_row_per_window_and_loses_none() {
        let coalescer = Coalescer::default();
        let say = |rule, second| coalescer.refused(refused(rule), at(second));
        assert_eq!(say("a", 100), Row::Write { count: 1 });
        assert_eq!(say("a", 101), Row::Counted);
        assert_eq!(say("b", 101), Row::Write { count: 1 });
        assert_eq!(say("a", 109), Row::Counted);
        assert_eq!(say("a", 110), Row::Write { count: 3 });
        assert_eq!(say("a", 111), Row::Counted);
        assert_eq!(coalescer.drain(at(115)), []);
        assert_eq!(coalescer.drain(at(120)), [(refused("a"), 1)]);
        assert_eq!(say("a", 121), Row::Write { count: 1 });
        assert_eq!(coalescer.drain_all(), []);
    }

    #[test]
    fn a_clock_that_steps_back_opens_a_new_window() {
        let coalescer = Coalescer::default();
        coalescer.refused(refused("a"), at(1_000));
        assert_eq!(coalescer.refused(refused("a"), at(10)), Row::Write { count: 1 });
    }

    #[test]
    fn remembers_no_more_than_its_capacity() {
        let coalescer = Coalescer::default();
        for rule in 0..=OPEN_MAX {
            coalescer.refused(refused(&rule.to_string()), at(0));
        }
        let beyond = refused(&OPEN_MAX.to_string());
        assert_eq!(coalescer.refused(beyond, at(1)), Row::Write { count: 1 });
        assert_eq!(coalescer.open.lock().len(), OPEN_MAX);
    }
}
