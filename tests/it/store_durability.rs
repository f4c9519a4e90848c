//! `ledger.durability = "store"`: what reached an upstream is in PostgreSQL, whatever becomes of the node's disk.
//!
//! Each guarantee is shown with `journal` as its control, where the same must be seen to fail.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::anthropic_sim;
use crate::support::client::Call;
use crate::support::delay::Delay;
use crate::support::gateway::Gateway;
use crate::support::ledgers::differences;
use crate::support::load::{Load, trace_of, traced};
use crate::support::pg_server::PgServer;
use crate::support::prompt::ask;
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;
use crate::support::wait::until;

/// How long a record may be on its way in tests in which the store takes none.
const STORE_TIMEOUT: Duration = Duration::from_millis(700);

/// A gateway of this durability on a disk of its own.
async fn gateway(sim: &Upstream, server: &PgServer, durability: &str) -> Gateway {
    let setup = Setup::anthropic(sim).replica("one").postgres(server.database());
    setup
        .set("ledger", "durability", &format!("\"{durability}\""))
        .start()
        .await
}

async fn impatient_gateway(sim: &Upstream, server: &PgServer) -> Gateway {
    let setup = Setup::anthropic(sim).postgres(server.database());
    setup
        .set("ledger", "durability", "\"store\"")
        .set(
            "ledger",
            "store_timeout",
            &format!("\"{}ms\"", STORE_TIMEOUT.as_millis()),
        )
        .start()
        .await
}

fn unknown_model(key: &str) -> Call {
    let mut body = ask("hello");
    body["model"] = serde_json::json!("no-such-model");
    Call::messages(key, &body)
}

