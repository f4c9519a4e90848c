//! What the callers' side and the writer thread have in common.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde::Serialize;
use tokio::sync::watch;

use crate::journal::Status;
use crate::journal::codec::{self, CodecError, Encoded};
use crate::journal::leaf::LeafKind;
use crate::journal::queue::Queue;
use crate::journal::room::Room;
use crate::types::clock::Clock;
use crate::types::entropy::Entropy;
use crate::types::ids::{LeafId, RequestId};

/// Time and randomness, as the journal takes them.
#[derive(Clone)]
pub struct Sources {
    /// The time of leaves.
    pub clock: Arc<dyn Clock>,
    /// The ids of leaves.
    pub entropy: Arc<dyn Entropy>,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sources")
    }
}

/// The state of one journal that more than one thread sees.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) queue: Queue,
    pub(super) room: Arc<Room>,
    /// How many leaves are stored; readers wait for it to grow.
    pub(super) stored: watch::Sender<u64>,
    /// Whether the last attempt to write failed.
    pub(super) failing: AtomicBool,
    /// Closes that the disk has not taken yet.
    pub(super) closes_unwritten: AtomicU64,
    reservations: AtomicU64,
    sources: Sources,
    /// Pages that the file may have from now on; 0 for no change. A full disk without a disk.
    #[cfg(any(test, feature = "test-support"))]
    pub(super) pages_max: std::sync::atomic::AtomicU32,
}

impl Shared {
    /// The common state of a journal that holds `stored` leaves.
    pub(super) fn new(entries_max: usize, room: Arc<Room>, stored: u64, sources: Sources) -> Arc<Self> {
        Arc::new(Self {
            queue: Queue::new(entries_max),
            room,
            stored: watch::Sender::new(stored),
            failing: AtomicBool::new(false),
            closes_unwritten: AtomicU64::new(0),
            reservations: AtomicU64::new(0),
            sources,
            #[cfg(any(test, feature = "test-support"))]
            pages_max: std::sync::atomic::AtomicU32::new(0),
        })
    }

    /// The bytes of a leaf, recorded now under a new id.
    pub(super) fn stamp<T: Serialize>(
        &self,
        kind: LeafKind,
        request: Option<RequestId>,
        body: &T,
    ) -> Result<Encoded, CodecError> {
        let at = self.sources.clock.now();
        let id = LeafId::generate(at, self.sources.entropy.as_ref());
        codec::encode_as(kind, request, body, id, at)
    }

    /// How the journal fares.
    pub(super) fn status(&self) -> Status {
        Status {
            leaves: *self.stored.borrow(),
            claimed_bytes: self.room.claimed(),
            max_bytes: self.room.max(),
            reservations: self.reservations.load(Ordering::Relaxed),
            closes_unwritten: self.closes_unwritten.load(Ordering::Relaxed),
            failing: self.failing.load(Ordering::Relaxed),
        }
    }

    pub(super) fn reservation_made(&self) {
        self.reservations.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn reservation_gone(&self) {
        self.reservations.fetch_sub(1, Ordering::Relaxed);
    }
}
