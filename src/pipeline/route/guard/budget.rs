//! The retry budget of one upstream: a failover may not multiply its load.
//!
//! First attempts pay a share of a retry in, and time pays a few in; each retry takes one out. What is
//! saved up is bounded, so that a quiet hour does not buy a storm.

use std::time::Duration;

use crate::types::clock::Timestamp;

/// A retry, in the unit of the account.
const RETRY: u64 = 1_000_000;

/// How many seconds of `per_second` may be saved up.
const SAVED_SECONDS: u64 = 10;

/// How many retries an upstream takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Retries per hundred first attempts.
    pub percent: u32,
    /// Retries per second beyond those.
    pub per_second: u32,
}

/// The account.
#[derive(Debug)]
pub struct Budget {
    settings: Settings,
    saved: u64,
    paid_until: Timestamp,
}

impl Budget {
    /// An account with all that may be saved up.
    pub fn new(settings: Settings, now: Timestamp) -> Self {
        let mut budget = Self {
            settings,
            saved: 0,
            paid_until: now,
        };
        budget.saved = budget.saved_max();
        budget
    }

    /// Takes other settings from now on.
    pub fn set(&mut self, settings: Settings) {
        self.settings = settings;
        self.saved = self.saved.min(self.saved_max());
    }

    /// A first attempt pays its share in.
    pub fn first_attempt(&mut self) {
        let share = RETRY / 100 * u64::from(self.settings.percent);
        self.saved = self.saved.saturating_add(share).min(self.saved_max());
    }

    /// Takes a retry out; `false` when there is none left.
    pub fn retry(&mut self, now: Timestamp) -> bool {
        // A clock that is set back pays nothing in until it has caught up with the new time.
        let passed = now.since(self.paid_until).min(Duration::from_secs(SAVED_SECONDS));
        self.paid_until = now;
        let micros = u64::try_from(passed.as_micros()).unwrap_or(0);
        let paid = micros.saturating_mul(u64::from(self.settings.per_second));
        self.saved = self.saved.saturating_add(paid).min(self.saved_max());
        match self.saved.checked_sub(RETRY) {
            Some(rest) => {
                self.saved = rest;
                true
            }
            None => false,
        }
    }

    /// At least one retry can be saved up where any are allowed at all.
    fn saved_max(&self) -> u64 {
        let Settings { percent, per_second } = self.settings;
        if percent == 0 && per_second == 0 {
            return 0;
        }
        u64::from(per_second)
            .saturating_mul(SAVED_SECONDS)
            .max(1)
            .saturating_mul(RETRY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_unix_micros(1_000_000_000 + millis * 1_000)
    }

    fn taken(budget: &mut Budget, millis: i64, asked: usize) -> usize {
        (0..asked).filter(|_| budget.retry(at(millis))).count()
    }

    fn budget(percent: u32, per_second: u32) -> Budget {
        Budget::new(Settings { percent, per_second }, at(0))
    }

    #[test]
    fn retries_are_a_share_of_first_attempts() {
        let mut budget = budget(20, 1);
        assert_eq!(taken(&mut budget, 0, 100), 10, "what is saved up");
        for _ in 0..40 {
            budget.first_attempt();
        }
        assert_eq!(taken(&mut budget, 0, 100), 8);
    }

    #[test]
    fn time_pays_some_in() {
        let mut budget = budget(0, 4);
        assert_eq!(taken(&mut budget, 0, 100), 40);
        assert_eq!(taken(&mut budget, 500, 100), 2);
        assert_eq!(
            taken(&mut budget, 3_600_000, 100),
            40,
            "never more than is saved up"
        );
    }

    #[test]
    fn a_storm_is_bounded() {
        let mut budget = budget(20, 10);
        let mut retries = 0;
        for millis in 0..10_000 {
            budget.first_attempt();
            retries += taken(&mut budget, millis, 1);
        }
        // 20 % of 10,000, ten a second for ten seconds, and what was saved up.
        assert!((2_090..=2_210).contains(&retries), "{retries}");
    }

    #[test]
    fn nothing_is_allowed_where_nothing_is() {
        let mut budget = budget(0, 0);
        budget.first_attempt();
        assert!(!budget.retry(at(60_000)));
    }

    #[test]
    fn a_clock_that_is_set_back_pays_nothing() {
        let mut budget = budget(0, 1);
        assert_eq!(taken(&mut budget, 0, 100), 10);
        assert_eq!(taken(&mut budget, -5_000, 100), 0);
        assert_eq!(taken(&mut budget, -4_000, 100), 1);
    }
}
