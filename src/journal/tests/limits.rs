//! Limits of size, queue and disk: what is refused, and what lands all the same.

use super::{kinds, leaves};
use crate::journal::codec::BODY_BYTES_MAX;
use crate::journal::error::AppendError;
use crate::journal::fixture::{self, House};
use crate::journal::leaf::close::{Close, Outcome};
use crate::journal::leaf::{Leaf, LeafKind};
use crate::journal::queue::Entry;
use crate::journal::reservation::CLOSE_BYTES_MAX;
use crate::journal::room::Room;
use crate::journal::shared::Shared;
use crate::journal::{Journal, Sequence};
use crate::types::clock::Clock;
use crate::types::ids::{ModelName, UpstreamName};

#[tokio::test]
async fn a_full_journal_refuses_opens_and_takes_every_close() {
    let house = House::of_size(100_000);
    let (journal, _) = house.open();
    let mut reservations = Vec::new();
    let refusal = loop {
        let number = u64::try_from(reservations.len()).unwrap();
        match journal.open_request(&fixture::open(number)).await {
            Ok(reservation) => reservations.push(reservation),
            Err(error) => break error,
        }
    };
    assert!(
        matches!(refusal, AppendError::Full { max: 100_000, .. }),
        "{refusal}"
    );
    assert!(reservations.len() >= 10, "{}", reservations.len());
    // Whatever is left for single leaves is used up too.
    while journal.append_denial(&fixture::denial(1_000)).await.is_ok() {}

    let opened = reservations.len();
    for reservation in reservations {
        let mut close = fixture::close(0);
        close.dropped = (0..5_000).map(|n| format!("field-{n}").into()).collect();
        assert!(reservation.close_durably(close).await.is_some());
    }
    assert!(journal.status().claimed_bytes <= 100_000);
    let closes: Vec<_> = leaves(&journal)
        .await
        .into_iter()
        .filter_map(|leaf| match leaf {
            Leaf::Close(close) => Some(close),
            _ => None,
        })
        .collect();
    assert_eq!(closes.len(), opened);
    for close in closes {
        assert!(close.trimmed && close.dropped.is_empty());
        assert_eq!(
            (close.usage, close.cost),
            (fixture::close(0).usage, fixture::close(0).cost)
        );
        assert_eq!(
            (close.act.tenant, &close.upstream),
            (Some(fixture::tenant()), &fixture::close(0).upstream)
        );
    }
    // The room of closes is free again.
    journal.open_request(&fixture::open(2_000)).await.unwrap();
}

#[tokio::test]
async fn no_text_makes_a_close_outgrow_its_room() {
    let house = House::new();
    let (journal, _) = house.open();
    let mut open = fixture::open(1);
    let long: Box<str> = "\u{1}".repeat(30_000).into();
    open.facts.act.action = long.clone();
    let reservation = journal.open_request(&open).await.unwrap();
    let close = Close {
        upstream_dialect: Some(long.clone()),
        served_model: Some(ModelName::new(long.clone())),
        upstream: Some(UpstreamName::new(long.clone())),
        upstream_request_id: Some("\u{1}".repeat(64).into()),
        stop_reason: Some("\u{1}".repeat(64).into()),
        error_kind: Some(long),
        ..fixture::close(1)
    };
    let place = reservation.close_durably(close).await.unwrap();
    let rows = journal.read_from(place, 1, usize::MAX).await.unwrap();
    let bytes = rows[0].body.as_ref().unwrap().len();
    assert!(u64::try_from(bytes).unwrap() <= CLOSE_BYTES_MAX, "{bytes}");
}

#[tokio::test]
async fn scarce_room_lets_young_bodies_go_once_they_are_shipped() {
    let house = House::of_size(40_000);
    let (journal, _) = house.open();
    let stored = loop {
        match journal.append_denial(&fixture::denial(1)).await {
            Ok(_) => {}
            Err(_) => break journal.status().leaves,
        }
    };
    let young = house.clock.now();
    assert!(journal.prune(Sequence(stored), young).await.unwrap().bodies > 0);
    journal.append_denial(&fixture::denial(2)).await.unwrap();
    assert_eq!(journal.prune(Sequence(stored), young).await.unwrap().bodies, 0);
}

