//! Upstreams that fail, are full or asked for rest are left alone; nobody waits without bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde_json::json;

use crate::support::anthropic_sim;
use crate::support::client::{Answer, Call};
use crate::support::gateway::Gateway;
use crate::support::prompt::{ask, ask_stream};
use crate::support::records::{Row, rows_of, text};
use crate::support::scrape::{resident_bytes, value};
use crate::support::setup::{MODEL, Setup};
use crate::support::sse::anthropic_event;
use crate::support::upstream::{self, Ending, Gate, Script, Step, Upstream, chunk, end, stream_head};
use crate::support::wait::until;

/// An upstream that gives this error while it is sick, and an answer afterwards.
async fn sick(status: u16, headers: &'static [(&'static str, &'static str)]) -> (Upstream, Arc<AtomicBool>) {
    let sick = Arc::new(AtomicBool::new(true));
    let own = sick.clone();
    let upstream = Upstream::start(move |_| match own.load(Ordering::SeqCst) {
        true => {
            let body = json!({"type": "error", "error": {"type": "api_error", "message": "sick"}});
            let mut all = vec![("content-type", "application/json")];
            all.extend_from_slice(headers);
            upstream::answer(status, &all, body.to_string().as_bytes())
        }
        false => well(),
    })
    .await;
    (upstream, sick)
}

fn well() -> Script {
    upstream::json(
        200,
        &json!({"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": [],
        "stop_reason": "end_turn", "usage": {"input_tokens": 3, "output_tokens": 2}}),
    )
}

/// One upstream of its own settings.
async fn over(upstream: &Upstream, settings: &str) -> Gateway {
    let url = upstream.url();
    let table =
        format!("[[upstream]]\nname = \"sim\"\nprovider = \"anthropic\"\nendpoint = \"{url}\"\n{settings}\n");
    let setup = Setup::new().table(&table).model(MODEL);
    setup.route("claude-*", &["sim"], None).start().await
}

/// The row of a request, once it is closed.
async fn closed_row(gateway: &Gateway, request: &str) -> Row {
    until(&format!("{request} to be closed"), async || {
        let row = rows_of(gateway, "ai_requests", request).await.remove(0);
        (text(&row, "outcome") != "open").then_some(row)
    })
    .await
}

async fn hello(gateway: &Gateway, key: &str) -> Answer {
    gateway.call(&Call::messages(key, &ask("hello"))).await
}

#[tokio::test]
async fn an_upstream_that_fails_is_left_alone_and_probed() {
    let (upstream, sick) = sick(500, &[]).await;
    let gateway = over(&upstream, "breaker = { failures = 3, open_for = \"300ms\" }").await;
    let key = gateway.any_key().await;
    for _ in 0..3 {
        assert_eq!(hello(&gateway, &key).await.status, 500);
    }
    let answer = hello(&gateway, &key).await;
    assert_eq!(
        (answer.status, answer.error_type().as_str()),
        (529, "overloaded_error")
    );
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(upstream.count(), 3, "nothing was sent");
    let row = closed_row(&gateway, &answer.request_id()).await;
    assert!(text(&row, "attempts").contains("breaker_open"), "{row:?}");
    assert_eq!(
        (text(&row, "outcome"), text(&row, "cost_state")),
        ("error", "none")
    );
    let opened = "tollgate_upstream_breaker_opened_total{upstream=\"sim\"}";
    assert_eq!(value(&gateway, opened).await, 1.0);
    sick.store(false, Ordering::SeqCst);
    until("a probe to close the breaker", async || {
        (hello(&gateway, &key).await.status == 200).then_some(())
    })
    .await;
    assert_eq!(hello(&gateway, &key).await.status, 200);
    assert_eq!(
        value(&gateway, "tollgate_upstream_breaker_state{upstream=\"sim\"}").await,
        0.0
    );
}

#[tokio::test]
async fn requests_that_are_wrong_break_nothing() {
    let (upstream, _sick) = sick(400, &[]).await;
    let gateway = over(&upstream, "breaker = { failures = 2 }").await;
    let key = gateway.any_key().await;
    for _ in 0..6 {
        assert_eq!(hello(&gateway, &key).await.status, 400);
    }
    assert_eq!(upstream.count(), 6);
}

