//! Memory: flat over many streams, and small for streams that wait.

use serde_json::json;
use tokio::task::JoinSet;

use crate::faults::clients::raise_open_files;
use crate::faults::is_long;
use crate::faults::toll::is_well;
use crate::support::client::{Call, Connection, Stream};
use crate::support::prompt::ask_stream;
use crate::support::scrape::{resident_bytes, value};
use crate::support::setup::{MODEL, Setup};
use crate::support::sse::anthropic_event;
use crate::support::upstream::{self, Gate, Script, Step, Upstream, chunk, end, stream_head};
use crate::support::wait::until;

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_flat_over_many_streams() {
    let (rounds, per_round) = if is_long() { (20, 500) } else { (6, 100) };
    let sim = Upstream::start(|_| upstream::stream(events())).await;
    let mut gateway = Setup::anthropic(&sim).start().await;
    let key = gateway.any_key().await;
    let mut sizes = Vec::new();
    for _ in 0..rounds {
        let mut clients = JoinSet::new();
        for _ in 0..10 {
            let (address, key) = (gateway.address, key.clone());
            clients.spawn(async move {
                let call = Call::messages(&key, &ask_stream("hello"));
                let mut connection = Connection::open(address).await;
                for _ in 0..per_round / 10 {
                    let answer = connection.call(&call).await;
                    assert!(answer.text().contains("message_stop"), "{}", answer.status);
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
