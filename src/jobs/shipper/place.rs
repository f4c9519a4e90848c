//! Where shipping goes on: decided by what the store holds, never by what this process remembers.

use crate::jobs::shipper::Failure;
use crate::journal::origin::{Head, NodeIdentity, StoreKnows};
use crate::journal::{EpochSpan, Journal, Sequence};
use crate::store::ledger::Cursor;
use crate::store::{Store, StoreError};
use crate::types::clock::Timestamp;
use crate::types::digest::Sha256;

/// The next leaf to ship, and the history that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Which of the journal's epochs.
    pub(super) epoch: usize,
    /// The next leaf.
    pub(super) next: u64,
    /// Whether the store's cursor follows. It does not where the store knows another history under the
    /// same name: then the rows are brought all the same, and the cursor is left alone.
    pub(super) moves_cursor: bool,
}

impl Place {
    /// The first leaf that the store does not have.
    pub(super) async fn find(journal: &Journal, store: &Store) -> Result<Self, Failure> {
        Self::find_from(0, journal, store).await
    }

    /// The place where the next batch begins: this one, or one in a later epoch where this one is at its end.
    pub(super) async fn onward(self, journal: &Journal, store: &Store) -> Result<Self, Failure> {
        let span = journal.epochs().get(self.epoch);
        if span.is_some_and(|span| span.end == Some(self.next)) {
            return Self::find_from(self.epoch.saturating_add(1), journal, store).await;
        }
        Ok(self)
    }

    async fn find_from(epoch: usize, journal: &Journal, store: &Store) -> Result<Self, Failure> {
        let mut place = Self {
            epoch,
            next: 0,
            moves_cursor: true,
        };
        for (index, span) in journal.epochs().iter().enumerate().skip(epoch) {
            place = Self::within(index, span, journal, store).await?;
            if span.end != Some(place.next) {
                break;
            }
        }
        Ok(place)
    }

    async fn within(
        index: usize,
        span: &EpochSpan,
        journal: &Journal,
        store: &Store,
    ) -> Result<Self, Failure> {
        let from = |next, moves_cursor| Self {
            epoch: index,
            next,
            moves_cursor,
        };
        let Some(cursor) = store.ledger_cursor(&span.origin.to_string()).await? else {
            return Ok(from(span.first, true));
        };
        let size = u64::try_from(cursor.size).unwrap_or(0);
        let next = span.first.saturating_add(size);
        let last = Sequence(next.saturating_sub(1));
        let held = match span.end {
            Some(end) if next > end => None,
            _ => journal.hash_at(last).await?,
        };
        if held.is_some_and(|hash| hash.to_string() == cursor.leaf_hash) {
            return Ok(from(next, true));
        }
        tracing::error!(
            origin = %span.origin,
            size,
            "the store knows another history under this name; leaves are brought again from its beginning"
        );
        Ok(from(span.first, false))
    }
}

/// The cursor that stands after the leaf at `last`.
pub(super) fn cursor(span: &EpochSpan, last: Sequence, hash: Sha256, now: Timestamp) -> Cursor {
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    Cursor {
        origin: span.origin.to_string(),
        host: span.origin.identity.host().into(),
        node: span.origin.identity.node().into(),
        epoch: signed(span.origin.epoch),
        size: signed(last.0.saturating_sub(span.first).saturating_add(1)),
        leaf_hash: hash.to_string(),
        shipped_at: now.unix_micros(),
    }
}

/// What the store knows of a node, for opening its journal.
///
/// # Errors
/// The store failed, or holds what is no origin or digest; a caller that goes on without it opens the
/// journal with [`StoreKnows::Unreachable`].
pub async fn store_knows(store: &Store, identity: &NodeIdentity) -> Result<StoreKnows, StoreError> {
    let newest = store
        .newest_ledger_cursor(identity.host(), identity.node())
        .await?;
    let Some(cursor) = newest else {
        return Ok(StoreKnows::Nothing);
    };
    let unreadable = |what| StoreError::Unreadable { what };
    Ok(StoreKnows::Head(Head {
        origin: cursor
            .origin
            .parse()
            .map_err(|_| unreadable("ledger_cursors.origin"))?,
        size: u64::try_from(cursor.size).map_err(|_| unreadable("ledger_cursors.size"))?,
        leaf_hash: cursor
            .leaf_hash
            .parse()
            .map_err(|_| unreadable("ledger_cursors.leaf_hash"))?,
    }))
}
