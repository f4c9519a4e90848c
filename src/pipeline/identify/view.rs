//! The newest snapshot of who may ask, and how old it may be by now.
//!
//! One loop asks the store for the identity revision every [`POLL_INTERVAL`], and whenever the store announces a
//! change, and loads the rows only when it has risen. The age counts from the moment before the last poll that succeeded: up to then the snapshot was
//! certainly the newest.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use crate::pipeline::identify::snapshot::Snapshot;
use crate::store::{Store, StoreError};
use crate::types::clock::{Clock, Timestamp};

/// How often the store is asked. With the time of a load, a revocation is honoured within two seconds.
pub const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// A view younger than this counts as the newest: what it does not hold does not exist.
pub const FRESH: Duration = Duration::from_secs(2);

/// How long one refresh may take.
pub const REFRESH_DEADLINE: Duration = Duration::from_secs(5);

/// How many refreshes a second unknown credentials may cause, whoever sends them.
pub const SEEKS_PER_SECOND: u32 = 10;

const ONE_SECOND: Duration = Duration::from_secs(1);

/// The newest snapshot and its age.
pub struct IdentityView {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    max_staleness: Duration,
    snapshot: ArcSwap<Snapshot>,
    /// Up to this moment, in microseconds since 1970, the snapshot was certainly the newest.
    newest_until: AtomicI64,
    polls: tokio::sync::Mutex<()>,
    polls_begun: AtomicU64,
    /// The number of the last poll that succeeded.
    polls_succeeded: AtomicU64,
    /// Whether the store's tables are of another version than ours.
    estranged: AtomicBool,
    seeks: Mutex<Seeks>,
    changed: Notify,
}

/// How many refreshes unknown credentials caused in the second that began at `since`.
struct Seeks {
    since: Timestamp,
    count: u32,
}

/// How the search for an unknown credential ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sought {
    /// The view is as new as the search: judge again.
    Refreshed,
    /// Too many searches at present, but the view is fresh enough to say that the credential is unknown.
    FreshAlready,
    /// The store did not answer, or too many searches at present: nobody can say.
    Unreachable,
}

/// Why the view could not be refreshed.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The store failed.
    #[error("identities could not be read")]
    Store(#[from] StoreError),
    /// The store did not answer in time.
    #[error("identities could not be read within {} s", REFRESH_DEADLINE.as_secs())]
    Deadline,
}

impl IdentityView {
    /// Loads the view for the first time. It serves until its age exceeds `max_staleness`.
    pub async fn load(
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
        max_staleness: Duration,
    ) -> Result<Self, RefreshError> {
        let now = clock.now();
        let view = Self {
            store,
            clock,
            max_staleness,
            snapshot: ArcSwap::from_pointee(Snapshot::default()),
            newest_until: AtomicI64::new(i64::MIN),
            polls: tokio::sync::Mutex::new(()),
            polls_begun: AtomicU64::new(0),
            polls_succeeded: AtomicU64::new(0),
            estranged: AtomicBool::new(false),
            seeks: Mutex::new(Seeks { since: now, count: 0 }),
            changed: Notify::new(),
        };
        view.refresh().await?;
        Ok(view)
    }

