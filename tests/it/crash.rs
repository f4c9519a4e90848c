//! Killed amid a hundred streams, again and again: whatever an upstream saw stands in the ledger afterwards.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::support::client::{Call, Connection};
use crate::support::gateway::Gateway;
use crate::support::prompt::ask_stream;
use crate::support::records::{rows, text};
use crate::support::setup::{MODEL, Setup};
use crate::support::sse::anthropic_event;
use crate::support::upstream::{Received, Script, Step, Upstream, chunk, end, stream_head};
use crate::support::wait::{PATIENCE, pause, until};

/// Streams that run at the same time.
const STREAMS: usize = 100;

/// How often the process is killed; `TOLLGATE_CRASH_ROUNDS` asks for more.
fn rounds() -> usize {
    std::env::var("TOLLGATE_CRASH_ROUNDS").map_or(10, |text| {
        text.parse().expect("TOLLGATE_CRASH_ROUNDS is a number")
    })
}

/// Tells when the upstream has seen a number of requests, the moment it has.
#[derive(Default)]
struct Alarm {
    seen: AtomicUsize,
    at: AtomicUsize,
    ring: Notify,
}

impl Alarm {
    fn count(&self) {
        if self.seen.fetch_add(1, Ordering::SeqCst) + 1 == self.at.load(Ordering::SeqCst) {
            self.ring.notify_one();
        }
    }

    /// Resets to ring after this many more requests.
    fn set(&self, requests: usize) {
        self.seen.store(0, Ordering::SeqCst);
        self.at.store(requests, Ordering::SeqCst);
    }
}

fn slow_stream() -> Script {
    let start = json!({"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant",
        "model": MODEL, "content": [], "stop_reason": null, "usage": {"input_tokens": 1, "output_tokens": 1}}});
    let mut script = vec![stream_head(&[]), chunk(&anthropic_event(&start))];
    for _ in 0..20 {
        script.extend([
            Step::Pause(Duration::from_millis(20)),
            chunk(&anthropic_event(&json!({"type": "ping"}))),
        ]);
    }
    script.extend([chunk(&anthropic_event(&json!({"type": "message_stop"}))), end()]);
    script
}

/// What a request is known by on both sides of the gateway.
fn trace_of(request: &Received) -> String {
    request.json()["metadata"]["user_id"]
        .as_str()
        .expect("the test wrote it there")
        .to_owned()
}

fn call(key: &str, trace: &str) -> Call {
    let mut body: Value = ask_stream("hello");
    body["metadata"] = json!({"user_id": trace});
    Call::messages(key, &body).header("traceparent", &format!("00-{trace}-00000000000000a1-01"))
}

struct Crashes {
    gateway: Gateway,
    upstream: Upstream,
    alarm: Arc<Alarm>,
    key: String,
}

impl Crashes {
    async fn new(configure: impl FnOnce(Setup) -> Setup) -> Self {
        let alarm = Arc::new(Alarm::default());
        let counter = alarm.clone();
        let upstream = Upstream::start(move |_| {
            counter.count();
            slow_stream()
        })
        .await;
        let gateway = configure(Setup::anthropic(&upstream)).start().await;
        let key = gateway.any_key().await;
        Self {
            gateway,
            upstream,
            alarm,
            key,
        }
    }

    /// Starts the streams, kills the process when the upstream saw so many of them, and starts it again.
    async fn round(&mut self, round: usize, kill_at: usize) {
        self.alarm.set(kill_at);
        let mut clients = JoinSet::new();
        for index in 0..STREAMS {
            let call = call(&self.key, &format!("{:032x}", (round + 1) * 1_000 + index));
            let address = self.gateway.address;
            clients.spawn(async move {
                let mut connection = Connection::open(address).await;
                connection.send(&call.head_bytes()).await;
                connection.send(&call.body_bytes()).await;
                connection.rest().await
            });
        }
        self.alarm.ring.notified().await;
        self.gateway.kill();
        while clients.join_next().await.is_some() {}
        until("the upstream to see the end of every connection", async || {
            self.upstream.is_idle().then_some(())
        })
        .await;
        self.gateway.restart().await;
    }

    /// The requests that the upstream saw and the ledger does not know, after it had time to be projected.
    async fn lost(&self) -> HashSet<String> {
        let seen: HashSet<String> = self.upstream.requests().iter().map(trace_of).collect();
        assert!(!seen.is_empty());
        let start = std::time::Instant::now();
        loop {
            let known = rows(
                &self.gateway,
                "SELECT trace_id FROM audit WHERE trace_id IS NOT NULL",
            );
            let known: HashSet<&str> = known.iter().map(|row| text(row, "trace_id")).collect();
            let lost: HashSet<String> = seen
                .iter()
                .filter(|trace| !known.contains(trace.as_str()))
                .cloned()
                .collect();
            // A store that has stopped growing will not bring what is missing.
            if lost.is_empty() || start.elapsed() > PATIENCE / 4 {
                return lost;
            }
            pause(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_an_upstream_saw_is_in_the_ledger_after_a_crash() {
    let mut crashes = Crashes::new(|setup| setup).await;
    for round in 0..rounds() {
        // Early, amid the opening, and when all streams run.
        let kill_at = [1, 7, 20, 40, 60, 80, 95, STREAMS][round % 8];
        crashes.round(round, kill_at).await;
        let lost = crashes.lost().await;
        assert!(
            lost.is_empty(),
            "round {round}, killed at {kill_at}: {} lost: {lost:?}",
            lost.len()
        );
    }
    let gateway = &crashes.gateway;
    until("every cut request to be closed", async || {
        let open = rows(
            gateway,
            "SELECT request_id FROM ai_requests WHERE outcome = 'open'",
        );
        open.is_empty().then_some(())
    })
    .await;
    let twice = rows(
        gateway,
        "SELECT request_id, kind FROM audit WHERE request_id IS NOT NULL GROUP BY request_id, kind HAVING count(*) > 1",
    );
    assert!(twice.is_empty(), "projected once each: {twice:?}");
    let interrupted = rows(
        gateway,
        "SELECT request_id FROM ai_requests WHERE outcome = 'interrupted'",
    );
    assert!(!interrupted.is_empty(), "what a crash cut off is called so");
}

/// The negative control: a record acknowledged before it is durable must be seen to be lost.
#[cfg(feature = "test-support")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_acknowledged_too_early_is_lost() {
    let mut crashes = Crashes::new(|setup| setup.set("ledger", "acknowledge_early", "true")).await;
    for round in 0..rounds() {
        // When the upstream has seen all of them, the newest records are still on their way to the disk.
        crashes.round(round, STREAMS).await;
        if !crashes.lost().await.is_empty() {
            return;
        }
    }
    panic!("nothing was lost: the crash test cannot tell a durable ledger from another");
}
