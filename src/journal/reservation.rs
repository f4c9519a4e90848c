//! A request that was opened and must be closed.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::journal::Sequence;
use crate::journal::codec::Encoded;
use crate::journal::leaf::LeafKind;
use crate::journal::leaf::act::Act;
use crate::journal::leaf::close::{Close, Outcome};
use crate::journal::queue::Entry;
use crate::journal::room::Claim;
use crate::journal::shared::Shared;

/// How many bytes are reserved for every close; a longer one is trimmed to what fits.
pub const CLOSE_BYTES_MAX: u64 = 8 * 1024;

/// The place of a close: room in the journal that nothing else can take.
///
/// Dropped without [`Reservation::close`], it closes its request as [`Outcome::Abandoned`].
#[derive(Debug)]
pub struct Reservation {
    shared: Arc<Shared>,
    opened: Sequence,
    act: Box<Act>,
    claim: Option<Claim>,
}

impl Reservation {
    /// Only the writer makes one, after the open leaf is durable.
    pub(super) fn new(shared: Arc<Shared>, opened: Sequence, act: Box<Act>, claim: Claim) -> Self {
        shared.reservation_made();
        Self {
            shared,
            opened,
            act,
            claim: Some(claim),
        }
    }

    /// Where the open leaf stands.
    pub fn opened(&self) -> Sequence {
        self.opened
    }

    /// Who does what, as the open leaf says.
    pub fn act(&self) -> &Act {
        &self.act
    }

    /// A close of this request that says nothing yet but how it ended.
    pub fn ending(&self, outcome: Outcome) -> Close {
        Close::bare(self.act.as_ref().clone(), outcome)
    }

    /// Ends the request. Never waits and never fails: the room is there, and what a failing disk does not
    /// take is kept in memory and tried again.
    pub fn close(mut self, close: Close) {
        self.send(close, None);
    }

    /// Ends the request and waits until that is durable. `None` when the journal closed before.
    pub async fn close_durably(mut self, close: Close) -> Option<Sequence> {
        let (done, landed) = oneshot::channel();
        self.send(close, Some(done));
        landed.await.ok()
    }

    fn send(&mut self, mut close: Close, done: Option<oneshot::Sender<Sequence>>) {
        let Some(claim) = self.claim.take() else { return };
        self.shared.reservation_gone();
        // The close must name the request that was opened, whatever its maker put in.
        let bare = Act::of_request(self.act.request);
        close.act = std::mem::replace(&mut *self.act, bare);
        let Some(leaf) = self.fitting(&close) else { return };
        self.shared.queue.push_close(Entry::Close {
            leaf,
            claim,
            opened: self.opened,
            done,
        });
    }

    /// The leaf of this close, within the room that was reserved.
    fn fitting(&self, close: &Close) -> Option<Encoded> {
        let request = Some(self.act.request);
        let full = self.shared.stamp(LeafKind::Close, request, close);
        if let Ok(leaf) = full
            && leaf.bytes() <= CLOSE_BYTES_MAX
        {
            return Some(leaf);
        }
        let trimmed = self.shared.stamp(LeafKind::Close, request, &close.trimmed());
        trimmed
            .inspect_err(|error| tracing::error!(request = %self.act.request, %error, "a close was lost"))
            .ok()
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.claim.is_some() {
            let close = self.ending(Outcome::Abandoned);
            self.send(close, None);
        }
    }
}
