//! What waits for the writer thread.
//!
//! The writer takes everything at once: what gathered while it wrote is its next transaction. Appends and
//! opens are refused when too many wait; closes never are, because each was counted when its open was let
//! in.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::journal::Sequence;
use crate::journal::codec::Encoded;
use crate::journal::error::{AppendError, StorageError};
use crate::journal::leaf::act::Act;
use crate::journal::reservation::Reservation;
use crate::journal::room::Claim;
use crate::types::clock::Timestamp;

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
        state.gathered.entries.push(entry);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Queues a close. After the end it is dropped: the next start writes it as interrupted.
    pub(super) fn push_close(&self, entry: Entry) {
        let mut state = self.state.lock();
        if state.gathered.closing {
            return;
        }
        state.gathered.entries.push(entry);
        drop(state);
        self.filled.notify_one();
    }

    /// Queues a round of pruning.
    pub(super) fn push_prune(&self, prune: Prune) {
        let mut state = self.state.lock();
        if !state.gathered.closing {
            state.gathered.prunes.push(prune);
        }
        drop(state);
        self.filled.notify_one();
    }

    /// Lets nothing more in.
    pub(super) fn close(&self) {
        self.state.lock().gathered.closing = true;
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

    /// Takes everything, waiting for something to come, but no longer than `patience` if there is one.
    pub(super) fn take(&self, patience: Option<Duration>) -> Gathered {
        let mut state = self.state.lock();
        let is_empty = |state: &State| {
            let gathered = &state.gathered;
            gathered.entries.is_empty() && gathered.prunes.is_empty() && !gathered.closing
        };
        while is_empty(&state) {
            match patience {
                None => self.filled.wait(&mut state),
                Some(span) => {
                    if self.filled.wait_for(&mut state, span).timed_out() {
                        break;
                    }
                }
            }
        }
        state.refusable = 0;
        let closing = state.gathered.closing;
        std::mem::replace(
            &mut state.gathered,
            Gathered {
                closing,
                ..Gathered::default()
            },
        )
    }
}
