//! The one writer of a journal: a thread that takes what gathered and commits it at once.
//!
//! It never waits while there is work. Answers are given after the commit; then, if the log has grown, it
//! is moved into the file. When the disk fails, appends and opens are refused with the reason, and closes
//! are kept in memory and tried again before anything else is written.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::journal::Sequence;
use crate::journal::error::{AppendError, StorageError};
use crate::journal::queue::{Entry, Gathered, Prune, Pruned};
#[cfg(any(test, feature = "test-support"))]
use crate::journal::reservation::CLOSE_BYTES_MAX;
use crate::journal::reservation::Reservation;
use crate::journal::shared::Shared;
use crate::journal::table::{Mark, Table};

/// How long to wait before closes that the disk refused are tried again.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// How many leaves may follow before the mark of settled requests is moved.
const LEAVES_PER_MARK: u64 = 4_096;

/// How large the log may grow before it is moved into the file, in pages.
const LOG_PAGES_MAX: u64 = 2_000;

/// What one page of the log holds, roughly, and what every commit adds to it.
const BYTES_PER_PAGE: u64 = 3_500;
const PAGES_PER_COMMIT: u64 = 2;

/// How many bodies one round of pruning may drop, so that appends do not wait for long.
const PRUNED_PER_ROUND: u64 = 512;

/// The writer's own state.
#[derive(Debug)]
pub(super) struct Writer {
    table: Table,
    shared: Arc<Shared>,
    /// The place of the next leaf.
    next: u64,
    /// The sum of all body bytes, pruned ones included.
    total: u64,
    /// Places of opens without a close.
    open: BTreeSet<u64>,
    /// Closes that the disk refused.
    retained: Vec<Entry>,
    /// About how many pages of the log are not in the file yet.
    log_pages: u64,
    /// Leaves since the mark of settled requests was moved.
    unmarked: u64,
    /// Entries that were answered before they were written, where that fault is switched on.
    #[cfg(any(test, feature = "test-support"))]
    acknowledged: Option<Vec<Entry>>,
}

/// An entry whose caller has been told that it is written. An open becomes a plain append, because its
/// reservation is out already.
#[cfg(any(test, feature = "test-support"))]
fn answered_early(shared: &Arc<Shared>, place: Sequence, entry: Entry) -> Entry {
    match entry {
        Entry::Append {
            leaf,
            claim,
            reply: Some(reply),
        } => {
            let _ = reply.send(Ok(place));
            Entry::Append {
                leaf,
                claim,
                reply: None,
            }
        }
        Entry::Open {
            leaf,
            claim,
            act,
            reply,
        } => {
            let room = shared.room.claim(CLOSE_BYTES_MAX);
            let _ = reply.send(room.map(|room| Reservation::new(Arc::clone(shared), place, act, room)));
            Entry::Append {
                leaf,
                claim,
                reply: None,
            }
        }
        other => other,
    }
}

/// Lets nobody wait for a writer that is gone, whatever ended it.
struct Farewell(Arc<Shared>);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.queue.abandon();
    }
}

impl Writer {
    /// The writer of a file that holds `next` leaves with `total` bytes and no open request.
    pub(super) fn new(table: Table, shared: Arc<Shared>, next: u64, total: u64) -> Self {
        Self {
            table,
            shared,
            next,
            total,
            open: BTreeSet::new(),
            retained: Vec::new(),
            log_pages: 0,
            unmarked: 0,
            #[cfg(any(test, feature = "test-support"))]
            acknowledged: None,
        }
    }

