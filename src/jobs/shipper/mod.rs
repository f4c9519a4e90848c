//! The shipper: brings the journal's leaves into the store, in order, batch by batch.
//!
//! Input: what the journal holds. Output: rows in the store, and a cursor that moved with them. A request
//! never waits for it, but where `ledger.durability` is `store`: then it waits for its [`Progress`]. While the
//! store is down it tries again, ever more seldom; the journal keeps all. Afterwards it lets the journal drop
//! bodies that are in the store.
//!
//! - `rows`: leaves as rows, `audit` those of the audit, `column` what stands in them. `place`: where to go on.

mod audit;
mod column;
mod place;
mod rows;
#[cfg(test)]
mod tests;
mod used;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use self::place::Place;
use self::rows::Rows;
use crate::journal::error::StorageError;
use crate::journal::{Journal, Sequence, StoredLeaf};
use crate::store::ledger::Batch;
use crate::store::{Store, StoreError};
use crate::types::clock::{Clock, Timestamp};

pub use self::place::store_knows;

/// How long one exchange with the store may take.
const STORE_DEADLINE: Duration = Duration::from_secs(30);

/// The longest rest between two batches.
const REST_MAX: Duration = Duration::from_millis(100);

/// How many rounds of pruning may follow one another, so that shipping goes on.
const PRUNE_ROUNDS_MAX: usize = 64;

/// How the shipper works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long bodies stay in the journal after they were shipped, room permitting.
    pub keep: Duration,
    /// How long leaves gather before they are shipped together.
    pub linger: Duration,
    /// How often to look when nothing was announced.
    pub interval: Duration,
    /// How long to wait after a failure; doubled with each.
    pub backoff: Duration,
    /// The most that waiting grows to.
    pub backoff_max: Duration,
    /// How long shipping the rest may take at the end.
    pub flush_within: Duration,
    /// How often to look for bodies that may go.
    pub prune_every: Duration,
    /// As long as fewer leaves than these wait, batches are small and the shipper rests after each for as
    /// long as it took: requests have the processor first. Beyond, catching up comes first.
    pub steady_below: u64,
    /// How many leaves make a small batch.
    pub steady_rows: u64,
    /// How many leaves make a batch where there is much to catch up with.
    pub batch_rows: u64,
    /// How many bytes of bodies make a batch.
    pub batch_bytes: usize,
}

impl Settings {
    /// The usual pace, keeping bodies this long.
    pub const fn keeping(keep: Duration) -> Self {
        Self {
            keep,
            linger: Duration::from_millis(200),
            interval: Duration::from_secs(5),
            backoff: Duration::from_millis(250),
            backoff_max: Duration::from_secs(15),
            flush_within: Duration::from_secs(5),
            prune_every: Duration::from_secs(60),
            steady_below: 5_000,
            steady_rows: 64,
            batch_rows: 500,
            batch_bytes: 1024 * 1024,
        }
    }

    /// The pace where requests wait for it: leaves gather while a batch is on its way and no longer, and a
    /// store that is back is soon found.
    pub const fn awaited(keep: Duration) -> Self {
        Self {
            linger: Duration::ZERO,
            steady_below: 0,
            backoff_max: Duration::from_secs(1),
            ..Self::keeping(keep)
        }
    }
}

/// How far the store is behind, for metrics and health.
#[derive(Debug)]
pub struct Progress {
    shipped: watch::Sender<u64>,
    failing: watch::Sender<bool>,
    last_at: AtomicI64,
    failures: AtomicU64,
}

impl Progress {
    /// All leaves below this place are in the store.
    pub fn shipped(&self) -> Sequence {
        Sequence(*self.shipped.borrow())
    }

    /// The same, to wait for.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.shipped.subscribe()
    }

    /// Whether the last attempt failed, to wait for.
    pub fn watch_failing(&self) -> watch::Receiver<bool> {
        self.failing.subscribe()
    }

    /// When the last batch arrived; none before the first.
    pub fn last_shipped_at(&self) -> Option<Timestamp> {
        let micros = self.last_at.load(Ordering::Relaxed);
        (micros != 0).then_some(Timestamp::from_unix_micros(micros))
    }

    /// How many attempts have failed since the last that did not.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}

/// Whether there is time to rest between batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Haste {
    Steady,
    /// The process ends.
    Last,
}

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Read(#[from] StorageError),
    #[error("the store did not answer in time")]
    Deadline,
}

/// Brings one journal into one store.
pub struct Shipper {
    journal: Arc<Journal>,
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    progress: Arc<Progress>,
}

impl Shipper {
    /// A shipper of this journal into this store.
    pub fn new(journal: Arc<Journal>, store: Arc<Store>, clock: Arc<dyn Clock>, settings: Settings) -> Self {
        let progress = Progress {
            shipped: watch::Sender::new(0),
            failing: watch::Sender::new(false),
            last_at: AtomicI64::new(0),
            failures: AtomicU64::new(0),
        };
        Self {
            journal,
            store,
            clock,
            settings,
            progress: Arc::new(progress),
        }
    }

    /// How far it is; lives on after the shipper.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// How many leaves wait to be shipped.
    pub fn unshipped(&self) -> u64 {
        let stored = self.journal.status().leaves;
        stored.saturating_sub(self.progress.shipped().0)
    }

