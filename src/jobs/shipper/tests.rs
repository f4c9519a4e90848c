use super::*;
use crate::journal::fixture::{self, House};
use crate::journal::origin::{Head, StoreKnows};
use crate::store::fixture::Site;
use crate::store::ledger::{RequestRow, read::RequestRecord};

/// A journal, a store, and a hand on the store's tables.
struct Yard {
    house: House,
    journal: Arc<Journal>,
    store: Arc<Store>,
    _site: Site,
}

/// A pace at which tests need not wait.
fn brisk() -> Settings {
    let instant = Duration::from_millis(1);
    Settings {
        linger: Duration::ZERO,
        interval: instant,
        backoff: instant,
        backoff_max: instant,
        steady_below: 0,
        steady_rows: 3,
        batch_rows: 3,
        ..Settings::keeping(Duration::from_secs(60))
    }
}

impl Yard {
    async fn build() -> Self {
        let house = House::new();
        let (journal, _) = house.open();
        let site = Site::new();
        let store = site.connect().await;
        Self {
            house,
            journal: Arc::new(journal),
            store: Arc::new(store),
            _site: site,
        }
    }

    fn shipper(&self) -> Shipper {
        let clock = self.house.clock.clone();
        Shipper::new(Arc::clone(&self.journal), Arc::clone(&self.store), clock, brisk())
    }

    /// Writes what a request, a refused one and a change of the installation write.
    async fn live(&self, number: u64) {
        let reservation = self.journal.open_request(&fixture::open(number)).await.unwrap();
        self.house.clock.advance(1);
        reservation.close_durably(fixture::close(number)).await.unwrap();
        self.journal
            .append_denial(&fixture::denial(number + 1))
            .await
            .unwrap();
        self.journal.append_admin(&fixture::admin()).await.unwrap();
    }

    async fn sql(&self, statement: &'static str) {
        self.store.run_sql(statement).await;
    }

    /// How many rows each table has, and how far the cursors are.
    async fn counts(&self) -> [i64; 4] {
        let counts = self.store.read_numbers(
            "SELECT count(*) FROM audit UNION ALL SELECT count(*) FROM ai_requests
             UNION ALL SELECT count(*) FROM governance_decisions
             UNION ALL SELECT CAST(coalesce(sum(size), 0) AS bigint) FROM ledger_cursors",
        );
        counts.await.try_into().unwrap()
    }

    async fn record(&self, number: u64) -> RequestRecord {
        let id = fixture::request(number);
        self.store.ledger_request(id).await.unwrap().unwrap()
    }
}

