//! One history per node: what continues, and what begins anew.

use std::fs;
use std::path::Path;

use super::{kinds, leaves};
use crate::journal::error::{AppendError, OpenError};
use crate::journal::fixture::{self, House};
use crate::journal::leaf::Leaf;
use crate::journal::leaf::epoch::EpochReason;
use crate::journal::origin::{Head, NodeIdentity, StoreKnows};
use crate::journal::{Durability, Journal, Sequence};
use crate::types::digest::Sha256;

/// Appends some leaves, closes the journal, and tells what a store that has them all would know.
async fn live(house: &House, store: &StoreKnows, count: u64) -> Head {
    let (journal, recovery) = house.open_knowing(store);
    for number in 0..count {
        journal.append_denial(&fixture::denial(number)).await.unwrap();
    }
    let size = journal.status().leaves - journal.epochs().last().unwrap().first;
    let last = Sequence(journal.status().leaves - 1);
    let leaf_hash = journal.hash_at(last).await.unwrap().unwrap();
    Head {
        origin: recovery.origin,
        size,
        leaf_hash,
    }
}

fn remove(directory: &Path) {
    fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn a_journal_that_holds_all_that_is_known_goes_on() {
    let house = House::new();
    let head = live(&house, &StoreKnows::Nothing, 5).await;
    let behind = Head {
        size: 1,
        leaf_hash: {
            let (journal, _) = house.open();
            journal.hash_at(Sequence(0)).await.unwrap().unwrap()
        },
        ..head.clone()
    };
    for known in [
        StoreKnows::Nothing,
        StoreKnows::Head(head.clone()),
        StoreKnows::Head(behind),
    ] {
        let (_journal, recovery) = house.open_knowing(&known);
        assert_eq!((recovery.begun, &recovery.origin), (None, &head.origin));
    }
}

#[tokio::test]
async fn a_restored_copy_begins_a_new_epoch_that_names_the_old_one() {
    let house = House::new();
    let older = live(&house, &StoreKnows::Nothing, 3).await;
    let copy = house.directory.path().join("copy.db");
    fs::copy(house.file(), &copy).unwrap();
    let newest = live(&house, &StoreKnows::Head(older.clone()), 4).await;
    assert_eq!(newest.origin, older.origin);

    remove(&house.settings.directory);
    fs::create_dir(&house.settings.directory).unwrap();
    fs::copy(&copy, house.file()).unwrap();
    let (journal, recovery) = house.open_knowing(&StoreKnows::Head(newest.clone()));
    assert_eq!(recovery.begun, Some(EpochReason::RolledBack));
    assert!(recovery.origin.epoch > newest.origin.epoch);
    let leaves = leaves(&journal).await;
    let Some(Leaf::Epoch(epoch)) = leaves.last() else {
        panic!("{leaves:?}");
    };
    assert_eq!(epoch.known, Some(newest));
    assert_eq!(epoch.held, Some(older.clone()));
    let spans = journal.epochs();
    assert_eq!(
        (spans[0].first, spans[0].end, spans[1].first, spans[1].end),
        (0, Some(4), 4, None)
    );
    drop(journal);

    // Without what the store knows, the same copy would have gone on: places would be filled twice.
    remove(&house.settings.directory);
    fs::create_dir(&house.settings.directory).unwrap();
    fs::copy(&copy, house.file()).unwrap();
    let (_journal, recovery) = house.open_knowing(&StoreKnows::Nothing);
    assert_eq!((recovery.begun, recovery.origin), (None, older.origin));
}

#[tokio::test]
async fn every_other_break_begins_a_new_epoch_too() {
    let check = async |reason: EpochReason, break_it: fn(&House, &mut Head) -> Option<StoreKnows>| {
        let house = House::new();
        let mut head = live(&house, &StoreKnows::Nothing, 3).await;
        let store = break_it(&house, &mut head);
        let store = store.unwrap_or(StoreKnows::Head(head.clone()));
        let (journal, recovery) = house.open_knowing(&store);
        assert_eq!(recovery.begun, Some(reason));
        assert!(recovery.origin.epoch > head.origin.epoch, "{reason:?}");
        assert_eq!(journal.epochs().last().unwrap().origin, recovery.origin);
    };
    check(EpochReason::Lost, |house, _| {
        remove(&house.settings.directory);
        None
    })
    .await;
    check(EpochReason::Diverged, |_, head| {
        head.leaf_hash = Sha256::of(b"another leaf");
        None
    })
    .await;
    check(EpochReason::RolledBack, |_, head| {
        head.origin.epoch += 1;
        None
    })
    .await;
    check(EpochReason::Unverified, |_, _| Some(StoreKnows::Unreachable)).await;
}

#[tokio::test]
async fn an_unshipped_epoch_goes_on_behind_a_known_one() {
    let house = House::new();
    let first = live(&house, &StoreKnows::Nothing, 3).await;
    let second = live(&house, &StoreKnows::Unreachable, 2).await;
    assert_ne!(first.origin, second.origin);
    let (_journal, recovery) = house.open_knowing(&StoreKnows::Head(first));
    assert_eq!((recovery.begun, recovery.origin), (None, second.origin));
}

#[tokio::test]
async fn a_journal_of_another_node_is_not_continued() {
    let house = House::new();
    let head = live(&house, &StoreKnows::Nothing, 1).await;
    let other = NodeIdentity::new("gw-2", "a").unwrap();
    let (journal, recovery) = Journal::open(
        &house.settings,
        &other,
        &StoreKnows::Nothing,
        house.sources.clone(),
    )
    .unwrap();
    assert_eq!(recovery.begun, Some(EpochReason::Moved));
    assert_eq!(recovery.origin.identity, other);
    assert_eq!(journal.epochs()[0].origin, head.origin);
    assert_eq!(kinds(&journal).await, ["epoch First", "denial", "epoch Moved"]);
}

#[tokio::test]
async fn a_journal_has_one_owner() {
    let house = House::new();
    let (journal, _) = house.open();
    let again = || {
        let known = StoreKnows::Nothing;
        Journal::open(
            &house.settings,
            &fixture::identity(),
            &known,
            house.sources.clone(),
        )
    };
    assert!(matches!(again(), Err(OpenError::Locked { .. })));
    drop(journal);
    assert!(again().is_ok());
}

#[tokio::test]
async fn files_that_cannot_be_trusted_are_not_opened() {
    let check = async |sql: &str, expected: &str| {
        let house = House::new();
        live(&house, &StoreKnows::Nothing, 2).await;
        rusqlite::Connection::open(house.file())
            .unwrap()
            .execute_batch(sql)
            .unwrap();
        let opened = Journal::open(
            &house.settings,
            &fixture::identity(),
            &StoreKnows::Nothing,
            house.sources.clone(),
        );
        assert_eq!(opened.unwrap_err().to_string(), expected);
    };
    check(
        "PRAGMA user_version = 9",
        "the journal has file version 9, this version reads up to 1",
    )
    .await;
    check(
        "UPDATE leaf SET body = replace(body, 'secret', 'nothing') WHERE seq = 2",
        "the journal is damaged: its last leaf does not match its hash",
    )
    .await;
    check(
        "DELETE FROM epoch",
        "the journal is damaged: its leaves belong to no epoch",
    )
    .await;
}

#[tokio::test]
async fn an_old_open_request_is_found_behind_thousands_of_leaves() {
    let mut house = House::new();
    house.settings.durability = Durability::Relaxed;
    let (journal, _) = house.open();
    let reservation = journal.open_request(&fixture::open(1)).await.unwrap();
    let closed = journal.open_request(&fixture::open(2)).await.unwrap();
    closed.close_durably(fixture::close(2)).await.unwrap();
    for _ in 0..5_000 {
        journal.append_admin(&fixture::admin()).await.unwrap();
    }
    // What a killed process leaves behind: the file and its log, as they are.
    let copy = House::new();
    fs::create_dir(&copy.settings.directory).unwrap();
    for name in ["journal.db", "journal.db-wal"] {
        let from = house.settings.directory.join(name);
        fs::copy(from, copy.settings.directory.join(name)).unwrap();
    }
    drop(reservation);
    let (_journal, recovery) = copy.open();
    assert_eq!((recovery.interrupted, recovery.leaves), (1, 5_005));
}

#[tokio::test]
async fn a_closed_journal_takes_nothing_and_can_be_read() {
    let house = House::new();
    let (journal, _) = house.open();
    let reservation = journal.open_request(&fixture::open(1)).await.unwrap();
    journal.close().await;
    assert!(matches!(
        journal.append_admin(&fixture::admin()).await,
        Err(AppendError::Closed)
    ));
    assert_eq!(reservation.close_durably(fixture::close(1)).await, None);
    assert_eq!(kinds(&journal).await, ["epoch First", "open"]);
    drop(journal);
    assert_eq!(house.open().1.interrupted, 1);
}
