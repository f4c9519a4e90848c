//! Ten times more requests than the gateway may handle.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use crate::faults::clients::raise_open_files;
use crate::faults::is_long;
use crate::faults::toll::{Ledger, Toll, is_well, print_row};
use crate::support::client::{Call, Connection};
use crate::support::gateway::Gateway;
use crate::support::prompt::ask;
use crate::support::scrape::{resident_bytes, value};
use crate::support::setup::{MODEL, Setup};
use crate::support::upstream::{self, Step, Upstream};
use crate::support::wait::pause;

/// Requests that may be handled at once, and clients that ask all the time.
const PLACES: usize = 20;
const CLIENTS: usize = 10 * PLACES;

/// How long an upstream thinks.
const THINKS: Duration = Duration::from_millis(50);

/// What one client saw, and the longest that it waited for an answer.
type Seen = (Toll, Duration);

/// Asks all the time until it is over.
async fn ask_on(address: SocketAddr, key: String, over: Arc<AtomicBool>) -> Seen {
    let (mut toll, mut slowest) = (Toll::default(), Duration::ZERO);
    let call = Call::messages(&key, &ask("hello"));
    let mut connection = Connection::open(address).await;
    while !over.load(Ordering::SeqCst) {
        let began = Instant::now();
        let answer = connection.call(&call).await;
        toll.note(answer.status, true);
        if answer.status == 200 {
            slowest = slowest.max(began.elapsed());
            continue;
        }
        assert_eq!((answer.status, answer.header("retry-after")), (529, Some("1")));
        assert_eq!(answer.error_type(), "overloaded_error");
        assert_eq!(
            answer.header("connection"),
            Some("close"),
            "its body was not waited for"
        );
        // A client that was told to come back later comes back much sooner than it was told.
        pause(THINKS / 2).await;
        connection = Connection::open(address).await;
    }
    (toll, slowest)
}

/// What is no model API stays reachable for so long; the most memory that was seen meanwhile.
async fn look_on(gateway: &Gateway, lasts: Duration) -> usize {
    let (began, mut peak, mut looks) = (Instant::now(), 0, 0);
    while began.elapsed() < lasts {
        let jwks = gateway.call(&Call::new("GET", "/.well-known/jwks.json")).await;
        assert_eq!(jwks.status, 200);
        gateway.user(&format!("user{looks}@acme.test"), "user").await;
        assert_eq!(value(gateway, "tollgate_ready").await, 1.0);
        peak = peak.max(resident_bytes(gateway));
        looks += 1;
        pause(Duration::from_millis(100)).await;
    }
    peak
}

/// An upstream that thinks before it answers.
async fn thoughtful() -> Upstream {
    Upstream::start(|_| {
        let usage = json!({"input_tokens": 1000, "output_tokens": 100});
        let body = json!({"id": "m", "type": "message", "role": "assistant", "model": MODEL,
            "content": [], "stop_reason": "end_turn", "usage": usage});
        let mut script = vec![Step::Pause(THINKS)];
        script.extend(upstream::json(200, &body));
        script
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_times_overload_is_refused_at_the_door() {
    let lasts = Duration::from_secs(if is_long() { 120 } else { 3 });
    let sim = thoughtful().await;
    let setup = Setup::anthropic(&sim).set("server", "requests_in_flight_max", &PLACES.to_string());
    let mut gateway = setup.start().await;
    raise_open_files(&gateway);
    let key = gateway.any_key().await;
    let before = resident_bytes(&gateway);
    let over = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(ask_on(gateway.address, key.clone(), over.clone()));
    }
    let peak = look_on(&gateway, lasts).await;
    over.store(true, Ordering::SeqCst);
    let (mut toll, mut slowest) = (Toll::default(), Duration::ZERO);
    for (one, slow) in clients.join_all().await {
        toll.add(&one);
        slowest = slowest.max(slow);
    }
    assert!(toll.served > 0 && toll.refusals() > toll.served, "{toll:?}");
    assert!(
        slowest < Duration::from_secs(5),
        "who was let in was served: {slowest:?}"
    );
    let grown = peak.saturating_sub(before);
    assert!(grown < 64 * 1024 * 1024, "{grown} bytes more at the peak");
    let shed = value(&gateway, "tollgate_refusals_total{kind=\"overloaded\"}").await;
    let told = f64::from(u32::try_from(toll.refusals()).unwrap());
    assert_eq!(shed, told, "each refusal is counted");
    is_well(&mut gateway, &key).await;
    let expected = sim.count();
    let ledger = Ledger::settled(&gateway, expected).await;
    assert_eq!(
        ledger.of("complete"),
        expected,
        "each request that was let in, and no other: {ledger:?}"
    );
    assert_eq!(ledger.count(), expected);
    assert_eq!(ledger.microdollars, i64::try_from(expected).unwrap() * 4_500);
    let fault = format!(
        "10x overload for {} s ({CLIENTS} clients, {PLACES} places)",
        lasts.as_secs()
    );
    let after = format!(
        "complete; slowest {} ms, {} MB more at most",
        slowest.as_millis(),
        grown / 1_000_000
    );
    print_row(&fault, &toll, &ledger, &after);
}
