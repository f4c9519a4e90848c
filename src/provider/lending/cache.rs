//! Credentials that end, kept and renewed: one fetch for all who wait, and the next one while the old is still good.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::provider::authorize::{Authorizer, Lease, Unauthorized};
use crate::types::clock::{Clock, Timestamp};
use crate::types::digest::Sha256;

/// A fetch that takes longer has failed.
const FETCH_MAX: Duration = Duration::from_secs(20);

/// How long a request waits for a fetch.
const WAIT_MAX: Duration = Duration::from_secs(15);

/// How long before its end a credential is renewed, at most. Metadata services have a new one five minutes before,
/// Google's four.
const AHEAD_MAX: Duration = Duration::from_secs(225);

/// A credential that ends so soon is not used any more: the request has to arrive, and clocks differ.
const SPARE_MAX: Duration = Duration::from_secs(10);

/// How long a first failure is remembered; each further one doubles it.
const REST: Duration = Duration::from_secs(1);

/// The longest that a failure is remembered.
const REST_MAX: Duration = Duration::from_secs(60);

/// What a source lends.
#[derive(Debug)]
pub struct Lent {
    /// What authorises requests.
    pub lease: Arc<dyn Lease>,
    /// When it ends.
    pub ends: Timestamp,
}

/// Where credentials are fetched.
#[async_trait]
pub trait Source: fmt::Debug + Send + Sync + 'static {
    /// Fetches one. What this calls is bounded in time.
    ///
    /// # Errors
    /// [`Unauthorized`] says which party did not lend, and what to do.
    async fn fetch(&self) -> Result<Lent, Unauthorized>;

    /// Where it connects to.
    fn endpoints(&self) -> Vec<String>;
}

/// The credentials of one upstream; a clone is the same ones.
#[derive(Clone)]
pub struct Leases(Arc<Owner>);

struct Owner {
    shared: Arc<Shared>,
    /// The fetch that is running; at most one. It ends with this owner.
    running: Mutex<JoinSet<()>>,
}

struct Shared {
    source: Box<dyn Source>,
    clock: Arc<dyn Clock>,
    state: watch::Sender<State>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    failed: Option<Failed>,
    fetching: bool,
}

/// A credential, and until when it is what.
#[derive(Clone)]
struct Held {
    lease: Arc<dyn Lease>,
    renew: Timestamp,
    spent: Timestamp,
}

/// The last fetch failed.
struct Failed {
    error: Unauthorized,
    /// How many have failed in a row.
    times: u32,
    /// Until when nobody tries again.
    rests_until: Timestamp,
}

/// What the state means for a request.
enum Advice {
    /// Use this.
    Good(Arc<dyn Lease>),
    /// Use this, and have another fetched.
    Renew(Arc<dyn Lease>),
    /// There is none, and it is no use to try.
    None(Unauthorized),
    /// Have one fetched and wait for it.
    Wait,
}

impl State {
    fn advice(&self, now: Timestamp) -> Advice {
        let rests = self.failed.as_ref().filter(|failed| now < failed.rests_until);
        match (self.held.as_ref().filter(|held| now < held.spent), rests) {
            (Some(held), rests) if now < held.renew || rests.is_some() || self.fetching => {
                Advice::Good(Arc::clone(&held.lease))
            }
            (Some(held), _) => Advice::Renew(Arc::clone(&held.lease)),
            (None, Some(failed)) if !self.fetching => Advice::None(failed.error.clone()),
            (None, _) => Advice::Wait,
        }
    }

    /// Begins a fetch, if there is something to fetch and nobody does.
    fn begin(&mut self, now: Timestamp) -> bool {
        let wanted = !self.fetching && matches!(self.advice(now), Advice::Renew(_) | Advice::Wait);
        self.fetching |= wanted;
        wanted
    }

    fn settle(&mut self, fetched: Result<Lent, Unauthorized>, now: Timestamp) {
        match fetched {
            Ok(lent) => {
                let lasts = lent.ends.since(now);
                self.held = Some(Held {
                    lease: lent.lease,
                    renew: lent.ends.before(AHEAD_MAX.min(lasts / 4)),
                    spent: lent.ends.before(SPARE_MAX.min(lasts / 20)),
                });
                self.failed = None;
            }
            Err(error) => {
                let times = self
                    .failed
                    .as_ref()
                    .map_or(1, |failed| failed.times.saturating_add(1));
                let rest = REST.saturating_mul(1 << (times - 1).min(10)).min(REST_MAX);
                self.failed = Some(Failed {
                    error,
                    times,
                    rests_until: now.plus(rest),
                });
            }
        }
    }
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Leases").field(&self.0.shared.source).finish()
    }
}

