//! What is written, read and pruned.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use super::{kinds, leaves};
use crate::journal::fixture::{self, House};
use crate::journal::leaf::Leaf;
use crate::journal::leaf::close::{Close, Outcome};
use crate::journal::{Sequence, codec};
use crate::types::clock::{Clock, Timestamp};

#[tokio::test]
async fn a_request_is_opened_and_closed_under_its_own_name() {
    let house = House::new();
    let (journal, _) = house.open();
    let open = fixture::open(1);
    let reservation = journal.open_request(&open).await.unwrap();
    assert_eq!(reservation.opened(), Sequence(1));
    assert_eq!(journal.status().reservations, 1);
    // A close that names another request still ends the one that was opened.
    let landed = reservation.close_durably(fixture::close(2)).await;
    assert_eq!(landed, Some(Sequence(2)));
    assert_eq!(journal.status().reservations, 0);

    let leaves = leaves(&journal).await;
    assert_eq!(leaves[1], Leaf::Open(Box::new(open)));
    assert_eq!(leaves[2], Leaf::Close(Box::new(fixture::close(1))));
}

#[tokio::test]
async fn a_forgotten_reservation_is_closed_as_abandoned() {
    let house = House::new();
    let (journal, _) = house.open();
    drop(journal.open_request(&fixture::open(1)).await.unwrap());
    let mut stored = journal.stored();
    stored.wait_for(|count| *count == 3).await.unwrap();
    assert_eq!(kinds(&journal).await, ["epoch First", "open", "close abandoned"]);
}

#[tokio::test]
async fn a_caller_that_stops_waiting_leaves_no_open_request() {
    let house = House::new();
    let (journal, _) = house.open();
    let open = fixture::open(1);
    {
        let mut waiting = pin!(journal.open_request(&open));
        // Queued by the first poll, then nobody waits for the answer.
        let _ = waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
    let mut stored = journal.stored();
    stored.wait_for(|count| *count == 3).await.unwrap();
    assert_eq!(kinds(&journal).await, ["epoch First", "open", "close abandoned"]);
}

#[tokio::test]
async fn single_leaves_are_kept_in_order_and_under_their_hash() {
    let house = House::new();
    let (journal, _) = house.open();
    let first = journal.append_denial(&fixture::denial(1)).await.unwrap();
    let second = journal.append_admin(&fixture::admin()).await.unwrap();
    assert_eq!((first, second), (Sequence(1), Sequence(2)));
    let rows = journal.read_from(Sequence(1), 10, usize::MAX).await.unwrap();
    for row in &rows {
        let body = row.body.as_ref().unwrap();
        assert_eq!(codec::leaf_hash(body.as_bytes()), row.hash);
        assert_eq!(journal.hash_at(row.sequence).await.unwrap(), Some(row.hash));
    }
    assert_eq!(rows.len(), 2);
    assert_eq!(journal.hash_at(Sequence(3)).await.unwrap(), None);
}

#[tokio::test]
async fn reading_stops_at_rows_and_bytes() {
    let house = House::new();
    let (journal, _) = house.open();
    for number in 0..5 {
        journal.append_denial(&fixture::denial(number)).await.unwrap();
    }
    let count = async |rows, bytes| journal.read_from(Sequence(0), rows, bytes).await.unwrap().len();
    assert_eq!(count(4, usize::MAX).await, 4);
    assert_eq!(
        count(100, 1).await,
        1,
        "one leaf at least, else nothing would ever move"
    );
    assert_eq!(count(100, usize::MAX).await, 6);
}

#[tokio::test]
async fn shipped_bodies_go_once_they_are_old_and_hashes_stay() {
    let house = House::new();
    let (journal, _) = house.open();
    for number in 0..3 {
        journal.append_denial(&fixture::denial(number)).await.unwrap();
        house.clock.advance(10);
    }
    let used = journal.status().claimed_bytes;
    let at = |seconds: i64| Timestamp::from_unix_micros(fixture::NOON + seconds * 1_000_000);

    let pruned = journal.prune(Sequence(0), at(1_000)).await.unwrap();
    assert_eq!(pruned.bodies, 0, "nothing is shipped");
    let pruned = journal.prune(Sequence(4), at(0)).await.unwrap();
    assert_eq!(pruned.bodies, 0, "nothing is old");
    let pruned = journal.prune(Sequence(2), at(1_000)).await.unwrap();
    assert_eq!((pruned.bodies, pruned.more), (2, false), "only what is shipped");
    let pruned_more = journal.prune(Sequence(4), at(20)).await.unwrap();
    assert_eq!(pruned_more.bodies, 1, "only what is old");

    assert_eq!(
        journal.status().claimed_bytes,
        used - pruned.bytes - pruned_more.bytes
    );
    let rows = journal.read_from(Sequence(0), 10, usize::MAX).await.unwrap();
    let kept: Vec<bool> = rows.iter().map(|row| row.body.is_some()).collect();
    assert_eq!(kept, [false, false, false, true]);

    let used = journal.status().claimed_bytes;
    drop(journal);
    let (journal, recovery) = house.open();
    assert_eq!((recovery.begun, recovery.leaves), (None, 4));
    assert_eq!(
        journal.status().claimed_bytes,
        used,
        "sizes are found again without a scan"
    );
}

#[tokio::test]
async fn an_open_body_is_kept_until_its_close() {
    let house = House::new();
    let (journal, _) = house.open();
    let reservation = journal.open_request(&fixture::open(1)).await.unwrap();
    journal.append_denial(&fixture::denial(2)).await.unwrap();
    let later = house.clock.now().plus(std::time::Duration::from_secs(1));
    assert_eq!(journal.prune(Sequence(3), later).await.unwrap().bodies, 1);
    let close = reservation.ending(Outcome::Complete);
    assert_eq!(close, Close::bare(fixture::facts(1).act, Outcome::Complete));
    reservation.close_durably(close).await.unwrap();
    assert_eq!(journal.prune(Sequence(4), later).await.unwrap().bodies, 3);
}
