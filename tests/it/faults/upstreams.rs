//! Upstreams that refuse, hang, reset inside an event or answer garbage, with and without another one
//! beside them, and then recover.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::faults::toll::{Ledger, Toll, is_well, print_row};
use crate::support::client::{Call, Connection};
use crate::support::gateway::Gateway;
use crate::support::prompt::{ask, ask_stream};
use crate::support::setup::{MODEL, Setup};
use crate::support::sse::anthropic_event;
use crate::support::upstream::{self, Script, Step, Upstream, chunk, stream_head};
use crate::support::wait::until;

/// Requests of each kind, and how many run at once.
const REQUESTS: usize = 60;
const AT_ONCE: usize = 6;

/// Failures after which the faulty upstream is left alone.
const FAILURES: usize = 5;

/// A model that only the faulty upstream serves.
const ALONE: &str = "claude-alone";

fn start() -> Vec<u8> {
    anthropic_event(
        &json!({"type": "message_start", "message": {"id": "m", "type": "message",
        "role": "assistant", "model": MODEL, "content": [], "stop_reason": null,
        "usage": {"input_tokens": 1000, "output_tokens": 1}}}),
    )
}

/// A good answer of 1000 tokens in and 100 out, as the request wants it.
fn good(body: &Value) -> Script {
    let usage = json!({"input_tokens": 1000, "output_tokens": 100});
    if body["stream"] != true {
        return upstream::json(
            200,
            &json!({"id": "m", "type": "message", "role": "assistant", "model": MODEL, "content": [],
                "stop_reason": "end_turn", "usage": usage}),
        );
    }
    let stop = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage});
    upstream::stream([
        start(),
        anthropic_event(&stop),
        anthropic_event(&json!({"type": "message_stop"})),
    ])
}

fn ask_for(model: &str, index: usize) -> Value {
    let mut body = if index.is_multiple_of(2) {
        ask("hello")
    } else {
        ask_stream("hello")
    };
    body["model"] = json!(model);
    body
}

/// Asks for a model, several at once; what came of it.
async fn ask_all(address: std::net::SocketAddr, key: &str, model: &'static str, requests: usize) -> Toll {
    let mut clients = JoinSet::new();
    for client in 0..AT_ONCE {
        let key = key.to_owned();
        clients.spawn(async move {
            let mut toll = Toll::default();
            for index in (client..requests).step_by(AT_ONCE) {
                let call = Call::messages(&key, &ask_for(model, index / AT_ONCE));
                let mut connection = Connection::open(address).await;
                let answer = connection.call(&call).await;
                assert!(answer.status == 200 || !answer.error_message().is_empty());
                let text = answer.text();
                toll.note(answer.status, !text.contains("event: error"));
            }
            toll
        });
    }
    let mut all = Toll::default();
    for toll in clients.join_all().await {
        all.add(&toll);
    }
    all
}

/// What a fault may look like to clients of a route that has no other upstream.
struct Expected {
    statuses: &'static [u16],
    /// Whether streams begin and break, so that no other upstream can serve them.
    breaks_streams: bool,
}

/// A gateway over a faulty upstream, with another one beside it for all models but [`ALONE`].
async fn gateway_over(first: &str, second: &Upstream) -> Gateway {
    let table = format!(
        "[[upstream]]\nname = \"first\"\nprovider = \"anthropic\"\nendpoint = \"{first}\"\n\
         breaker = {{ failures = {FAILURES}, open_for = \"500ms\" }}\n"
    );
    let setup = Setup::new()
        .set("timeouts", "connect", "\"500ms\"")
        .set("timeouts", "first_byte", "\"200ms\"")
        .table(&table)
        .upstream("second", "anthropic", &second.url())
        .model(MODEL)
        .model(ALONE)
        .route(ALONE, &["first"], Some(MODEL))
        .route("claude-*", &["first", "second"], None);
    setup.start().await
}

fn print_upstream_row(fault: &str, toll: &Toll, ledger: &Ledger, afterwards: &str) {
    let requests = format!("{REQUESTS} requests with another upstream beside it and {REQUESTS} without");
    print_row(&format!("upstream {fault}, {requests}"), toll, ledger, afterwards);
}

