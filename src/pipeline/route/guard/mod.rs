//! What an upstream can bear: whether a request may be sent to it now, and if not, when.
//!
//! Input: the wish to send a request, and how requests ended. Output: a [`Ticket`], or a [`Skip`] that
//! says when to come back. Invariants: the state of an upstream lives as long as the process, by its
//! name, whatever configuration is in force; all of it is bounded; a ticket that is dropped leaves the
//! gate and tells the breaker that nothing was learned. Never: a look at the network.
//!
//! - `gate`: places and the queue for them. `breaker`: upstreams that fail. `rest`: upstreams that
//!   asked for rest. `budget`: how many retries an upstream takes.

pub mod breaker;
pub mod budget;
pub mod gate;
pub mod rest;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use self::breaker::{Breaker, Change, Leave, Shown, Verdict};
use self::budget::Budget;
use self::gate::{Entry, Gate, Pass};
use self::rest::{Cause, Rests};
use crate::types::clock::Clock;
use crate::types::ids::{ModelName, UpstreamName};

/// When to come back to a queue that had no place.
const FULL_RETRY_AFTER: Duration = Duration::from_secs(1);

/// What one upstream can bear.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Places, and places in the queue.
    pub gate: gate::Settings,
    /// How long a place is waited for.
    pub queue_timeout: Duration,
    /// When failures keep requests away.
    pub breaker: breaker::Settings,
    /// How many retries it takes.
    pub retries: budget::Settings,
    /// The longest rest that it may ask for.
    pub rest_max: Duration,
}

/// Why an upstream is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// It asked to be left alone.
    Resting {
        /// For how long still.
        wait: Duration,
        /// Why.
        cause: Cause,
    },
    /// It failed too often.
    Broken {
        /// For how long nothing passes.
        wait: Duration,
    },
    /// All places are taken, and those in the queue.
    QueueFull,
    /// No place became free in time.
    QueueTimeout,
    /// Too many requests come here as retries already.
    NoRetries,
}

impl Skip {
    /// When to come back.
    pub const fn retry_after(self) -> Duration {
        match self {
            Self::Resting { wait, .. } | Self::Broken { wait } => wait,
            Self::QueueFull | Self::QueueTimeout | Self::NoRetries => FULL_RETRY_AFTER,
        }
    }
}

/// Whether another upstream was tried for the same request before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// None was.
    First,
    /// One was, and it failed: this attempt adds to the load of all.
    Retry,
}

/// What an upstream shows at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Its breaker.
    pub breaker: Shown,
    /// Requests at it.
    pub inside: usize,
    /// Requests that wait for a place.
    pub waiting: usize,
}

struct State {
    settings: Settings,
    breaker: Breaker,
    budget: Budget,
    rests: Rests,
}

/// The guard of one upstream.
pub struct Guard {
    name: UpstreamName,
    clock: Arc<dyn Clock>,
    gate: Arc<Gate>,
    state: Mutex<State>,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guard({})", self.name)
    }
}

impl Guard {
    fn new(name: UpstreamName, settings: Settings, clock: Arc<dyn Clock>) -> Self {
        let state = State {
            settings,
            breaker: Breaker::new(settings.breaker),
            budget: Budget::new(settings.retries, clock.now()),
            rests: Rests::default(),
        };
        Self {
            name,
            clock,
            gate: Gate::new(settings.gate),
            state: Mutex::new(state),
        }
    }

    fn set(&self, settings: Settings) {
        {
            let mut state = self.state.lock();
            state.settings = settings;
            state.breaker.set(settings.breaker);
            state.budget.set(settings.retries);
        }
        self.gate.set(settings.gate);
    }

    /// Asks to send a request for a model; waits for a place, within the queue's bounds.
    ///
    /// # Errors
    /// [`Skip`]: another upstream may be asked.
    pub async fn enter(self: &Arc<Self>, model: &ModelName, attempt: Attempt) -> Result<Ticket, Skip> {
        let patience = self.look(model)?;
        let pass = match self.gate.enter() {
            Entry::In(pass) => pass,
            Entry::Full => return Err(Skip::QueueFull),
            Entry::Wait(turn) => match tokio::time::timeout(patience, turn.come()).await {
                Ok(Some(pass)) => pass,
                Ok(None) | Err(_) => return Err(Skip::QueueTimeout),
            },
        };
        let leave = self.leave(model, attempt)?;
        Ok(Ticket {
            guard: Arc::clone(self),
            leave: Some(leave),
            _pass: pass,
        })
    }

