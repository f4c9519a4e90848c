//! The circuit breaker of one upstream: a state machine that is told the time.
//!
//! Closed, it counts good and bad ends over a sliding window and opens when enough of them were bad.
//! Open, it lets nothing through until its time is over. Half open, it lets one probe through at a
//! time: a good one closes it, a bad one opens it again for twice as long.

use std::time::Duration;

use crate::types::clock::Timestamp;

/// Parts of the window; what is older than the window leaves it part by part.
const PARTS: usize = 10;

/// When to ask again while a probe is out, which may be answered at any moment.
const PROBE_WAIT: Duration = Duration::from_secs(1);

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Bad ends within the window that open it, if they are also enough of all.
    pub failures: u32,
    /// The share of bad ends within the window that opens it, in percent.
    pub failure_percent: u32,
    /// The window.
    pub window: Duration,
    /// How long it is open at first.
    pub open_for: Duration,
    /// The longest that doubling leads to.
    pub open_for_max: Duration,
}

/// How an exchange ended, as far as it tells about the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It answered, if only that the request is wrong.
    Good,
    /// It could not be reached, did not answer in time, or failed itself.
    Bad,
    /// Nothing was learned: the client left.
    Unknown,
}

/// What a breaker shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Everything passes.
    Closed,
    /// A probe may pass.
    HalfOpen,
    /// Nothing passes.
    Open,
}

/// What came of a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The breaker opened.
    Opened,
    /// The breaker closed after it had been open.
    Closed,
}

/// The right to send one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leave {
    /// The probe that it is, counted over the breaker's life; none for an ordinary request.
    probe: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Part {
    index: u64,
    good: u32,
    bad: u32,
}

#[derive(Debug)]
enum State {
    Closed,
    Open {
        since: Timestamp,
        span: Duration,
    },
    HalfOpen {
        /// How long it was open before.
        span: Duration,
        /// The probe that is out.
        probe: Option<u64>,
    },
}

/// One breaker.
#[derive(Debug)]
pub struct Breaker {
    settings: Settings,
    state: State,
    parts: [Part; PARTS],
    probes: u64,
}

impl Breaker {
    /// A closed breaker that has seen nothing.
    pub const fn new(settings: Settings) -> Self {
        let nothing = Part {
            index: 0,
            good: 0,
            bad: 0,
        };
        Self {
            settings,
            state: State::Closed,
            parts: [nothing; PARTS],
            probes: 0,
        }
    }

