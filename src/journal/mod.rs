//! The journal: what happened on this node, written before anything else is done about it.
//!
//! Input: leaves, that is decisions and outcomes. Output: their places, once they are durable, and later
//! their bytes, for the shipper. The journal is the truth; the store is a view of it.
//!
//! Invariants:
//! - A request that was let in has its open leaf on disk, and room for its close that nothing else takes.
//! - Leaves are stored as the bytes that were hashed, and never changed; only a body that is safe elsewhere
//!   may go, and its hash stays.
//! - One thread of one process writes; a lock on the directory keeps every other process out.
//! - A place in a history is filled once: where the file does not hold all that the store knows, a new
//!   epoch begins.
//! - The journal never asks the store for anything, and decides nothing about requests.
//!
//! - [`leaf`]: what leaves say. [`codec`]: leaves as bytes. [`origin`]: histories and their continuity.
//! - `start`: lock, open, mend. `queue`, `writer`: from callers to disk. `room`: the size limit.
//! - [`reservation`]: the place of a close. `reader`: for the shipper. `table`: the SQL.
//! - The Merkle tree of RFC 6962 over the leaf hashes, its signed checkpoints and its proofs belong here, in
//!   `tree`, `checkpoint` and `proof`; the leaf hashes that they need are stored from the first leaf on.

pub mod codec;
pub mod error;
#[cfg(test)]
pub(crate) mod fixture;
pub mod leaf;
pub mod origin;
mod queue;
mod reader;
pub mod reservation;
mod room;
mod shared;
mod start;
mod table;
#[cfg(test)]
mod tests;
mod writer;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
#[cfg(any(test, feature = "test-support"))]
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::{oneshot, watch};

use self::codec::{BODY_BYTES_MAX, Encoded};
use self::error::{AppendError, OpenError, StorageError};
use self::leaf::LeafKind;
use self::leaf::admin::Admin;
use self::leaf::denial::Denial;
use self::leaf::epoch::EpochReason;
use self::leaf::open::Open;
use self::origin::{NodeIdentity, Origin, StoreKnows};
use self::queue::{Entry, Prune};
use self::reader::Reader;
use self::reservation::{CLOSE_BYTES_MAX, Reservation};
use self::shared::Shared;
use self::writer::Writer;
use crate::types::clock::Timestamp;
use crate::types::digest::Sha256;
use crate::types::ids::RequestId;

pub use self::queue::Pruned;
pub use self::reader::StoredLeaf;
pub use self::shared::Sources;
pub use self::start::EpochSpan;

/// How many appends and opens may wait for the writer, where the settings name no other number.
pub const QUEUE_MAX: usize = 4_096;

/// How a journal is kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where its files lie; nothing else should.
    pub directory: PathBuf,
    /// How many bytes of bodies it may hold, closes to come included. Hashes do not count.
    pub max_bytes: u64,
    /// When a leaf counts as written.
    pub durability: Durability,
    /// How many appends and opens may wait before more are refused: [`QUEUE_MAX`].
    pub queue_max: usize,
    /// Answers before writing: the negative control of crash tests.
    #[cfg(any(test, feature = "test-support"))]
    pub acknowledge_early: bool,
}

impl Settings {
    /// A journal in this directory, of this size, durable.
    pub fn new(directory: impl Into<PathBuf>, max_bytes: u64) -> Self {
        Self {
            directory: directory.into(),
            max_bytes,
            durability: Durability::Journal,
            queue_max: QUEUE_MAX,
            #[cfg(any(test, feature = "test-support"))]
            acknowledge_early: false,
        }
    }
}

/// When a leaf counts as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When the disk has it: it survives a power cut.
    Journal,
    /// When the operating system has it: it survives the end of the process only.
    Relaxed,
}

/// The place of a leaf in one journal file, from 0, across its epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

/// What opening found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The history that goes on.
    pub origin: Origin,
    /// Why it begins now, if it does.
    pub begun: Option<EpochReason>,
    /// Requests that the last process left open, closed now as interrupted.
    pub interrupted: u64,
    /// Leaves in the file.
    pub leaves: u64,
}

/// How a journal fares, for metrics and health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Leaves in the file.
    pub leaves: u64,
    /// Bytes of bodies stored, on their way, or reserved.
    pub claimed_bytes: u64,
    /// The limit of `claimed_bytes`.
    pub max_bytes: u64,
    /// Requests that are open.
    pub reservations: u64,
    /// Closes that the disk has refused so far.
    pub closes_unwritten: u64,
    /// Whether the last attempt to write failed.
    pub failing: bool,
}

impl Status {
    /// Whether three quarters of the room are taken: bodies that are shipped should go, whatever their age.
    pub const fn is_scarce(&self) -> bool {
        self.claimed_bytes > self.max_bytes - self.max_bytes / 4
    }
}

/// The journal of this node. Dropping it writes what waits and joins the writer.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    reader: Reader,
    epochs: Arc<[EpochSpan]>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Held for as long as the writer lives.
    _lock: File,
}