    /// Ships until `stopped` resolves.
    pub async fn run(&self, stopped: impl Future<Output = ()>) {
        let mut stopped = pin!(stopped);
        tokio::select! {
            () = &mut stopped => {}
            () = self.ship_for_ever() => {}
        }
    }

    /// Ships what is left, within a deadline: for the end, when the journal takes nothing more.
    pub async fn finish(&self) {
        // What was cut off in the middle comes again; the store takes it once.
        let mut place = None;
        match timeout(self.settings.flush_within, self.ship(&mut place, Haste::Last)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, unshipped = self.unshipped(), "leaves wait for the next start");
            }
            Err(_) => tracing::warn!(unshipped = self.unshipped(), "leaves wait for the next start"),
        }
    }

    async fn ship_for_ever(&self) {
        let mut stored = self.journal.stored();
        let mut place = None;
        let mut backoff = self.settings.backoff;
        let mut pruned_at = None;
        loop {
            stored.borrow_and_update();
            match self.ship(&mut place, Haste::Steady).await {
                Ok(()) => {
                    backoff = self.settings.backoff;
                    self.set_failing(false);
                    self.prune(&mut pruned_at).await;
                }
                Err(error) => {
                    self.note_failure(&error);
                    // The store may be another one, or an older copy, when it comes back.
                    place = None;
                    sleep(backoff).await;
                    backoff = backoff.saturating_mul(2).min(self.settings.backoff_max);
                    continue;
                }
            }
            // The journal outlives this borrow, so a closed channel is as quiet as an idle one.
            let _ = timeout(self.settings.interval, stored.changed()).await;
            if !self.settings.linger.is_zero() {
                sleep(self.settings.linger).await;
            }
        }
    }

    /// Ships everything that the journal holds now.
    async fn ship(&self, place: &mut Option<Place>, haste: Haste) -> Result<(), Failure> {
        let mut at = match *place {
            Some(at) => at,
            None => within_deadline(Place::find(&self.journal, &self.store)).await?,
        };
        loop {
            at = within_deadline(at.onward(&self.journal, &self.store)).await?;
            *place = Some(at);
            self.progress.shipped.send_replace(at.next);
            let is_steady = haste == Haste::Steady && self.unshipped() < self.settings.steady_below;
            let rows = if is_steady {
                self.settings.steady_rows
            } else {
                self.settings.batch_rows
            };
            let bytes = self.settings.batch_bytes;
            let mut leaves = self.journal.read_from(Sequence(at.next), rows, bytes).await?;
            let span = self.journal.epochs().get(at.epoch);
            if let Some(end) = span.and_then(|span| span.end) {
                leaves.retain(|leaf| leaf.sequence.0 < end);
            }
            let (Some(span), Some(last)) = (span, leaves.last()) else {
                return Ok(());
            };
            let (now, began) = (self.clock.now(), Instant::now());
            let cursor = place::cursor(span, last.sequence, last.hash, now);
            let mut batch = batch_of(&leaves);
            batch.cursor = at.moves_cursor.then_some(cursor);
            let applied = timeout(STORE_DEADLINE, self.store.apply_ledger(&batch)).await;
            applied.map_err(|_| Failure::Deadline)??;
            at.next = last.sequence.0.saturating_add(1);
            *place = Some(at);
            self.note_success(at.next, now);
            if is_steady && self.unshipped() > 0 {
                sleep(began.elapsed().min(REST_MAX)).await;
            }
        }
    }

    fn note_success(&self, shipped: u64, now: Timestamp) {
        self.progress.shipped.send_replace(shipped);
        self.progress.last_at.store(now.unix_micros(), Ordering::Relaxed);
        if self.progress.failures.swap(0, Ordering::Relaxed) > 0 {
            tracing::info!(unshipped = self.unshipped(), "the store takes leaves again");
        }
    }

    fn set_failing(&self, failing: bool) {
        self.progress
            .failing
            .send_if_modified(|was| std::mem::replace(was, failing) != failing);
    }

    fn note_failure(&self, error: &Failure) {
        self.set_failing(true);
        if self.progress.failures.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::error!(
                error = error as &dyn std::error::Error,
                unshipped = self.unshipped(),
                "the store does not take leaves; the journal keeps them"
            );
        }
    }

    /// Lets the journal drop what is shipped and old: now and then, and always while room is scarce.
    async fn prune(&self, pruned_at: &mut Option<Timestamp>) {
        let now = self.clock.now();
        let status = self.journal.status();
        let due = pruned_at.is_none_or(|at| now.since(at) >= self.settings.prune_every);
        if !due && !status.is_scarce() {
            return;
        }
        *pruned_at = Some(now);
        let before = now.before(self.settings.keep);
        for _ in 0..PRUNE_ROUNDS_MAX {
            match self.journal.prune(self.progress.shipped(), before).await {
                Ok(pruned) if pruned.more => {}
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "bodies could not be pruned"
                    );
                    return;
                }
            }
        }
    }
}

async fn within_deadline<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    timeout(STORE_DEADLINE, work)
        .await
        .map_err(|_| Failure::Deadline)?
}

/// The rows of these leaves. Bodies that were pruned are in the store already.
fn batch_of(leaves: &[StoredLeaf]) -> Batch {
    let mut rows = Rows::default();
    for leaf in leaves {
        if let Some(body) = &leaf.body {
            rows.add(leaf.at, leaf.hash, body);
        }
    }
    rows.into_batch()
}