    /// The same writer, with the fault of answering before writing where `wanted`.
    #[cfg(any(test, feature = "test-support"))]
    pub(super) fn acknowledging_early(self, wanted: bool) -> Self {
        Self {
            acknowledged: wanted.then(Vec::new),
            ..self
        }
    }

    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let farewell = Farewell(Arc::clone(&self.shared));
        loop {
            let patience = (!self.retained.is_empty()).then_some(RETRY_AFTER);
            let gathered = self.shared.queue.take(patience);
            let closing = gathered.closing;
            self.work(gathered);
            if closing {
                break;
            }
        }
        self.finish();
        drop(farewell);
    }

    fn work(&mut self, gathered: Gathered) {
        #[cfg(any(test, feature = "test-support"))]
        self.limit_pages();
        self.retry();
        self.write(gathered.entries);
        for prune in gathered.prunes {
            let pruned = self.prune(&prune);
            let _ = prune.reply.send(pruned);
        }
        self.move_log();
    }

    /// Writes the closes that the disk refused before.
    fn retry(&mut self) {
        if self.retained.is_empty() {
            return;
        }
        let retained = std::mem::take(&mut self.retained);
        match self.commit(&retained) {
            Ok(first) => self.answer(first, retained),
            Err(error) => self.refuse(retained, &error),
        }
    }

    fn write(&mut self, entries: Vec<Entry>) {
        #[cfg(any(test, feature = "test-support"))]
        let entries = self.acknowledge_early(entries);
        if entries.is_empty() {
            return;
        }
        match self.commit(&entries) {
            Ok(first) => self.answer(first, entries),
            Err(error) => self.refuse(entries, &error),
        }
    }

    /// Stores all entries or none. Gives the place of the first.
    fn commit(&mut self, entries: &[Entry]) -> Result<u64, StorageError> {
        let first = self.next;
        let (mut seq, mut total) = (self.next, self.total);
        let stored = self.table.begin().and_then(|()| {
            for entry in entries {
                total = total.saturating_add(entry.leaf().bytes());
                self.table.insert(seq, total, entry.leaf())?;
                seq = seq.saturating_add(1);
            }
            if self.unmarked >= LEAVES_PER_MARK {
                self.table.set_mark(Mark::Settled, self.settled())?;
            }
            self.table.commit()
        });
        if let Err(error) = stored {
            self.table.roll_back();
            return Err(StorageError::of("write")(error));
        }
        if self.unmarked >= LEAVES_PER_MARK {
            self.unmarked = 0;
        }
        self.unmarked = self.unmarked.saturating_add(seq - first);
        self.log_pages = self
            .log_pages
            .saturating_add(PAGES_PER_COMMIT)
            .saturating_add((total - self.total) / BYTES_PER_PAGE);
        (self.next, self.total) = (seq, total);
        Ok(first)
    }

    /// Tells everybody where their leaf stands. A reservation that nobody waits for any more is dropped
    /// here, which closes it as abandoned.
    fn answer(&mut self, first: u64, entries: Vec<Entry>) {
        if self.shared.failing.swap(false, Ordering::Relaxed) {
            tracing::info!("the journal can be written again");
        }
        // Before the answers: whoever has one may look at the state.
        self.count_retained();
        self.shared.stored.send_replace(self.next);
        for (place, entry) in (first..).zip(entries) {
            let sequence = Sequence(place);
            let bytes = entry.leaf().bytes();
            match entry {
                Entry::Append { mut claim, reply, .. } => {
                    claim.settle(bytes);
                    if let Some(reply) = reply {
                        let _ = reply.send(Ok(sequence));
                    }
                }
                Entry::Open {
                    mut claim,
                    act,
                    reply,
                    ..
                } => {
                    claim.settle(bytes);
                    self.open.insert(place);
                    let shared = Arc::clone(&self.shared);
                    let _ = reply.send(Ok(Reservation::new(shared, sequence, act, claim)));
                }
                Entry::Close {
                    mut claim,
                    opened,
                    done,
                    ..
                } => {
                    claim.settle(bytes);
                    drop(claim);
                    self.open.remove(&opened.0);
                    if let Some(done) = done {
                        let _ = done.send(sequence);
                    }
                }
            }
        }
    }

    /// Gives the reason to whoever can be refused, and keeps the closes.
    fn refuse(&mut self, entries: Vec<Entry>, error: &StorageError) {
        if !self.shared.failing.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, source = %error.source, "the journal cannot be written");
        }
        let is_close = |entry: &Entry| matches!(entry, Entry::Close { .. });
        let (closes, refusable): (Vec<_>, Vec<_>) = entries.into_iter().partition(is_close);
        self.retained.extend(closes);
        self.count_retained();
        for entry in refusable {
            let refusal = AppendError::Storage(error.clone());
            match entry {
                Entry::Append { claim, reply, .. } => {
                    drop(claim);
                    if let Some(reply) = reply {
                        let _ = reply.send(Err(refusal));
                    }
                }
                Entry::Open { claim, reply, .. } => {
                    drop(claim);
                    let _ = reply.send(Err(refusal));
                }
                Entry::Close { .. } => {}
            }
        }
    }

    fn count_retained(&self) {
        let count = u64::try_from(self.retained.len()).unwrap_or(u64::MAX);
        self.shared.closes_unwritten.store(count, Ordering::Relaxed);
    }

    /// Below this place, every open has its close.
    fn settled(&self) -> u64 {
        self.open.first().copied().unwrap_or(self.next)
    }

    /// Drops bodies that are shipped and either old or, where room is scarce, of any age.
    fn prune(&mut self, wish: &Prune) -> Result<Pruned, StorageError> {
        let failed = StorageError::of("prune");
        let first = self.table.mark(Mark::Pruned).map_err(&failed)?;
        // The body of an open whose close is missing is what the next start would close it from.
        let end = wish.shipped.0.min(self.settled());
        let rows = self.table.sizes(first, end, PRUNED_PER_ROUND).map_err(&failed)?;
        let scarce = self.shared.status().is_scarce();
        let Some(last) = rows
            .iter()
            .take_while(|row| scarce || row.at < wish.before)
            .last()
        else {
            return Ok(Pruned::default());
        };
        let bytes = last.total - self.table.total_below(first).map_err(&failed)?;
        let end = last.seq.saturating_add(1);
        let settled = self.settled();
        let stored = self.table.begin().and_then(|()| {
            self.table.drop_bodies(first, end)?;
            self.table.set_mark(Mark::Pruned, end)?;
            self.table.set_mark(Mark::Settled, settled)?;
            self.table.commit()
        });
        if let Err(error) = stored {
            self.table.roll_back();
            return Err(failed(error));
        }
        self.shared.room.release(bytes);
        self.log_pages = self.log_pages.saturating_add(end - first);
        Ok(Pruned {
            bodies: end - first,
            bytes,
            more: end - first == PRUNED_PER_ROUND,
        })
    }

    /// Moves the log into the file once it is large. A failure is no loss: the log itself is durable.
    fn move_log(&mut self) {
        if self.log_pages < LOG_PAGES_MAX {
            return;
        }
        match self.table.checkpoint() {
            Ok(left) => self.log_pages = left,
            Err(error) => {
                tracing::warn!(%error, "the journal's log could not be moved into its file");
                self.log_pages = 0;
            }
        }
    }

    /// The last words: everything that waits, and marks that spare the next start its search.
    fn finish(&mut self) {
        #[cfg(any(test, feature = "test-support"))]
        if let Some(held) = self.acknowledged.take() {
            self.write(held);
        }
        self.retry();
        if !self.retained.is_empty() {
            tracing::error!(
                closes = self.retained.len(),
                "closes could not be written before the end"
            );
        }
        let settled = self.settled();
        let marked = self.table.set_mark(Mark::Settled, settled);
        if let Err(error) = marked.and_then(|()| self.table.checkpoint()) {
            tracing::warn!(%error, "the journal was not tidied at its end");
        }
    }

    /// The fault switch of crash tests: answers at once, and writes only when the next entries come.
    #[cfg(any(test, feature = "test-support"))]
    fn acknowledge_early(&mut self, mut entries: Vec<Entry>) -> Vec<Entry> {
        let Some(held) = self.acknowledged.as_mut() else {
            return entries;
        };
        if entries.is_empty() {
            return entries;
        }
        std::mem::swap(held, &mut entries);
        let places = self
            .next
            .saturating_add(u64::try_from(entries.len()).unwrap_or(0))..;
        let early: Vec<Entry> = places
            .zip(held.drain(..))
            .map(|(place, entry)| answered_early(&self.shared, Sequence(place), entry))
            .collect();
        *held = early;
        entries
    }

    /// The fault switch of full disks.
    #[cfg(any(test, feature = "test-support"))]
    fn limit_pages(&self) {
        let pages = self.shared.pages_max.swap(0, Ordering::Relaxed);
        if pages != 0
            && let Err(error) = self.table.limit_pages(pages)
        {
            tracing::error!(%error, "the page limit could not be set");
        }
    }
}
