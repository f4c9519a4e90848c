//! A node that is told to stop: idle it is gone at once, busy it finishes what it began.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::anthropic_sim;
use crate::support::client::{Call, Connection};
use crate::support::gateway::Gateway;
use crate::support::prompt::{ask, ask_stream};
use crate::support::records::{Row, rows_of};
use crate::support::setup::{MODEL, Setup};
use crate::support::sse::anthropic_event;
use crate::support::upstream::{Ending, Gate, Step, Upstream, chunk, end, stream_head};
use crate::support::wait::until;

/// The exit code that says that running requests were cut off.
const CUT: i32 = 5;

/// An upstream that begins an answer and ends it when the gate opens.
async fn begun(gate: &Gate) -> Upstream {
    let start = json!({"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant",
        "model": MODEL, "content": [], "stop_reason": null, "usage": {"input_tokens": 1, "output_tokens": 1}}});
    let stop = [
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}}),
        json!({"type": "message_stop"}),
    ];
    let mut script = vec![
        stream_head(&[]),
        chunk(&anthropic_event(&start)),
        Step::Wait(gate.clone()),
    ];
    script.extend(stop.iter().map(|event| chunk(&anthropic_event(event))));
    script.push(end());
    Upstream::scripted([script]).await
}

/// The row of a request, once its close is in the store too.
async fn closed(gateway: &Gateway, request: &str) -> Row {
    until("the close of a request in the store", async || {
        let row = rows_of(gateway, "ai_requests", request).await.remove(0);
        (row["outcome"] != json!("open")).then_some(row)
    })
    .await
}

#[tokio::test]
async fn an_idle_node_ends_at_once() {
    let sim = anthropic_sim::start().await;
    let mut gateway = Setup::anthropic(&sim).start().await;
    let key = gateway.any_key().await;
    let mut kept = gateway.connect().await;
    assert_eq!(kept.call(&Call::messages(&key, &ask("hello"))).await.status, 200);
    let told = Instant::now();
    gateway.terminate();
    assert!(gateway.ended().await.success());
    assert!(
        told.elapsed() < Duration::from_secs(3),
        "took {:?}",
        told.elapsed()
    );
    assert!(kept.rest().await.is_empty(), "an idle connection is just closed");
}

#[tokio::test]
async fn a_running_stream_is_finished_and_nobody_new_is_let_in() {
    let gate = Gate::new();
    let upstream = begun(&gate).await;
    let mut gateway = Setup::anthropic(&upstream).start().await;
    let key = gateway.any_key().await;
    let mut stream = gateway.stream(&Call::messages(&key, &ask_stream("hello"))).await;
    assert_eq!(stream.event().await.unwrap().name, "message_start");
    gateway.terminate();
    until("the public listener to close", async || {
        tokio::net::TcpStream::connect(gateway.address)
            .await
            .is_err()
            .then_some(())
    })
    .await;
    let readiness = Connection::open(gateway.metrics)
        .await
        .call(&Call::new("GET", "/readyz"))
        .await;
    assert_eq!(readiness.status, 503, "load balancers are told");
    gate.open();
    assert_eq!(stream.events().await.last().unwrap().name, "message_stop");
    assert!(gateway.ended().await.success());
}

#[tokio::test]
async fn beyond_the_deadline_a_stream_ends_well_formed_and_recorded() {
    let upstream = begun(&Gate::new()).await;
    let setup = Setup::anthropic(&upstream).set("timeouts", "drain", "\"300ms\"");
    let mut gateway = setup.start().await;
    let key = gateway.any_key().await;
    let mut stream = gateway.stream(&Call::messages(&key, &ask_stream("hello"))).await;
    assert_eq!(stream.event().await.unwrap().name, "message_start");
    let request = stream.head.header("request-id").unwrap().to_owned();
    gateway.terminate();
    let events = stream.events().await;
    assert_eq!(events.last().unwrap().name, "error", "{events:?}");
    assert_eq!(upstream.ending(0).await, Ending::PeerLeft);
    assert_eq!(gateway.ended().await.code(), Some(CUT));
    assert!(!rows_of(&gateway, "ai_requests", &request).await.is_empty());
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once_and_the_ends_are_written() {
    let upstream = begun(&Gate::new()).await;
    let setup = Setup::anthropic(&upstream).set("timeouts", "drain", "\"10m\"");
    let mut gateway = setup.start().await;
    let key = gateway.any_key().await;
    let mut stream = gateway.stream(&Call::messages(&key, &ask_stream("hello"))).await;
    assert_eq!(stream.event().await.unwrap().name, "message_start");
    let request = stream.head.header("request-id").unwrap().to_owned();
    gateway.terminate();
    until("it to stop being ready", async || {
        (gateway.metric("tollgate_ready").await? < 0.5).then_some(())
    })
    .await;
    gateway.terminate();
    assert_eq!(stream.events().await.last().unwrap().name, "error");
    assert_eq!(gateway.ended().await.code(), Some(CUT));
    gateway.restart().await;
    let row = closed(&gateway, &request).await;
    assert_eq!(
        row["outcome"],
        json!("error"),
        "closed by the one that ended: {row:?}"
    );
}

#[tokio::test]
async fn a_request_that_waits_for_its_upstream_is_answered_before_the_end() {
    let upstream = Upstream::scripted([vec![Step::Hang]]).await;
    let setup = Setup::anthropic(&upstream).set("timeouts", "drain", "\"100ms\"");
    let mut gateway = setup.start().await;
    let key = gateway.any_key().await;
    let mut waiting = gateway.connect().await;
    let call = Call::messages(&key, &ask("hello"));
    waiting.send(&call.head_bytes()).await;
    waiting.send(&call.body_bytes()).await;
    until("the upstream to be asked", async || {
        (!upstream.requests().is_empty()).then_some(())
    })
    .await;
    gateway.terminate();
    let answer = waiting.answer("POST").await.expect("an answer");
    assert_eq!(answer.status, 529, "{}", answer.text());
    assert!(
        answer.error_message().contains("shutting down"),
        "{}",
        answer.text()
    );
    assert_eq!(gateway.ended().await.code(), Some(CUT));
    gateway.restart().await;
    let row = closed(&gateway, &answer.request_id()).await;
    assert_eq!(
        (&row["status"], &row["error_kind"]),
        (&json!(529), &json!("shutdown"))
    );
}

#[tokio::test]
async fn load_balancers_have_time_to_take_note() {
    let sim = anthropic_sim::start().await;
    let setup = Setup::anthropic(&sim).set("timeouts", "drain_delay", "\"10m\"");
    let mut gateway = setup.start().await;
    let key = gateway.any_key().await;
    gateway.terminate();
    until("it to stop being ready", async || {
        (gateway.metric("tollgate_ready").await? < 0.5).then_some(())
    })
    .await;
    let answer = gateway.call(&Call::messages(&key, &ask("hello"))).await;
    assert_eq!(answer.status, 200, "who has not taken note yet is still served");
    gateway.terminate();
    assert_eq!(gateway.ended().await.code(), Some(0), "nothing was running");
}