    /// The newest snapshot.
    pub fn snapshot(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// How old the view may be at most.
    pub fn age(&self, now: Timestamp) -> Duration {
        // If the clock was set back, the age counts from its new time: never negative, never frozen at zero.
        let newest_until = match self.newest_until.load(Ordering::Acquire) {
            ahead if ahead > now.unix_micros() => {
                self.newest_until.fetch_min(now.unix_micros(), Ordering::AcqRel);
                now.unix_micros()
            }
            past => past,
        };
        now.since(Timestamp::from_unix_micros(newest_until))
    }

    /// Whether the view is young enough to answer from.
    pub fn serves(&self, now: Timestamp) -> bool {
        self.age(now) <= self.max_staleness
    }

    /// Whether the view is young enough to answer from and can become younger: it cannot where the store's
    /// tables were changed to another version.
    pub fn is_sound(&self, now: Timestamp) -> bool {
        self.serves(now) && !self.estranged.load(Ordering::Acquire)
    }

    /// Asks the store for the revision, and for the rows if it has risen. One poll at a time: who waited for a
    /// poll that began after its own call takes that poll's result.
    pub async fn refresh(&self) -> Result<(), RefreshError> {
        let begun_before = self.polls_begun.load(Ordering::Acquire);
        timeout(REFRESH_DEADLINE, async {
            let _turn = self.polls.lock().await;
            if self.polls_succeeded.load(Ordering::Acquire) > begun_before {
                return Ok(());
            }
            let number = self.polls_begun.fetch_add(1, Ordering::AcqRel) + 1;
            let polled = self.poll().await;
            let estranged =
                matches!(&polled, Err(RefreshError::Store(error)) if error.is_of_another_version());
            self.estranged.store(estranged, Ordering::Release);
            polled?;
            self.polls_succeeded.store(number, Ordering::Release);
            Ok(())
        })
        .await
        .map_err(|_| RefreshError::Deadline)?
    }

    async fn poll(&self) -> Result<(), RefreshError> {
        let asked = self.clock.now();
        if self.store.identity_revision().await? != self.snapshot.load().revision() {
            let rows = self.store.identity().await?;
            self.snapshot.store(Arc::new(Snapshot::build(rows)));
        }
        self.newest_until.store(asked.unix_micros(), Ordering::Release);
        Ok(())
    }

    /// Refreshes on behalf of an unknown credential, [`SEEKS_PER_SECOND`] times a second at most.
    pub async fn seek(&self, now: Timestamp) -> Sought {
        if self.may_seek(now) {
            return match self.refresh().await {
                Ok(()) => Sought::Refreshed,
                // However fresh the view is: another replica may have made the key since.
                Err(_) => Sought::Unreachable,
            };
        }
        if self.age(now) < FRESH {
            Sought::FreshAlready
        } else {
            Sought::Unreachable
        }
    }

    fn may_seek(&self, now: Timestamp) -> bool {
        let mut seeks = self.seeks.lock();
        if now.since(seeks.since) >= ONE_SECOND || now < seeks.since {
            *seeks = Seeks { since: now, count: 0 };
        }
        let allowed = seeks.count < SEEKS_PER_SECOND;
        if allowed {
            seeks.count += 1;
        }
        allowed
    }

    /// Makes the loop refresh now, after a change made in this process.
    pub fn notify(&self) {
        self.changed.notify_one();
    }

    /// Keeps the view fresh until the shutdown resolves.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) {
        tokio::select! {
            () = self.keep_fresh(shutdown) => {}
            () = self.hear_changes() => {}
        }
    }

    /// Passes on what the store announces.
    async fn hear_changes(&self) {
        let mut watch = self.store.watch_identity();
        loop {
            watch.changed().await;
            self.notify();
        }
    }

    async fn keep_fresh(&self, shutdown: impl Future<Output = ()>) {
        let mut ticks = interval_at(Instant::now() + POLL_INTERVAL, POLL_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reachable = true;
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => return,
                () = self.changed.notified() => {}
                _ = ticks.tick() => {}
            }
            let outcome = tokio::select! {
                () = &mut shutdown => return,
                outcome = self.refresh() => outcome,
            };
            match outcome {
                Ok(()) if !reachable => tracing::info!("identities are being read again"),
                Err(ref error) if reachable => tracing::warn!(
                    error = error as &dyn std::error::Error,
                    serves_for_s = self.max_staleness.as_secs(),
                    "identities cannot be read; the last view serves on"
                ),
                Ok(()) | Err(_) => {}
            }
            reachable = outcome.is_ok();
        }
    }
}
