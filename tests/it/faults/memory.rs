//! Memory: flat over many streams, and small for streams that wait.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::faults::clients::raise_open_files;
use crate::faults::is_long;
use crate::faults::toll::is_well;
use crate::support::client::{Call, Connection, Stream};
use crate::support::gateway::Gateway;
use crate::support::openai_sim;
use crate::support::prompt::ask_stream;
use crate::support::scrape::{resident_bytes, value};
use crate::support::setup::{MODEL, Setup};
use crate::support::sse::anthropic_event;
use crate::support::upstream::{self, Gate, Script, Step, Upstream, chunk, end, stream_head};
use crate::support::wait::{pause, until};

fn events() -> Vec<Vec<u8>> {
    let start = json!({"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant",
        "model": MODEL, "content": [], "stop_reason": null, "usage": {"input_tokens": 10, "output_tokens": 1}}});
    let stop =
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}});
    [start, stop, json!({"type": "message_stop"})]
        .iter()
        .map(anthropic_event)
        .collect()
}

/// The same in chat completions: a call of a tool whose arguments come in many pieces, then text.
fn chunks() -> Vec<Vec<u8>> {
    let chunk = |delta: Value, finish: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
        let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": [choice]});
        format!("data: {chunk}\n\n").into_bytes()
    };
    let call = |function: Value| json!({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]});
    let text = "the gateway reads every request ".repeat(16);
    let mut chunks = vec![chunk(json!({"role": "assistant"}), Value::Null)];
    chunks.extend((0..48).map(|_| chunk(json!({"content": text}), Value::Null)));
    chunks.push(chunk(
        call(json!({"name": "read", "arguments": "{\"path\":\""})),
        Value::Null,
    ));
    chunks.extend((0..48).map(|_| chunk(call(json!({"arguments": "src/"})), Value::Null)));
    chunks.push(chunk(call(json!({"arguments": "\"}"})), Value::Null));
    chunks.push(chunk(json!({}), json!("tool_calls")));
    chunks.push(b"data: [DONE]\n\n".to_vec());
    chunks
}

/// How a client reads its answer: gives the name of the last event.
#[derive(Clone, Copy)]
enum Reader {
    Eager,
    /// It rests now and then, so that what the upstream sends has to wait somewhere.
    Slow,
}

impl Reader {
    async fn last_event(self, address: SocketAddr, call: &Call) -> String {
        let mut stream = Connection::open(address).await.open_stream(call).await;
        let (mut last, mut count) = (String::new(), 0);
        while let Some(event) = stream.event().await {
            (last, count) = (event.name, count + 1);
            if matches!(self, Self::Slow) && count % 25 == 0 {
                pause(Duration::from_millis(5)).await;
            }
        }
        last
    }
}

/// Sends rounds of streams and sees that those behind the first half take no more memory.
async fn check_flat(mut gateway: Gateway, reader: Reader) {
    let (rounds, per_round) = if is_long() { (20, 500) } else { (6, 100) };
    let key = gateway.any_key().await;
    let mut sizes = Vec::new();
    for _ in 0..rounds {
        let mut clients = JoinSet::new();
        for _ in 0..10 {
            let (address, key) = (gateway.address, key.clone());
            clients.spawn(async move {
                let call = Call::messages(&key, &ask_stream("hello"));
                for _ in 0..per_round / 10 {
                    assert_eq!(reader.last_event(address, &call).await, "message_stop");
                }
            });
        }
        clients.join_all().await;
        sizes.push(resident_bytes(&gateway));
    }
    // The first rounds fill pools and caches; what grows afterwards would grow for ever.
    let settled = sizes[rounds / 2];
    let last = sizes[rounds - 1];
    println!(
        "resident after each {per_round} streams: {:?} MB",
        sizes.iter().map(|size| size / 1_000_000).collect::<Vec<_>>()
    );
    let half = rounds / 2 * per_round;
    assert!(
        last < settled + 1_024 * half + 4 * 1024 * 1024,
        "{} bytes more over {half} streams: {sizes:?}",
        last - settled
    );
    is_well(&mut gateway, &key).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_flat_over_many_streams() {
    let sim = Upstream::start(|_| upstream::stream(events())).await;
    check_flat(Setup::anthropic(&sim).start().await, Reader::Eager).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_flat_over_many_translated_streams_with_slow_readers() {
    let sim = Upstream::start(|request| match request.json()["stream"] {
        Value::Bool(true) => upstream::stream(chunks()),
        _ => openai_sim::respond(request),
    })
    .await;
    check_flat(Setup::openai(&sim).start().await, Reader::Slow).await;
}

fn held(gate: &Gate) -> Script {
    let events = events();
    let mut script = vec![stream_head(&[]), chunk(&events[0]), Step::Wait(gate.clone())];
    script.extend(events[1..].iter().map(|event| chunk(event)));
    script.push(end());
    script
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_wait_are_cheap() {
    let streams = if is_long() { 1_000 } else { 200 };
    let gate = Gate::new();
    let own = gate.clone();
    let sim = Upstream::start(move |_| held(&own)).await;
    let mut gateway = Setup::anthropic(&sim).start().await;
    raise_open_files(&gateway);
    let key = gateway.any_key().await;
    let before = resident_bytes(&gateway);
    let mut open: Vec<Stream> = Vec::new();
    for _ in 0..streams {
        let mut stream = gateway.stream(&Call::messages(&key, &ask_stream("hello"))).await;
        assert_eq!(stream.event().await.unwrap().name, "message_start");
        open.push(stream);
    }
    // Once an answer has begun, what was asked is held no longer.
    assert_eq!(value(&gateway, "tollgate_buffered_body_bytes").await, 0.0);
    until("all streams to be counted", async || {
        (value(&gateway, "tollgate_open_streams").await == f64::from(streams)).then_some(())
    })
    .await;
    let all = resident_bytes(&gateway);
    let each = all.saturating_sub(before) / usize::try_from(streams).unwrap();
    println!(
        "{streams} open streams: {} MB resident, {} KB each",
        all / 1_000_000,
        each / 1_000
    );
    assert!(each < 256 * 1024, "{each} bytes for a stream that waits");
    gate.open();
    for mut stream in open {
        assert_eq!(stream.events().await.last().unwrap().name, "message_stop");
    }
    is_well(&mut gateway, &key).await;
}