/// The row of an opened request after [`fixture::close`].
fn closed_row(row: RequestRow) -> RequestRow {
    RequestRow {
        closed_at: Some(fixture::NOON + 1_000_000),
        served_model: Some("claude-sonnet-4-6-20260101".into()),
        upstream: Some("anthropic".into()),
        attempts: Some(
            r#"[{"upstream":"anthropic","outcome":"ok","status":200,"duration_us":812000}]"#.into(),
        ),
        upstream_dialect: Some("anthropic-messages".into()),
        input_tokens: Some(12),
        output_tokens: Some(340),
        cache_read_tokens: Some(9_000),
        cache_write_5m_tokens: Some(100),
        cache_write_1h_tokens: Some(0),
        thinking_tokens: Some(20),
        service_tier: Some("standard".into()),
        usage_estimated: Some(false),
        cost_microdollars: Some(8_211),
        cost_state: Some("priced".into()),
        latency_us: Some(815_000),
        ttfb_us: Some(402_000),
        status: Some(200),
        outcome: "complete".into(),
        stop_reason: Some("end_turn".into()),
        upstream_request_id: Some("req_011CSHoEeqs5C35K2UUqR7Fy".into()),
        sent_digest: fixture::close(1).sent_digest.map(|digest| digest.to_string()),
        splices: Some(2),
        redactions: Some(1),
        dropped: Some(r#"["top_k"]"#.into()),
        ..row
    }
}

fn parsed(json: &str) -> serde_json::Value {
    serde_json::from_str(json).unwrap()
}

#[tokio::test]
async fn a_request_becomes_its_rows() {
    let yard = Yard::build().await;
    let shipper = yard.shipper();
    let reservation = yard.journal.open_request(&fixture::open(1)).await.unwrap();
    shipper.ship(&mut None, Haste::Last).await.unwrap();
    let open = yard.record(1).await;
    let row = open.request.unwrap();
    assert_eq!(
        (row.outcome.as_str(), row.closed_at, row.output_tokens),
        ("open", None, None),
        "an accepted request has its row before it ends"
    );

    yard.house.clock.advance(1);
    reservation.close_durably(fixture::close(1)).await.unwrap();
    shipper.ship(&mut None, Haste::Last).await.unwrap();
    let record = yard.record(1).await;
    let expected = closed_row(row);
    let mut found = record.request.unwrap();
    // PostgreSQL keeps what JSON says and not how it is written.
    for (found, expected) in [
        (&mut found.attempts, &expected.attempts),
        (&mut found.dropped, &expected.dropped),
    ] {
        assert_eq!(found.as_deref().map(parsed), expected.as_deref().map(parsed));
        found.clone_from(expected);
    }
    assert_eq!(found, expected);
    assert_eq!(expected.credential_kind.as_deref(), Some("api_key"));
    assert_eq!(expected.client_session_id.as_deref(), Some("laptop \"7\" é"));
    assert_eq!(expected.opened_at, fixture::NOON - 1_500);
}

#[tokio::test]
async fn a_request_has_audit_rows_and_decisions() {
    let yard = Yard::build().await;
    yard.live(1).await;
    yard.shipper().ship(&mut None, Haste::Last).await.unwrap();
    let record = yard.record(1).await;
    let kinds: Vec<_> = record
        .audit
        .iter()
        .map(|row| (row.kind.as_str(), row.decision.as_deref(), row.cost_microdollars))
        .collect();
    assert_eq!(
        kinds,
        [("open", Some("allow"), None), ("close", None, Some(8_211))]
    );
    assert_eq!(record.audit[0].action, "invoke");
    assert_eq!(
        record.audit[0].trace_id.as_deref(),
        Some("4bf92f3577b34da6a3ce929d0e0e4736")
    );
    let stages: Vec<_> = record
        .decisions
        .iter()
        .map(|row| (row.stage.as_str(), row.outcome.as_str(), row.config_generation))
        .collect();
    assert_eq!(
        stages,
        [("scope", "allow", Some(3)), ("policy", "allow", Some(3))]
    );
    assert_eq!(
        record.decisions[0].facts.as_deref().map(parsed),
        Some(serde_json::json!([["model", "claude-sonnet-4-6"]]))
    );
}

#[tokio::test]
async fn other_endings_have_their_own_rows() {
    let yard = Yard::build().await;
    drop(yard.journal.open_request(&fixture::open(1)).await.unwrap());
    let mut coalesced = fixture::denial(2);
    coalesced.count = 7;
    yard.journal.append_denial(&coalesced).await.unwrap();
    let mut elsewhere = fixture::denial(3);
    elsewhere.facts.client_dialect = None;
    yard.journal.append_denial(&elsewhere).await.unwrap();
    yard.journal.append_admin(&fixture::admin()).await.unwrap();
    yard.shipper().ship(&mut None, Haste::Last).await.unwrap();

    let abandoned = yard.record(1).await.request.unwrap();
    assert_eq!(
        (
            abandoned.outcome.as_str(),
            abandoned.cost_state.as_deref(),
            abandoned.output_tokens
        ),
        ("abandoned", Some("unknown"), None)
    );
    let denied = yard.record(2).await;
    let row = denied.request.unwrap();
    assert_eq!(
        (row.outcome.as_str(), row.status, row.cost_microdollars),
        ("denied", Some(403), Some(0))
    );
    assert_eq!(denied.audit.len(), 1);
    assert_eq!(denied.audit[0].decision.as_deref(), Some("deny"));
    assert_eq!(parsed(&denied.audit[0].detail)["count"], 7);
    assert_eq!(denied.decisions[0].outcome, "deny");
    assert_eq!(
        yard.record(3).await.request,
        None,
        "only requests to model APIs have such a row"
    );
    let tail = yard.store.ledger_tail(None, 10).await.unwrap();
    let (_, admin) = tail.iter().find(|(_, row)| row.kind == "admin").unwrap();
    assert_eq!(admin.action, "key.create");
    assert_eq!(
        parsed(&admin.detail),
        serde_json::json!({"actor_uid": 1000, "change": [["user", "jo@example.com"]]})
    );
}

#[tokio::test]
async fn a_batch_that_fails_in_the_middle_is_shipped_once() {
    let yard = Yard::build().await;
    let shipper = yard.shipper();
    yard.live(1).await;
    yard.store.break_cursors().await;
    let mut place = None;
    assert!(shipper.ship(&mut place, Haste::Last).await.is_err());
    assert_eq!(yard.counts().await, [0; 4], "all or nothing");
    yard.store.mend_cursors().await;
    shipper.ship(&mut place, Haste::Last).await.unwrap();
    let shipped = [5, 2, 3, 5];
    assert_eq!(yard.counts().await, shipped);

    // The answer to a commit was lost, so to say: everything comes a second time.
    yard.sql("DELETE FROM ledger_cursors").await;
    shipper.ship(&mut None, Haste::Last).await.unwrap();
    assert_eq!(yard.counts().await, shipped);
}

#[tokio::test]
async fn an_outage_of_the_store_is_caught_up_with() {
    let yard = Yard::build().await;
    let shipper = yard.shipper();
    let progress = shipper.progress();
    let (stop, mut stopped) = watch::channel(false);
    let work = async {
        let mut shipped = progress.watch();
        yard.live(1).await;
        shipped.wait_for(|count| *count == 5).await.unwrap();
        assert_eq!((progress.failures(), shipper.unshipped()), (0, 0));

        yard.sql("ALTER TABLE audit RENAME TO gone").await;
        yard.live(11).await;
        // No request waits for the store: all of them are recorded meanwhile.
        while progress.failures() < 3 {
            tokio::task::yield_now().await;
        }
        assert!(*progress.watch_failing().borrow());
        assert_eq!((progress.shipped(), shipper.unshipped()), (Sequence(5), 4));

        yard.sql("ALTER TABLE gone RENAME TO audit").await;
        shipped.wait_for(|count| *count == 9).await.unwrap();
        progress
            .watch_failing()
            .wait_for(|failing| !failing)
            .await
            .unwrap();
        // What comes last is shipped at the end.
        yard.live(21).await;
        stop.send(true).unwrap();
    };
    let until = async {
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    tokio::join!(shipper.run(until), work);
    shipper.finish().await;
    assert_eq!(shipper.unshipped(), 0);
    assert_eq!(progress.failures(), 0);
    assert!(progress.last_shipped_at().is_some());
    assert_eq!(yard.counts().await, [13, 6, 9, 13]);
}

#[tokio::test]
async fn shipping_goes_on_where_the_store_says() {
    let yard = Yard::build().await;
    yard.live(1).await;
    yard.shipper().ship(&mut None, Haste::Last).await.unwrap();
    yard.live(11).await;
    let place = Place::find(&yard.journal, &yard.store).await.unwrap();
    assert_eq!((place.next, place.moves_cursor), (5, true));

    // An older copy of the store asks for what it lacks.
    let hash = yard.journal.hash_at(Sequence(1)).await.unwrap().unwrap();
    let cursor = place::cursor(
        &yard.journal.epochs()[0],
        Sequence(1),
        hash,
        yard.house.clock.now(),
    );
    yard.sql("DELETE FROM ledger_cursors; DELETE FROM audit").await;
    let batch = Batch {
        cursor: Some(cursor),
        ..Batch::default()
    };
    yard.store.apply_ledger(&batch).await.unwrap();
    let place = Place::find(&yard.journal, &yard.store).await.unwrap();
    assert_eq!((place.next, place.moves_cursor), (2, true));
}

#[tokio::test]
async fn a_new_epoch_is_shipped_after_the_old_one_under_its_own_cursor() {
    let mut yard = Yard::build().await;
    yard.live(1).await;
    let Yard { journal, house, .. } = yard;
    drop(journal);
    let (journal, recovery) = house.open_knowing(&StoreKnows::Unreachable);
    yard.journal = Arc::new(journal);
    yard.house = house;
    yard.live(11).await;
    yard.shipper().ship(&mut None, Haste::Last).await.unwrap();
    assert_eq!(yard.counts().await, [10, 4, 6, 10]);

    let newest = yard
        .store
        .newest_ledger_cursor("gw-1", "a")
        .await
        .unwrap()
        .unwrap();
    assert_eq!((newest.origin, newest.size), (recovery.origin.to_string(), 5));
    let place = Place::find(&yard.journal, &yard.store).await.unwrap();
    assert_eq!((place.epoch, place.next), (1, 10));
}

#[tokio::test]
async fn rows_of_a_diverged_history_come_without_its_cursor() {
    let yard = Yard::build().await;
    yard.live(1).await;
    let foreign = Batch {
        cursor: Some(place::cursor(
            &yard.journal.epochs()[0],
            Sequence(99),
            crate::types::digest::Sha256::of(b"another leaf"),
            yard.house.clock.now(),
        )),
        ..Batch::default()
    };
    yard.store.apply_ledger(&foreign).await.unwrap();
    yard.shipper().ship(&mut None, Haste::Last).await.unwrap();
    assert_eq!(
        yard.counts().await,
        [5, 2, 3, 100],
        "every leaf has its row, and the cursor stays"
    );
}

#[tokio::test]
async fn what_is_shipped_and_old_leaves_the_journal() {
    let yard = Yard::build().await;
    let shipper = yard.shipper();
    yard.live(1).await;
    let used = yard.journal.status().claimed_bytes;
    shipper.ship(&mut None, Haste::Last).await.unwrap();
    let mut pruned_at = None;
    shipper.prune(&mut pruned_at).await;
    assert_eq!(yard.journal.status().claimed_bytes, used, "it is still young");
    yard.house.clock.advance(61);
    shipper.prune(&mut pruned_at).await;
    assert_eq!(yard.journal.status().claimed_bytes, 0);
    // A second store gets what is left: nothing, and its cursor moves all the same.
    yard.sql("DELETE FROM ledger_cursors; DELETE FROM audit").await;
    shipper.ship(&mut None, Haste::Last).await.unwrap();
    assert_eq!(yard.counts().await[0], 0);
    assert_eq!(yard.counts().await[3], 5);
}

#[tokio::test]
async fn a_leaf_of_another_version_is_shown_as_it_is() {
    let mut rows = Rows::default();
    let at = fixture::facts(1).started_at;
    let body = r#"{"v":2,"kind":"open"}"#;
    let hash = crate::journal::codec::leaf_hash(body.as_bytes());
    rows.add(at, hash, body);
    rows.add(at, hash, body);
    let batch = rows.into_batch();
    let [first, second] = &batch.audit[..] else {
        panic!("{batch:?}");
    };
    assert_eq!(first.id, second.id, "the same leaf has the same id");
    assert_eq!(first.kind, "unreadable");
    assert_eq!(first.detail, r#"{"body":"{\"v\":2,\"kind\":\"open\"}"}"#);
}

#[tokio::test]
async fn the_store_says_what_a_journal_must_extend() {
    let yard = Yard::build().await;
    let known = async || {
        let identity = fixture::identity();
        store_knows(&yard.store, &identity).await.unwrap()
    };
    assert_eq!(known().await, StoreKnows::Nothing);
    yard.live(1).await;
    yard.shipper().ship(&mut None, Haste::Last).await.unwrap();
    let leaf_hash = yard.journal.hash_at(Sequence(4)).await.unwrap().unwrap();
    let head = Head {
        origin: yard.journal.epochs()[0].origin.clone(),
        size: 5,
        leaf_hash,
    };
    assert_eq!(known().await, StoreKnows::Head(head));
}
