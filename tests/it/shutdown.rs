//! A node that is told to stop: idle it is gone at once, busy it finishes what it began.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::anthropic_sim;
use crate::support::client::{Call, Connection};
use crate::support::prompt::{ask, ask_stream};
use crate::support::records::rows_of;
use crate::support::setup::{MODEL, Setup};
use crate::support::sse::anthropic_event;
use crate::support::upstream::{Ending, Gate, Step, Upstream, chunk, end, stream_head};
use crate::support::wait::until;

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
    assert!(gateway.ended().await.success());
    assert!(!rows_of(&gateway, "ai_requests", &request).await.is_empty());
}