impl Journal {
    /// Opens the journal of a directory, makes it if there is none, and closes what a crash left open.
    ///
    /// It blocks: it is meant for the start of the process.
    pub fn open(
        settings: &Settings,
        identity: &NodeIdentity,
        store: &StoreKnows,
        sources: Sources,
    ) -> Result<(Self, Recovery), OpenError> {
        let started = start::start(settings, identity, store, sources)?;
        let reader = Reader::open(&settings.directory.join(start::FILE_NAME))?;
        let writer = Writer::new(
            started.table,
            Arc::clone(&started.shared),
            started.next,
            started.total,
        );
        #[cfg(any(test, feature = "test-support"))]
        let writer = writer.acknowledging_early(settings.acknowledge_early);
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || writer.run())
            .map_err(OpenError::Thread)?;
        let journal = Self {
            shared: started.shared,
            reader,
            epochs: started.epochs.into(),
            writer: Mutex::new(Some(thread)),
            _lock: started.lock,
        };
        Ok((journal, started.recovery))
    }

    /// Records a request that was answered without being forwarded, and waits until that is durable.
    pub async fn append_denial(&self, denial: &Denial) -> Result<Sequence, AppendError> {
        let request = Some(denial.facts.act.request);
        self.append(LeafKind::Denial, request, denial).await
    }

    /// Records an administrative change, and waits until that is durable.
    pub async fn append_admin(&self, admin: &Admin) -> Result<Sequence, AppendError> {
        self.append(LeafKind::Admin, admin.request, admin).await
    }

    /// Records that a request was allowed, and waits until that is durable. Accepted only with room for its
    /// close, which the reservation holds.
    ///
    /// When the caller stops waiting, the request may have been opened: it is then closed as abandoned.
    pub async fn open_request(&self, open: &Open) -> Result<Reservation, AppendError> {
        let act = &open.facts.act;
        let leaf = self.stamp(LeafKind::Open, Some(act.request), open)?;
        let claim = self
            .shared
            .room
            .claim(leaf.bytes().saturating_add(CLOSE_BYTES_MAX))?;
        let (reply, answer) = oneshot::channel();
        self.shared.queue.offer(Entry::Open {
            leaf,
            claim,
            act: Box::new(act.clone()),
            reply,
        })?;
        answer.await.unwrap_or(Err(AppendError::Closed))
    }

    async fn append<T: Serialize>(
        &self,
        kind: LeafKind,
        request: Option<RequestId>,
        body: &T,
    ) -> Result<Sequence, AppendError> {
        let leaf = self.stamp(kind, request, body)?;
        let claim = self.shared.room.claim(leaf.bytes())?;
        let (reply, answer) = oneshot::channel();
        self.shared.queue.offer(Entry::Append {
            leaf,
            claim,
            reply: Some(reply),
        })?;
        answer.await.unwrap_or(Err(AppendError::Closed))
    }

    fn stamp<T: Serialize>(
        &self,
        kind: LeafKind,
        request: Option<RequestId>,
        body: &T,
    ) -> Result<Encoded, AppendError> {
        let stamped = self.shared.stamp(kind, request, body);
        let leaf = stamped.map_err(|error| AppendError::Encode(Arc::new(error)))?;
        if leaf.bytes() > BODY_BYTES_MAX {
            return Err(AppendError::TooLarge {
                bytes: leaf.bytes(),
                max: BODY_BYTES_MAX,
            });
        }
        Ok(leaf)
    }

    /// The histories in this file, oldest first. They do not change while it is open.
    pub fn epochs(&self) -> &[EpochSpan] {
        &self.epochs
    }

    /// How many leaves are durable; changes with every commit.
    pub fn stored(&self) -> watch::Receiver<u64> {
        self.shared.stored.subscribe()
    }

    /// Leaves from `first` on, at most `rows_max`, and none more once their bodies reach `bytes_max`.
    pub async fn read_from(
        &self,
        first: Sequence,
        rows_max: u64,
        bytes_max: usize,
    ) -> Result<Vec<StoredLeaf>, StorageError> {
        self.reader.leaves(first, rows_max, bytes_max).await
    }

    /// The hash of one leaf; none where there is no such leaf.
    pub async fn hash_at(&self, place: Sequence) -> Result<Option<Sha256>, StorageError> {
        self.reader.hash_at(place).await
    }

    /// Drops a round of bodies below `shipped` that were recorded before `before`; of any age, while room
    /// is scarce. Their hashes stay.
    pub async fn prune(&self, shipped: Sequence, before: Timestamp) -> Result<Pruned, AppendError> {
        let (reply, answer) = oneshot::channel();
        self.shared.queue.push_prune(Prune {
            shipped,
            before,
            reply,
        });
        let pruned = answer.await.map_err(|_| AppendError::Closed)?;
        Ok(pruned?)
    }

    /// Resolves when the writer thread has come round: it lives and is not stuck.
    ///
    /// # Errors
    /// It is gone, or the disk fails.
    pub async fn answers(&self) -> Result<(), AppendError> {
        // A round of pruning below the first leaf drops nothing.
        self.prune(Sequence(0), Timestamp::from_unix_micros(0))
            .await
            .map(|_| ())
    }

    /// Lets the file have this many pages and no more (never fewer than it has): a full disk without a disk.
    #[cfg(any(test, feature = "test-support"))]
    pub fn limit_pages(&self, pages: u32) {
        self.shared.pages_max.store(pages, Ordering::Relaxed);
    }

    /// How the journal fares.
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// Lets nothing more in, writes what waits, and waits for the writer to end. Reading goes on.
    ///
    /// Requests that are still open stay so until the next start, which closes them as interrupted.
    pub async fn close(&self) {
        self.shared.queue.close();
        let Some(writer) = self.writer.lock().take() else {
            return;
        };
        let joined = tokio::task::spawn_blocking(move || join(writer)).await;
        if let Err(error) = joined {
            tracing::error!(%error, "the journal's writer could not be awaited");
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.queue.close();
        if let Some(writer) = self.writer.get_mut().take() {
            join(writer);
        }
    }
}

fn join(writer: JoinHandle<()>) {
    if writer.join().is_err() {
        tracing::error!("the journal's writer thread panicked");
    }
}