#[tokio::test]
async fn an_upstream_that_asks_for_rest_gets_it() {
    for (status, told) in [(429, (429, "rate_limit_error")), (503, (529, "overloaded_error"))] {
        let (upstream, sick) = sick(status, &[("retry-after", "2")]).await;
        let gateway = over(&upstream, "").await;
        let key = gateway.any_key().await;
        let first = hello(&gateway, &key).await;
        assert_eq!(
            (first.status, first.header("retry-after")),
            (status, Some("2")),
            "passed on"
        );
        sick.store(false, Ordering::SeqCst);
        let second = hello(&gateway, &key).await;
        assert_eq!((second.status, second.error_type().as_str()), told, "{status}");
        assert!(["1", "2"].map(Some).contains(&second.header("retry-after")));
        assert_eq!(upstream.count(), 1, "{status}");
        until("the rest to be over", async || {
            (hello(&gateway, &key).await.status == 200).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn the_next_upstream_serves_while_one_rests() {
    let (tired, _sick) = sick(429, &[("retry-after", "30")]).await;
    let second = anthropic_sim::start().await;
    let setup = Setup::new()
        .upstream("tired", "anthropic", &tired.url())
        .upstream("second", "anthropic", &second.url())
        .model(MODEL)
        .route("claude-*", &["tired", "second"], None);
    let gateway = setup.start().await;
    let key = gateway.any_key().await;
    for _ in 0..5 {
        assert_eq!(hello(&gateway, &key).await.status, 200);
    }
    assert_eq!((tired.count(), second.count()), (1, 5));
}

#[tokio::test]
async fn a_failover_does_not_multiply_the_load() {
    let (first, _sick) = sick(500, &[]).await;
    let second = anthropic_sim::start().await;
    let setup = Setup::new()
        .set("resilience", "retry_percent", "0")
        .set("resilience", "retries_per_second", "1")
        .table("[resilience.breaker]\nfailures = 1000\n")
        .upstream("first", "anthropic", &first.url())
        .upstream("second", "anthropic", &second.url())
        .model(MODEL)
        .route("claude-*", &["first", "second"], None);
    let gateway = setup.start().await;
    let key = gateway.any_key().await;
    let began = Instant::now();
    let mut refused = None;
    for _ in 0..30 {
        let answer = hello(&gateway, &key).await;
        refused = (answer.status != 200).then_some(answer).or(refused);
    }
    // Ten are saved up, and each second adds one.
    let allowed = 10 + usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
    assert!(
        second.count() >= 10 && second.count() <= allowed,
        "{}",
        second.count()
    );
    let refused = refused.expect("the budget was used up");
    assert_eq!(
        (refused.status, refused.error_message().as_str()),
        (500, "sick"),
        "what the first one said"
    );
    let row = closed_row(&gateway, &refused.request_id()).await;
    assert!(text(&row, "attempts").contains("retry_budget"), "{row:?}");
}

/// An upstream that answers once the gate is open.
async fn waiting(gate: &Gate) -> Upstream {
    let mut script = vec![Step::Wait(gate.clone())];
    script.extend(well());
    Upstream::scripted([script]).await
}

#[tokio::test]
async fn places_at_an_upstream_are_bounded_and_so_is_the_queue() {
    let gate = Gate::new();
    let upstream = waiting(&gate).await;
    let settings = "max_concurrent = 1\nqueue = 1\nqueue_timeout = \"20s\"";
    let gateway = over(&upstream, settings).await;
    let key = gateway.any_key().await;
    let call = Call::messages(&key, &ask("hello"));
    let mut first = gateway.connect().await;
    first.send(&[call.head_bytes(), call.body_bytes()].concat()).await;
    upstream.wait_for(1).await;
    let mut second = gateway.connect().await;
    second
        .send(&[call.head_bytes(), call.body_bytes()].concat())
        .await;
    let queued = "tollgate_upstream_queued_requests{upstream=\"sim\"}";
    until("the second to queue", async || {
        (value(&gateway, queued).await == 1.0).then_some(())
    })
    .await;
    let third = hello(&gateway, &key).await;
    assert_eq!(
        (third.status, third.error_type().as_str()),
        (529, "overloaded_error")
    );
    assert_eq!((third.header("retry-after"), upstream.count()), (Some("1"), 1));
    gate.open();
    assert_eq!(first.answer("POST").await.unwrap().status, 200);
    assert_eq!(second.answer("POST").await.unwrap().status, 200);
    assert_eq!(upstream.count(), 2);
}

#[tokio::test]
async fn a_place_is_not_waited_for_for_ever_and_a_client_that_leaves_gives_its_own_up() {
    let gate = Gate::new();
    let upstream = waiting(&gate).await;
    let gateway = over(
        &upstream,
        "max_concurrent = 1\nqueue = 1\nqueue_timeout = \"300ms\"",
    )
    .await;
    let key = gateway.any_key().await;
    let call = Call::messages(&key, &ask("hello"));
    let mut first = gateway.connect().await;
    first.send(&[call.head_bytes(), call.body_bytes()].concat()).await;
    upstream.wait_for(1).await;
    assert_eq!(hello(&gateway, &key).await.status, 529);
    drop(first);
    assert_eq!(upstream.ending(0).await, Ending::PeerLeft);
    gate.open();
    assert_eq!(hello(&gateway, &key).await.status, 200, "its place is free");
}

#[tokio::test]
async fn what_is_too_much_is_turned_away_and_what_is_needed_stays_reachable() {
    let gate = Gate::new();
    let upstream = waiting(&gate).await;
    let setup = Setup::anthropic(&upstream).set("server", "requests_in_flight_max", "2");
    let gateway = setup.start().await;
    let key = gateway.any_key().await;
    let call = Call::messages(&key, &ask("hello"));
    let mut inside = Vec::new();
    for count in 1..=2 {
        let mut connection = gateway.connect().await;
        connection
            .send(&[call.head_bytes(), call.body_bytes()].concat())
            .await;
        upstream.wait_for(count).await;
        inside.push(connection);
    }
    let shed = hello(&gateway, &key).await;
    assert_eq!(
        (shed.status, shed.error_type().as_str()),
        (529, "overloaded_error")
    );
    assert_eq!(shed.header("retry-after"), Some("1"));
    let models = gateway.call(&Call::new("GET", "/v1/models").key(&key)).await;
    assert_eq!(models.status, 529);
    for path in ["/.well-known/jwks.json", "/"] {
        assert_eq!(gateway.call(&Call::new("GET", path)).await.status, 200, "{path}");
    }
    gateway.user("eve@acme.test", "user").await;
    assert_eq!(
        value(&gateway, "tollgate_refusals_total{kind=\"overloaded\"}").await,
        2.0
    );
    gate.open();
    for mut connection in inside {
        assert_eq!(connection.answer("POST").await.unwrap().status, 200);
    }
    until("a place to be free", async || {
        (hello(&gateway, &key).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn connections_are_bounded() {
    let sim = anthropic_sim::start().await;
    let gateway = Setup::anthropic(&sim)
        .set("server", "connections_max", "3")
        .start()
        .await;
    let key = gateway.any_key().await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        let mut connection = gateway.connect().await;
        assert_eq!(
            connection.call(&Call::messages(&key, &ask("hello"))).await.status,
            200
        );
        idle.push(connection);
    }
    assert!(
        gateway.connect().await.rest().await.is_empty(),
        "the fourth is closed"
    );
    assert_eq!(value(&gateway, "tollgate_connections_shed_total").await, 1.0);
    idle.pop();
    until("a place to be free", async || {
        let mut connection = gateway.connect().await;
        let call = Call::messages(&key, &ask("hello"));
        connection
            .send(&[call.head_bytes(), call.body_bytes()].concat())
            .await;
        connection
            .answer("POST")
            .await
            .filter(|answer| answer.status == 200)
    })
    .await;
}

/// How much the upstream of these tests offers, in bytes.
const OFFERED: usize = 64 * 1024 * 1024;

/// A stream of many events, sent as fast as it is taken.
async fn flood() -> Upstream {
    let text = "x".repeat(64 * 1024 - 200);
    let delta =
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}});
    let piece = chunk(&anthropic_event(&delta));
    let start = json!({"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant",
        "model": MODEL, "content": [], "stop_reason": null, "usage": {"input_tokens": 1, "output_tokens": 1}}});
    let block =
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}});
    let mut script = vec![
        stream_head(&[]),
        chunk(&anthropic_event(&start)),
        chunk(&anthropic_event(&block)),
    ];
    script.extend(std::iter::repeat_n(piece, OFFERED / (64 * 1024)));
    for event in [
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}}),
        json!({"type": "message_stop"}),
    ] {
        script.push(chunk(&anthropic_event(&event)));
    }
    script.push(end());
    Upstream::scripted([script]).await
}