    /// Takes other settings from now on.
    pub const fn set(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// How long nothing will pass; none when a request may pass now.
    pub fn closed_to_requests(&self, now: Timestamp) -> Option<Duration> {
        match &self.state {
            State::Closed | State::HalfOpen { probe: None, .. } => None,
            State::Open { since, span } => left(*since, *span, now),
            State::HalfOpen { .. } => Some(PROBE_WAIT),
        }
    }

    /// Lets a request through, or says how long nothing will pass.
    ///
    /// # Errors
    /// The time after which to ask again.
    pub fn ask(&mut self, now: Timestamp) -> Result<Leave, Duration> {
        if let Some(wait) = self.closed_to_requests(now) {
            return Err(wait);
        }
        let span = match self.state {
            State::Closed => return Ok(Leave { probe: None }),
            State::Open { span, .. } | State::HalfOpen { span, .. } => span,
        };
        self.probes = self.probes.wrapping_add(1);
        let probe = Some(self.probes);
        self.state = State::HalfOpen { span, probe };
        Ok(Leave { probe })
    }

    /// Learns how a request ended that was let through.
    pub fn settle(&mut self, leave: Leave, verdict: Verdict, now: Timestamp) -> Option<Change> {
        match (&mut self.state, verdict) {
            (State::Closed, Verdict::Unknown) => None,
            (State::Closed, _) => self.note(verdict, now).then(|| {
                self.state = State::Open {
                    since: now,
                    span: self.settings.open_for,
                };
                Change::Opened
            }),
            // A straggler from before tells nothing that the breaker does not know.
            (State::Open { .. }, _) => None,
            (State::HalfOpen { probe, .. }, _) if leave.probe.is_none() || *probe != leave.probe => None,
            (State::HalfOpen { probe, .. }, Verdict::Unknown) => {
                *probe = None;
                None
            }
            (State::HalfOpen { .. }, Verdict::Good) => {
                *self = Self {
                    probes: self.probes,
                    ..Self::new(self.settings)
                };
                Some(Change::Closed)
            }
            (State::HalfOpen { span, .. }, Verdict::Bad) => {
                let span = span.saturating_mul(2).min(self.settings.open_for_max);
                self.state = State::Open { since: now, span };
                Some(Change::Opened)
            }
        }
    }

    /// What it shows at this moment.
    pub fn shown(&self, now: Timestamp) -> Shown {
        match &self.state {
            State::Closed => Shown::Closed,
            State::Open { since, span } if left(*since, *span, now).is_some() => Shown::Open,
            State::Open { .. } | State::HalfOpen { .. } => Shown::HalfOpen,
        }
    }

    /// Counts an end; whether it is now time to open.
    fn note(&mut self, verdict: Verdict, now: Timestamp) -> bool {
        let part_micros = (self.settings.window.as_micros() / PARTS as u128).max(1);
        let index = u64::try_from(u128::from(now.unix_millis()) * 1_000 / part_micros).unwrap_or(u64::MAX);
        let place = usize::try_from(index).unwrap_or(usize::MAX) % PARTS;
        if let Some(part) = self.parts.get_mut(place) {
            if part.index != index {
                *part = Part {
                    index,
                    ..Part::default()
                };
            }
            let count = match verdict {
                Verdict::Bad => &mut part.bad,
                Verdict::Good | Verdict::Unknown => &mut part.good,
            };
            *count = count.saturating_add(1);
        }
        // A part from after this moment was counted before the clock was set back.
        let recent = |part: &&Part| part.index <= index && index - part.index < PARTS as u64;
        let (good, bad) = self
            .parts
            .iter()
            .filter(recent)
            .fold((0u64, 0u64), |(good, bad), part| {
                (good + u64::from(part.good), bad + u64::from(part.bad))
            });
        bad >= u64::from(self.settings.failures)
            && bad * 100 >= (good + bad) * u64::from(self.settings.failure_percent)
    }
}

/// What is left of a span; none when it is over, also when the clock was set back behind its start.
pub(super) fn left(since: Timestamp, span: Duration, now: Timestamp) -> Option<Duration> {
    if now < since {
        return None;
    }
    span.checked_sub(now.since(since)).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings = Settings {
        failures: 3,
        failure_percent: 50,
        window: Duration::from_secs(10),
        open_for: Duration::from_secs(5),
        open_for_max: Duration::from_secs(15),
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_micros((1_000_000 + seconds) * 1_000_000)
    }

    fn end(breaker: &mut Breaker, verdict: Verdict, seconds: i64) -> Option<Change> {
        let leave = breaker.ask(at(seconds)).expect("it lets the request through");
        breaker.settle(leave, verdict, at(seconds))
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::new(SETTINGS);
        assert_eq!(end(&mut breaker, Verdict::Bad, 0), None);
        assert_eq!(end(&mut breaker, Verdict::Bad, 0), None);
        assert_eq!(end(&mut breaker, Verdict::Bad, 1), Some(Change::Opened));
        breaker
    }

    #[test]
    fn opens_after_enough_failures_and_says_for_how_long() {
        let mut breaker = opened();
        assert_eq!(breaker.shown(at(1)), Shown::Open);
        assert_eq!(breaker.ask(at(2)), Err(Duration::from_secs(4)));
        assert_eq!(breaker.shown(at(6)), Shown::HalfOpen);
        assert!(breaker.ask(at(6)).is_ok());
    }

    #[test]
    fn stays_closed_while_most_is_well() {
        let mut breaker = Breaker::new(SETTINGS);
        for _ in 0..20 {
            assert_eq!(end(&mut breaker, Verdict::Good, 0), None);
            assert_eq!(end(&mut breaker, Verdict::Good, 0), None);
            assert_eq!(end(&mut breaker, Verdict::Bad, 0), None);
        }
        assert_eq!(breaker.shown(at(0)), Shown::Closed);
    }

    #[test]
    fn forgets_what_lies_before_the_window() {
        let mut breaker = Breaker::new(SETTINGS);
        for seconds in [0, 6, 12, 18, 24] {
            assert_eq!(end(&mut breaker, Verdict::Bad, seconds), None, "{seconds}");
        }
        assert_eq!(end(&mut breaker, Verdict::Bad, 25), Some(Change::Opened));
    }

    #[test]
    fn lets_one_probe_through_at_a_time() {
        let mut breaker = opened();
        let probe = breaker.ask(at(6)).unwrap();
        assert_eq!(breaker.ask(at(6)), Err(PROBE_WAIT), "one probe at a time");
        assert_eq!(breaker.settle(probe, Verdict::Good, at(7)), Some(Change::Closed));
        assert_eq!(breaker.shown(at(7)), Shown::Closed);
        assert_eq!(
            end(&mut breaker, Verdict::Bad, 7),
            None,
            "old failures are forgotten"
        );
    }

    #[test]
    fn a_bad_probe_doubles_the_time_up_to_its_bound() {
        let mut breaker = opened();
        for (seconds, then) in [(6, 10), (16, 15), (31, 15)] {
            assert_eq!(
                end(&mut breaker, Verdict::Bad, seconds),
                Some(Change::Opened),
                "{seconds}"
            );
            assert_eq!(breaker.ask(at(seconds)), Err(Duration::from_secs(then)));
        }
    }

    #[test]
    fn a_probe_whose_client_left_makes_way_for_another() {
        let mut breaker = opened();
        let probe = breaker.ask(at(6)).unwrap();
        assert_eq!(breaker.settle(probe, Verdict::Unknown, at(6)), None);
        let next = breaker.ask(at(6)).unwrap();
        assert_eq!(
            breaker.settle(probe, Verdict::Good, at(6)),
            None,
            "the first one is over"
        );
        assert_eq!(breaker.settle(next, Verdict::Good, at(6)), Some(Change::Closed));
    }

    #[test]
    fn stragglers_from_before_tell_nothing() {
        let mut breaker = Breaker::new(SETTINGS);
        let straggler = breaker.ask(at(0)).unwrap();
        for _ in 0..3 {
            end(&mut breaker, Verdict::Bad, 0);
        }
        assert_eq!(breaker.settle(straggler, Verdict::Good, at(1)), None);
        assert_eq!(breaker.shown(at(1)), Shown::Open);
        let _probe = breaker.ask(at(5)).unwrap();
        assert_eq!(breaker.settle(straggler, Verdict::Bad, at(5)), None);
        assert_eq!(breaker.shown(at(5)), Shown::HalfOpen);
    }

    #[test]
    fn a_clock_that_is_set_back_closes_nobody_out() {
        let mut breaker = opened();
        assert!(breaker.ask(at(-3_600)).is_ok());
    }
}
