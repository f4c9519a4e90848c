//! What waits for the writer thread.
//!
//! The writer takes everything at once: what gathered while it wrote is its next transaction. Appends and
//! opens are refused when too many wait; closes never are, because each was counted when its open was let
//! in.
//!
//! Nobody waits for a close, so it does not wake the writer: it rides with the next open, or is written
//! after [`CLOSE_LINGER`].

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::oneshot;

use crate::journal::Sequence;
use crate::journal::codec::Encoded;
use crate::journal::error::{AppendError, StorageError};
use crate::journal::leaf::act::Act;
use crate::journal::reservation::Reservation;
use crate::journal::room::Claim;
use crate::types::clock::Timestamp;

/// How long a close may wait for company.
const CLOSE_LINGER: Duration = Duration::from_millis(5);

/// One leaf on its way, and who wants to know.
#[derive(Debug)]
pub(super) enum Entry {
    /// A leaf that stands alone.
    Append {
        leaf: Encoded,
        claim: Claim,
        reply: Option<oneshot::Sender<Result<Sequence, AppendError>>>,
    },
    /// A leaf that another one will follow.
    Open {
        leaf: Encoded,
        claim: Claim,
        act: Box<Act>,
        reply: oneshot::Sender<Result<Reservation, AppendError>>,
    },
    /// The leaf that follows.
    Close {
        leaf: Encoded,
        claim: Claim,
        opened: Sequence,
        done: Option<oneshot::Sender<Sequence>>,
    },
}

impl Entry {
    /// The leaf itself.
    pub(super) fn leaf(&self) -> &Encoded {
        match self {
            Self::Append { leaf, .. } | Self::Open { leaf, .. } | Self::Close { leaf, .. } => leaf,
        }
    }
}

/// A wish to drop bodies that are safe elsewhere.
#[derive(Debug)]
pub(super) struct Prune {
    /// Leaves below this one are in the store.
    pub(super) shipped: Sequence,
    /// Bodies recorded before this moment may go.
    pub(super) before: Timestamp,
    /// Who wants to know.
    pub(super) reply: oneshot::Sender<Result<Pruned, StorageError>>,
}

/// What one round of pruning did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Bodies dropped.
    pub bodies: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether the round ended because it was long enough.
    pub more: bool,
}

/// Everything that gathered since the last look.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) entries: Vec<Entry>,
    pub(super) prunes: Vec<Prune>,
    /// Nothing more will come.
    pub(super) closing: bool,
}

#[derive(Debug, Default)]
struct State {
    gathered: Gathered,
    /// How many of the gathered entries are not closes.
    refusable: usize,
    /// Whether somebody waits for what gathered.
    urgent: bool,
    /// Whether the writer sleeps until it is woken, so that a close has to wake it.
    asleep: bool,
}

/// The queue before the writer thread.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    entries_max: usize,
}

impl Queue {
    /// A queue in which this many appends and opens may wait.
    pub(super) fn new(entries_max: usize) -> Self {
        Self {
            state: Mutex::default(),
            filled: Condvar::new(),
            entries_max,
        }
    }

    /// Queues an append or an open, if there is a place.
    pub(super) fn offer(&self, entry: Entry) -> Result<(), AppendError> {
        let mut state = self.state.lock();
        if state.gathered.closing {
            return Err(AppendError::Closed);
        }
        if state.refusable >= self.entries_max {
            return Err(AppendError::Busy {
                queued: state.refusable,
            });
        }
        state.refusable += 1;
        state.urgent = true;
        state.gathered.entries.push(entry);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Queues a close. After the end it is dropped: the next start writes it as interrupted.
    pub(super) fn push_close(&self, entry: Entry) {
        let is_awaited = matches!(entry, Entry::Close { done: Some(_), .. });
        let mut state = self.state.lock();
        if state.gathered.closing {
            return;
        }
        state.gathered.entries.push(entry);
        state.urgent |= is_awaited;
        let wakes = is_awaited || state.asleep;
        drop(state);
        if wakes {
            self.filled.notify_one();
        }
    }

    /// Queues a round of pruning.
    pub(super) fn push_prune(&self, prune: Prune) {
        let mut state = self.state.lock();
        if !state.gathered.closing {
            state.gathered.prunes.push(prune);
            state.urgent = true;
        }
        drop(state);
        self.filled.notify_one();
    }

    /// Lets nothing more in.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.gathered.closing = true;
        state.urgent = true;
        drop(state);
        self.filled.notify_one();
    }

    /// Lets nothing more in and forgets what waits, so that nobody waits for an answer in vain.
    pub(super) fn abandon(&self) {
        let forgotten = {
            let mut state = self.state.lock();
            state.gathered.closing = true;
            std::mem::take(&mut state.gathered.entries)
        };
        drop(forgotten);
    }

    /// Takes everything. Waits for something to come, but no longer than `patience` if there is one.
    pub(super) fn take(&self, patience: Option<Duration>) -> Gathered {
        let mut state = self.state.lock();
        if !state.urgent {
            self.wait_for(&mut state, patience.unwrap_or(CLOSE_LINGER));
            if patience.is_none() {
                self.sleep(&mut state);
            }
            // Whoever is about to ask as well may do so now: one commit serves all of them.
            MutexGuard::unlocked(&mut state, std::thread::yield_now);
        }
        state.refusable = 0;
        state.urgent = false;
        let closing = state.gathered.closing;
        std::mem::replace(
            &mut state.gathered,
            Gathered {
                closing,
                ..Gathered::default()
            },
        )
    }

    /// Waits until somebody waits for the writer, but no longer than this.
    fn wait_for(&self, state: &mut MutexGuard<'_, State>, span: Duration) {
        let deadline = Instant::now() + span;
        while !state.urgent && !self.filled.wait_until(state, deadline).timed_out() {}
    }

    /// Waits until there is anything at all.
    fn sleep(&self, state: &mut MutexGuard<'_, State>) {
        state.asleep = true;
        while !state.urgent && state.gathered.entries.is_empty() {
            self.filled.wait(state);
        }
        state.asleep = false;
    }
}
