//! The size limit: every byte of a body is claimed before it is queued.
//!
//! Claimed bytes are those of stored bodies, of bodies on their way, and of closes yet to come. A claim
//! that is dropped gives its bytes back, so no path can leak room.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::journal::error::AppendError;

/// The room of one journal.
#[derive(Debug)]
pub(super) struct Room {
    max: u64,
    claimed: AtomicU64,
}

impl Room {
    /// Room of `max` bytes, of which `stored` are taken.
    pub(super) fn new(max: u64, stored: u64) -> Arc<Self> {
        Arc::new(Self {
            max,
            claimed: AtomicU64::new(stored),
        })
    }

    /// The limit.
    pub(super) fn max(&self) -> u64 {
        self.max
    }

    /// Bytes stored or claimed.
    pub(super) fn claimed(&self) -> u64 {
        self.claimed.load(Ordering::Relaxed)
    }

    /// Takes room for this many bytes, if there is as much.
    pub(super) fn claim(self: &Arc<Self>, bytes: u64) -> Result<Claim, AppendError> {
        let take = |claimed: u64| claimed.checked_add(bytes).filter(|sum| *sum <= self.max);
        self.claimed
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .map_err(|claimed| AppendError::Full {
                claimed,
                max: self.max,
                wanted: bytes,
            })?;
        Ok(Claim {
            room: Arc::clone(self),
            bytes,
        })
    }

    /// Takes room that was promised before this process began, whether there is as much or not.
    pub(super) fn force(&self, bytes: u64) {
        self.claimed.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Gives back the bytes of bodies that were pruned.
    pub(super) fn release(&self, bytes: u64) {
        self.claimed.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Bytes that nobody else can take.
#[derive(Debug)]
pub(super) struct Claim {
    room: Arc<Room>,
    bytes: u64,
}

impl Claim {
    /// Turns this many bytes into stored ones; the rest stays claimed.
    pub(super) fn settle(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.room.release(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_claims_return_and_settled_ones_stay() {
        let room = Room::new(100, 10);
        let mut open = room.claim(60).unwrap();
        assert!(matches!(
            room.claim(31),
            Err(AppendError::Full {
                claimed: 70,
                max: 100,
                wanted: 31
            })
        ));
        open.settle(20);
        drop(open);
        assert_eq!(room.claimed(), 30);
        let rest = room.claim(70).unwrap();
        assert_eq!(room.claimed(), 100);
        drop(rest);
        room.release(30);
        assert_eq!(room.claimed(), 0);
    }
}