#[tokio::test]
async fn a_client_that_reads_slowly_slows_the_upstream_down() {
    let upstream = flood().await;
    let gateway = Setup::anthropic(&upstream).start().await;
    let key = gateway.any_key().await;
    let before = resident_bytes(&gateway);
    let mut stream = gateway.stream(&Call::messages(&key, &ask_stream("hello"))).await;
    assert_eq!(stream.event().await.unwrap().name, "message_start");
    // Whatever flows now flows into buffers: wait until nothing more does.
    let mut last = (0, 0);
    until("the upstream to be held up", async || {
        let held = resident_bytes(&gateway);
        last = if held > last.0 + 64 * 1024 {
            (held, 0)
        } else {
            (last.0, last.1 + 1)
        };
        (last.1 >= 30).then_some(())
    })
    .await;
    assert!(!upstream.is_idle(), "it was not allowed to send everything");
    let grown = resident_bytes(&gateway).saturating_sub(before);
    assert!(
        grown < OFFERED / 4,
        "{grown} bytes are held for a client that reads nothing"
    );
    let events = stream.events().await;
    assert_eq!(events.last().unwrap().name, "message_stop");
    assert!(stream.body.len() > OFFERED - OFFERED / 64, "and nothing was lost");
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_given_up() {
    let upstream = flood().await;
    let setup = Setup::anthropic(&upstream).set("timeouts", "client_write", "\"300ms\"");
    let gateway = setup.start().await;
    let key = gateway.any_key().await;
    let stream = gateway.stream(&Call::messages(&key, &ask_stream("hello"))).await;
    assert_eq!(
        upstream.ending(0).await,
        Ending::PeerLeft,
        "what nobody reads is not paid for"
    );
    let request = stream.head.header("request-id").unwrap().to_owned();
    let row = closed_row(&gateway, &request).await;
    assert_eq!(text(&row, "outcome"), "client_gone");
    assert_eq!(value(&gateway, "tollgate_open_streams").await, 0.0);
}