impl Leases {
    /// The credentials that this source lends; nothing is fetched before the first request.
    pub fn new(source: impl Source, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Owner {
            shared: Arc::new(Shared {
                source: Box::new(source),
                clock,
                state: watch::Sender::default(),
            }),
            running: Mutex::default(),
        }))
    }

    fn fetch(&self, now: Timestamp) {
        if self.0.shared.state.send_if_modified(|state| state.begin(now)) {
            let mut running = self.0.running.lock();
            while running.try_join_next().is_some() {}
            running.spawn(Arc::clone(&self.0.shared).fetch());
        }
    }

    /// What the running fetch brings.
    async fn wait(&self) -> Result<Arc<dyn Lease>, Unauthorized> {
        let mut changes = self.0.shared.state.subscribe();
        let settled = tokio::time::timeout(WAIT_MAX, changes.wait_for(|state| !state.fetching)).await;
        let late = || Unauthorized("the credential is still being fetched: try again".to_owned());
        let state = settled.map_err(|_| late())?.map_err(|_| late())?;
        match state.advice(self.0.shared.clock.now()) {
            Advice::Good(lease) | Advice::Renew(lease) => Ok(lease),
            Advice::None(error) => Err(error),
            Advice::Wait => Err(state
                .failed
                .as_ref()
                .map_or_else(late, |failed| failed.error.clone())),
        }
    }
}

#[async_trait]
impl Authorizer for Leases {
    async fn lease(&self) -> Result<Arc<dyn Lease>, Unauthorized> {
        let now = self.0.shared.clock.now();
        let advice = self.0.shared.state.borrow().advice(now);
        match advice {
            Advice::Good(lease) => Ok(lease),
            Advice::Renew(lease) => {
                self.fetch(now);
                Ok(lease)
            }
            Advice::None(error) => Err(error),
            Advice::Wait => {
                self.fetch(now);
                self.wait().await
            }
        }
    }

    fn endpoints(&self) -> Vec<String> {
        self.0.shared.source.endpoints()
    }
}

/// What is lent under the settings that this digest stands for, for as long as some configuration uses it.
#[derive(Clone, Default)]
pub struct Loans(Arc<Mutex<HashMap<Sha256, Weak<Owner>>>>);

impl fmt::Debug for Loans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Loans")
    }
}

impl Loans {
    /// The leases of these settings, which outlive a configuration that is exchanged for one with the same.
    pub(super) fn of(&self, settings: Sha256, source: impl Source, clock: &Arc<dyn Clock>) -> Leases {
        let mut loans = self.0.lock();
        if let Some(kept) = loans.get(&settings).and_then(Weak::upgrade) {
            return Leases(kept);
        }
        loans.retain(|_, kept| kept.strong_count() > 0);
        let leases = Leases::new(source, Arc::clone(clock));
        loans.insert(settings, Arc::downgrade(&leases.0));
        leases
    }
}

impl Shared {
    async fn fetch(self: Arc<Self>) {
        // Whatever becomes of this task, nobody waits for it in vain.
        let _ended = Ended(&self.state);
        let fetched = tokio::time::timeout(FETCH_MAX, self.source.fetch()).await;
        let too_slow = || Unauthorized(format!("no credential within {} s", FETCH_MAX.as_secs()));
        let now = self.clock.now();
        let fetched = fetched.unwrap_or_else(|_| Err(too_slow())).and_then(|lent| {
            let ended = || {
                let text = "the credential that was lent has ended already: check the clock of this machine";
                Unauthorized(text.to_owned())
            };
            if lent.ends > now { Ok(lent) } else { Err(ended()) }
        });
        let problem = fetched.as_ref().err().cloned();
        self.state.send_modify(|state| state.settle(fetched, now));
        if let Some(problem) = problem
            && let Some(held) = self.state.borrow().held.as_ref().filter(|held| now < held.spent)
        {
            // No request fails yet, so nobody else says it.
            tracing::warn!(error = %problem, good_until = %held.spent, "a lent credential could not be renewed");
        }
    }
}

/// Tells those who wait that the fetch is over.
struct Ended<'a>(&'a watch::Sender<State>);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|state| state.fetching = false);
    }
}

#[cfg(test)]
mod tests;