    /// Nobody queues for an upstream that would not be asked; says how long to queue.
    fn look(&self, model: &ModelName) -> Result<Duration, Skip> {
        let now = self.clock.now();
        let state = self.state.lock();
        if let Some((wait, cause)) = state.rests.of(model, now) {
            return Err(Skip::Resting { wait, cause });
        }
        match state.breaker.closed_to_requests(now) {
            Some(wait) => Err(Skip::Broken { wait }),
            None => Ok(state.settings.queue_timeout),
        }
    }

    fn leave(&self, model: &ModelName, attempt: Attempt) -> Result<Leave, Skip> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        // It may have changed while this request waited.
        if let Some((wait, cause)) = state.rests.of(model, now) {
            return Err(Skip::Resting { wait, cause });
        }
        if let Some(wait) = state.breaker.closed_to_requests(now) {
            return Err(Skip::Broken { wait });
        }
        match attempt {
            Attempt::First => state.budget.first_attempt(),
            Attempt::Retry if state.budget.retry(now) => {}
            Attempt::Retry => return Err(Skip::NoRetries),
        }
        state.breaker.ask(now).map_err(|wait| Skip::Broken { wait })
    }

    fn settle(&self, leave: Leave, verdict: Verdict) -> Option<Change> {
        let now = self.clock.now();
        let change = self.state.lock().breaker.settle(leave, verdict, now);
        match change {
            Some(Change::Opened) => {
                tracing::warn!(upstream = %self.name, "upstream fails: no requests are sent to it for a while");
            }
            Some(Change::Closed) => tracing::info!(upstream = %self.name, "upstream answers again"),
            None => {}
        }
        change
    }

    /// What it is told that the upstream can bear.
    pub fn settings(&self) -> Settings {
        self.state.lock().settings
    }

    /// Requests that are at the upstream, or wait for a place there.
    pub fn load(&self) -> usize {
        let (inside, waiting) = self.gate.counts();
        inside + waiting
    }

    /// What it shows at this moment.
    pub fn reading(&self) -> Reading {
        let (inside, waiting) = self.gate.counts();
        Reading {
            breaker: self.state.lock().breaker.shown(self.clock.now()),
            inside,
            waiting,
        }
    }

    /// Lets a model rest, because the upstream asked for it (`retry-after`).
    pub fn rest(&self, model: &ModelName, cause: Cause, retry_after: &str) {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let Some(asked) = rest::retry_after(retry_after, now) else {
            return;
        };
        let span = asked.min(state.settings.rest_max);
        state.rests.begin(model, cause, span, now);
    }
}

/// The right to send one request to an upstream, and its place there until it is dropped.
#[derive(Debug)]
pub struct Ticket {
    guard: Arc<Guard>,
    leave: Option<Leave>,
    _pass: Pass,
}

impl Ticket {
    /// Says how the upstream did; only the first word counts. Whether that opened its breaker.
    pub fn settle(&mut self, verdict: Verdict) -> bool {
        let leave = self.leave.take();
        let change = leave.and_then(|leave| self.guard.settle(leave, verdict));
        change == Some(Change::Opened)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.settle(Verdict::Unknown);
    }
}

/// The guards of all upstreams that any configuration has named since the start.
pub struct Guards {
    clock: Arc<dyn Clock>,
    known: Mutex<HashMap<UpstreamName, Arc<Guard>>>,
}

impl Guards {
    /// No guards yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            known: Mutex::default(),
        }
    }

    /// The guard of this upstream, as it is; one that was not known yet begins with these settings.
    pub fn of(&self, name: &UpstreamName, settings: Settings) -> Arc<Guard> {
        let mut known = self.known.lock();
        if let Some(guard) = known.get(name) {
            return Arc::clone(guard);
        }
        let guard = Arc::new(Guard::new(name.clone(), settings, Arc::clone(&self.clock)));
        known.insert(name.clone(), Arc::clone(&guard));
        guard
    }

    /// Gives a known upstream these settings from now on.
    pub fn set(&self, name: &UpstreamName, settings: Settings) {
        let guard = self.known.lock().get(name).map(Arc::clone);
        if let Some(guard) = guard {
            guard.set(settings);
        }
    }

    /// Every upstream with what it shows at this moment.
    pub fn readings(&self) -> Vec<(UpstreamName, Reading)> {
        let known = self.known.lock();
        known
            .iter()
            .map(|(name, guard)| (name.clone(), guard.reading()))
            .collect()
    }
}

#[cfg(test)]
mod tests;