/// How many requests the upstream saw before their records were in a store that is 200 ms away, and whether a
/// denial was answered before its record was.
async fn unrecorded_when_seen(durability: &str) -> (usize, bool) {
    let server = PgServer::start(&[]).await;
    let (database, too_early) = (server.database(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&too_early);
    let sim = Upstream::start(move |request| {
        let sql = format!(
            "SELECT count(*) FROM audit WHERE kind = 'open' AND trace_id = '{}'",
            trace_of(request)
        );
        if database.psql(&sql) != "1" {
            count.fetch_add(1, Ordering::SeqCst);
        }
        anthropic_sim::respond(request)
    })
    .await;
    let delay = Delay::before(server.address()).await;
    let gateway = Setup::anthropic(&sim)
        .postgres(server.database())
        .set(
            "store",
            "url",
            &format!("\"{}\"", PgServer::url_at(delay.address)),
        )
        .set("ledger", "durability", &format!("\"{durability}\""))
        .start()
        .await;
    let key = gateway.any_key().await;
    delay.set(Duration::from_millis(100));
    for number in 1..=5 {
        let answer = gateway.call(&traced(&key, &format!("{number:032x}"))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(gateway.call(&unknown_model(&key)).await.status, 404);
    let denials = server.psql("SELECT count(*) FROM ai_requests WHERE outcome = 'denied'");
    (too_early.load(Ordering::SeqCst), denials != "1")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_happens_before_the_store_has_the_record() {
    assert_eq!(unrecorded_when_seen("store").await, (0, false));
    assert_eq!(
        unrecorded_when_seen("journal").await,
        (5, true),
        "the test can tell"
    );
}

/// What upstreams saw and the store does not know once the disk is gone: killed under load three times, each time
/// with a disk that is thrown away.
async fn lost_with_the_disk(durability: &str) -> usize {
    let server = PgServer::start(&[]).await;
    let sim = anthropic_sim::start().await;
    let mut key = None;
    for round in 0..3 {
        let mut gateway = gateway(&sim, &server, durability).await;
        if key.is_none() {
            key = Some(gateway.any_key().await);
        }
        let load = Load::start(gateway.address, key.as_ref().expect("made before"), round, 8);
        load.more(60 + 20 * usize::from(round)).await;
        gateway.kill();
        load.stop().await;
        std::fs::remove_dir_all(gateway.home.join("data")).expect("the disk was there");
    }
    let known = server.psql("SELECT trace_id FROM ai_requests WHERE trace_id IS NOT NULL");
    let known: BTreeSet<&str> = known.lines().collect();
    let seen: BTreeSet<String> = sim.requests().iter().map(trace_of).collect();
    assert!(seen.len() >= 200, "the load ran: {}", seen.len());
    seen.iter()
        .filter(|trace| !known.contains(trace.as_str()))
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_lost_with_its_node_takes_no_record_along() {
    assert_eq!(lost_with_the_disk("store").await, 0);
}

/// The negative control: with the journal alone, what was not shipped yet is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_alone_loses_records_with_its_disk() {
    assert!(
        lost_with_the_disk("journal").await > 0,
        "the test above could not fail"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_told_to_end_leaves_nothing_behind_on_its_disk() {
    let server = PgServer::start(&[]).await;
    let sim = anthropic_sim::start().await;
    let mut gateway = gateway(&sim, &server, "store").await;
    let key = gateway.any_key().await;
    let load = Load::start(gateway.address, &key, 1, 8);
    load.more(200).await;
    gateway.terminate();
    let status = gateway.ended().await;
    assert_eq!(status.code(), Some(0), "{}", gateway.log());
    let asked = load.stop().await;
    let found = differences(&server.database(), &[&gateway], &asked);
    assert!(found.is_empty(), "{found:?}");
}

/// While the store takes nothing: refused, with what to do, soon, and nothing upstream; afterwards served again.
async fn assert_refuses_meanwhile(gateway: &Gateway, sim: &Upstream, key: &str, back: impl AsyncFnOnce()) {
    let before = sim.count();
    let leaves = async || {
        gateway
            .metric("tollgate_journal_leaves")
            .await
            .expect("it is measured")
    };
    for call in [Call::messages(key, &ask("hello")), unknown_model(key)] {
        let start = Instant::now();
        let answer = gateway.call(&call).await;
        assert_eq!(
            (answer.status, answer.error_type()),
            (503, "api_error".into()),
            "{}",
            answer.text()
        );
        assert!(
            answer.error_message().contains("audit store"),
            "{}",
            answer.text()
        );
        assert!(
            answer.header("retry-after").is_some(),
            "it says when to come back"
        );
        assert!(
            start.elapsed() < STORE_TIMEOUT * 5,
            "it took {:?}",
            start.elapsed()
        );
    }
    until("the store to be known to fail", async || {
        (gateway.metric("tollgate_shipper_failures").await? > 0.0).then_some(())
    })
    .await;
    let written = leaves().await;
    for _ in 0..3 {
        assert_eq!(
            gateway.call(&Call::messages(key, &ask("hello"))).await.status,
            503
        );
    }
    assert_eq!(leaves().await, written, "what cannot go on fills no journal");
    assert_eq!(sim.count(), before, "nothing goes upstream");
    back().await;
    until("requests to be served again", async || {
        (gateway.call(&Call::messages(key, &ask("hello"))).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_refuses_requests_until_it_is_back() {
    let mut server = PgServer::start(&[]).await;
    let sim = anthropic_sim::start().await;
    let gateway = impatient_gateway(&sim, &server).await;
    let key = gateway.any_key().await;
    assert_eq!(
        gateway.call(&Call::messages(&key, &ask("hello"))).await.status,
        200
    );
    // With nothing left to ship, the store's death is first met by a request, which therefore leaves a record.
    until("the first record to be closed in the store", async || {
        (server.psql("SELECT count(*) FROM ai_requests WHERE outcome = 'complete'") == "1").then_some(())
    })
    .await;
    server.kill();
    assert_refuses_meanwhile(&gateway, &sim, &key, async || server.restart().await).await;
    until("every record to be closed in the store", async || {
        let open = server.psql("SELECT count(*) FROM ai_requests WHERE outcome = 'open'");
        let refused =
            server.psql("SELECT count(*) FROM ai_requests WHERE outcome = 'error' AND status = 503");
        // More than one where the store that was back took its time.
        (open == "0" && refused != "0").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_falls_silent_refuses_requests_in_time() {
    let server = PgServer::start(&[]).await;
    let sim = anthropic_sim::start().await;
    let gateway = impatient_gateway(&sim, &server).await;
    let key = gateway.any_key().await;
    server.fall_silent();
    let start = Instant::now();
    let answer = gateway.call(&Call::messages(&key, &ask("hello"))).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(
        start.elapsed() < STORE_TIMEOUT * 5,
        "it took {:?}",
        start.elapsed()
    );
    assert_eq!(sim.count(), 0, "nothing goes upstream");
    server.speak_again();
    until("requests to be served again", async || {
        (gateway.call(&Call::messages(&key, &ask("hello"))).await.status == 200).then_some(())
    })
    .await;
}