#[tokio::test]
async fn a_leaf_beyond_the_size_of_leaves_is_refused() {
    let house = House::new();
    let (journal, _) = house.open();
    let mut denial = fixture::denial(1);
    denial.reason = "x".repeat(300_000).into();
    let refusal = journal.append_denial(&denial).await.unwrap_err();
    assert!(matches!(
        refusal,
        AppendError::TooLarge {
            max: BODY_BYTES_MAX,
            ..
        }
    ));
    assert_eq!(kinds(&journal).await, ["epoch First"]);
}

#[test]
fn a_full_queue_refuses_leaves_and_takes_closes() {
    let house = House::new();
    let room = Room::new(1 << 20, 0);
    let shared = Shared::new(2, room.clone(), 0, house.sources.clone());
    let leaf = || {
        let leaf = shared.stamp(LeafKind::Admin, None, &fixture::admin()).unwrap();
        (leaf, room.claim(CLOSE_BYTES_MAX).unwrap())
    };
    let offer = || {
        let (leaf, claim) = leaf();
        shared.queue.offer(Entry::Append {
            leaf,
            claim,
            reply: None,
        })
    };
    assert!(offer().is_ok() && offer().is_ok());
    assert!(matches!(offer(), Err(AppendError::Busy { queued: 2 })));
    let (leaf, claim) = leaf();
    shared.queue.push_close(Entry::Close {
        leaf,
        claim,
        opened: Sequence(0),
        done: None,
    });
    assert_eq!(
        shared.queue.take(None).entries.len(),
        3,
        "all of it is one transaction"
    );
    assert!(offer().is_ok(), "what was taken waits no longer");
    shared.queue.close();
    assert!(matches!(offer(), Err(AppendError::Closed)));
}

/// Fills the file up to the last page that it may have.
async fn fill(journal: &Journal) -> AppendError {
    loop {
        if let Err(error) = journal.append_denial(&fixture::denial(9)).await {
            return error;
        }
    }
}

#[tokio::test]
async fn a_full_disk_refuses_precisely_and_loses_no_close() {
    let house = House::new();
    let (journal, _) = house.open();
    let mut reservations = Vec::new();
    for number in 0..20 {
        reservations.push(journal.open_request(&fixture::open(number)).await.unwrap());
    }
    journal.limit_pages(40);
    let refusal = fill(&journal).await;
    let AppendError::Storage(storage) = &refusal else {
        panic!("{refusal}");
    };
    assert!(storage.disk_full);
    assert_eq!(
        refusal.to_string(),
        "the journal failed to write: no space is left"
    );
    assert!(journal.open_request(&fixture::open(99)).await.is_err());

    for reservation in reservations {
        reservation.close(fixture::close(0));
    }
    // The closes are queued before this one, so that they were tried before it is answered.
    assert!(journal.append_denial(&fixture::denial(9)).await.is_err());
    let status = journal.status();
    assert!(status.failing);
    assert_eq!((status.closes_unwritten, status.reservations), (20, 0));

    journal.limit_pages(1_000);
    journal.append_denial(&fixture::denial(9)).await.unwrap();
    let status = journal.status();
    assert_eq!((status.closes_unwritten, status.failing), (0, false));
    drop(journal);

    let (journal, recovery) = house.open();
    assert_eq!(recovery.interrupted, 0);
    let closes = kinds(&journal).await;
    let complete = closes.iter().filter(|kind| *kind == "close complete").count();
    assert_eq!(complete, 20);
    let total: u64 = journal
        .read_from(Sequence(0), u64::MAX, usize::MAX)
        .await
        .unwrap()
        .iter()
        .map(|row| u64::try_from(row.body.as_ref().unwrap().len()).unwrap())
        .sum();
    assert_eq!(
        journal.status().claimed_bytes,
        total,
        "what was refused takes no room"
    );
}

#[tokio::test]
async fn closes_that_never_found_room_are_interrupted_at_the_next_start() {
    let house = House::new();
    let (journal, _) = house.open();
    let reservation = journal.open_request(&fixture::open(1)).await.unwrap();
    journal.limit_pages(1);
    fill(&journal).await;
    reservation.close(fixture::close(1));
    drop(journal);

    let (journal, recovery) = house.open();
    assert_eq!(recovery.interrupted, 1);
    let leaves = leaves(&journal).await;
    let Some(Leaf::Close(close)) = leaves.last() else {
        panic!("{leaves:?}");
    };
    assert_eq!(
        (close.outcome, &close.act),
        (Outcome::Interrupted, &fixture::facts(1).act)
    );
}