async fn check(fault: &str, faulty: impl Fn(&Value) -> Script + Send + Sync + 'static, expected: Expected) {
    let sick = Arc::new(AtomicBool::new(true));
    let own = sick.clone();
    let first = Upstream::start(move |request| match own.load(Ordering::SeqCst) {
        true => faulty(&request.json()),
        false => good(&request.json()),
    })
    .await;
    let second = Upstream::start(|request| good(&request.json())).await;
    let mut gateway = gateway_over(&first.url(), &second).await;
    let key = gateway.any_key().await;
    let mut toll = ask_all(gateway.address, &key, MODEL, REQUESTS).await;
    let alone = ask_all(gateway.address, &key, ALONE, REQUESTS).await;
    if expected.breaks_streams {
        assert!(toll.broken > 0 && alone.broken > 0, "{fault}: {toll:?} {alone:?}");
        assert_eq!(toll.served + toll.broken, REQUESTS, "{fault}: {toll:?}");
    } else {
        assert_eq!(toll.served, REQUESTS, "{fault}: the other one serves: {toll:?}");
        assert_eq!(alone.served, 0, "{fault}: {alone:?}");
        // Until the breaker opens, those under way, and a probe now and then.
        let sent = first.count();
        assert!(sent < REQUESTS, "{fault}: {sent} requests to a sick upstream");
    }
    for status in alone.refused.keys() {
        assert!(
            expected.statuses.contains(status) || *status == 529,
            "{fault}: {alone:?}"
        );
    }
    toll.add(&alone);

    sick.store(false, Ordering::SeqCst);
    let seen = first.count();
    is_well(&mut gateway, &key).await;
    until("the upstream to be used again", async || {
        let call = Call::messages(&key, &ask_for(ALONE, 0));
        (gateway.call(&call).await.status == 200).then_some(())
    })
    .await;
    assert!(first.count() > seen, "{fault}");
    let ledger = Ledger::settled(&gateway, 2 * REQUESTS).await;
    let complete = ledger.of("complete");
    assert!(complete > toll.served, "those afterwards too: {ledger:?}");
    assert!(
        ledger.of("error") >= toll.refusals() + toll.broken,
        "{fault}: {toll:?} {ledger:?}"
    );
    // 1000 tokens in and 100 out for each whole answer; nothing for an upstream that began none.
    assert_eq!(ledger.billed, complete + toll.broken, "{fault}: {ledger:?}");
    let whole = i64::try_from(complete).unwrap() * (3_000 + 1_500);
    assert!(ledger.microdollars >= whole, "{fault}: {ledger:?}");
    print_upstream_row(fault, &toll, &ledger, "complete; used again after a probe");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hanging() {
    let expected = Expected {
        statuses: &[504],
        breaks_streams: false,
    };
    check("hanging", |_| vec![Step::Hang], expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resetting_before_an_answer() {
    let expected = Expected {
        statuses: &[502],
        breaks_streams: false,
    };
    check("resetting connections", |_| vec![Step::Reset], expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answering_garbage() {
    let expected = Expected {
        statuses: &[502],
        breaks_streams: false,
    };
    let garbage = |_: &Value| {
        vec![
            Step::Send(b"\x16\x03\x01 no HTTP at all\r\n\r\n".to_vec()),
            Step::Close,
        ]
    };
    check("answering garbage", garbage, expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resetting_inside_an_event() {
    let expected = Expected {
        statuses: &[502],
        breaks_streams: true,
    };
    let cut = |body: &Value| {
        if body["stream"] != true {
            return good(body);
        }
        let delta = br#"event: content_block_delta
data: {"type":"content_block_del"#;
        vec![
            stream_head(&[]),
            chunk(&start()),
            chunk(delta),
            Step::Pause(std::time::Duration::from_millis(5)),
            Step::Reset,
        ]
    };
    check("resetting inside an event", cut, expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusing_connections() {
    let address = Upstream::refusing().await;
    let second = Upstream::start(|request| good(&request.json())).await;
    let mut gateway = gateway_over(&format!("http://{address}"), &second).await;
    let key = gateway.any_key().await;
    let mut toll = ask_all(gateway.address, &key, MODEL, REQUESTS).await;
    assert_eq!(toll.served, REQUESTS, "{toll:?}");
    let alone = ask_all(gateway.address, &key, ALONE, REQUESTS).await;
    assert_eq!(alone.refusals(), REQUESTS);
    assert!(
        alone.refused.keys().all(|status| matches!(status, 502 | 529)),
        "{alone:?}"
    );
    is_well(&mut gateway, &key).await;
    toll.add(&alone);
    let ledger = Ledger::settled(&gateway, 2 * REQUESTS).await;
    assert_eq!(ledger.of("error"), REQUESTS, "{ledger:?}");
    assert_eq!(ledger.billed, ledger.of("complete"));
    print_upstream_row("refusing", &toll, &ledger, "complete; the other upstream serves");
}
