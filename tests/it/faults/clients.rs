//! A thousand clients that are too slow, of every kind, while others want to be served.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::faults::toll::{Ledger, Toll, is_well, print_row};
use crate::support::client::{Call, Connection, Stream};
use crate::support::gateway::Gateway;
use crate::support::prompt::{ask, ask_stream};
use crate::support::scrape::{resident_bytes, value};
use crate::support::setup::{MODEL, Setup};
use crate::support::sse::anthropic_event;
use crate::support::upstream::{Script, Step, Upstream, chunk, stream_head};
use crate::support::wait::{until, until_within};
use crate::support::{anthropic_sim, upstream};

/// Clients that stop inside the head, inside the body, and inside the answer.
const IN_HEAD: usize = 400;
const IN_BODY: usize = 300;
const IN_ANSWER: usize = 300;

/// Ordinary requests meanwhile.
const ORDINARY: usize = 50;

/// Lets these processes have enough files open, within what the system allows.
pub fn raise_open_files(gateway: &Gateway) {
    for process in [std::process::id(), gateway.process_id()] {
        let raise = format!("prlimit --pid {process} --nofile=8192:");
        let raised = Command::new("sh").args(["-c", &raise]).status();
        assert!(raised.is_ok_and(|status| status.success()), "{raise}");
    }
}

/// More than the buffers between an upstream and a client who reads nothing can hold.
fn endless() -> Script {
    let delta = json!({"type": "content_block_delta", "index": 0,
        "delta": {"type": "text_delta", "text": "x".repeat(60_000)}});
    let start = json!({"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant",
        "model": MODEL, "content": [], "stop_reason": null, "usage": {"input_tokens": 1000, "output_tokens": 1}}});
    let mut script = vec![stream_head(&[]), chunk(&anthropic_event(&start))];
    script.extend(std::iter::repeat_n(chunk(&anthropic_event(&delta)), 200));
    script.push(Step::Hang);
    script
}

/// Clients that are stuck, each kind at its own place.
struct Stuck {
    heads: Vec<Connection>,
    bodies: Vec<Connection>,
    answers: Vec<Stream>,
}

impl Stuck {
    async fn begin(gateway: &Gateway, key: &str) -> Self {
        let (mut heads, mut bodies, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..IN_HEAD {
            let mut connection = gateway.connect().await;
            let begun = b"POST /v1/messages HTTP/1.1\r\nHost: gateway.test\r\nx-slow:";
            connection.send(begun).await;
            heads.push(connection);
        }
        let call = Call::messages(key, &ask("hello"));
        let body = call.body_bytes();
        for _ in 0..IN_BODY {
            let mut connection = gateway.connect().await;
            let begun = [&call.head_bytes(), &body[..body.len() / 2]].concat();
            connection.send(&begun).await;
            bodies.push(connection);
        }
        for _ in 0..IN_ANSWER {
            answers.push(gateway.stream(&Call::messages(key, &ask_stream("hello"))).await);
        }
        Self {
            heads,
            bodies,
            answers,
        }
    }

    /// Those inside the body are refused, those inside the answer given up, those inside the head leave.
    async fn end(self, gateway: &Gateway, toll: &mut Toll) {
        for mut connection in self.bodies {
            let answer = connection.answer("POST").await.expect("a slow body is refused");
            toll.note(answer.status, true);
        }
        let patience = Duration::from_secs(60);
        until_within(patience, "clients who read nothing to be given up", async || {
            (value(gateway, "tollgate_open_streams").await == 0.0).then_some(())
        })
        .await;
        drop(self.answers);
        drop(self.heads);
        until("the connections to be gone", async || {
            (value(gateway, "tollgate_open_connections").await < 10.0).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_slow_clients_hold_nobody_up() {
    let sim = Upstream::start(|request| match request.json()["stream"] == true {
        true => endless(),
        false => good(),
    })
    .await;
    let setup =
        Setup::anthropic(&sim)
            .set("timeouts", "body", "\"3s\"")
            .set("timeouts", "client_write", "\"3s\"");
    let mut gateway = setup.start().await;
    raise_open_files(&gateway);
    let key = gateway.any_key().await;
    let before = resident_bytes(&gateway);
    let stuck = Stuck::begin(&gateway, &key).await;
    let (mut toll, mut slowest) = (Toll::default(), Duration::ZERO);
    for _ in 0..ORDINARY {
        let began = Instant::now();
        let answer = gateway.call(&Call::messages(&key, &ask("hello"))).await;
        toll.note(answer.status, true);
        slowest = slowest.max(began.elapsed());
    }
    assert_eq!(toll.served, ORDINARY, "{toll:?}");
    assert!(
        slowest < Duration::from_secs(2),
        "the slowest ordinary request took {slowest:?}"
    );
    // Twelve megabytes are offered for each of those who read nothing.
    let grown = resident_bytes(&gateway).saturating_sub(before);
    assert!(
        grown < 1_000 * 400 * 1024,
        "{grown} bytes for a thousand slow clients"
    );
    stuck.end(&gateway, &mut toll).await;
    assert_eq!(toll.refused.get(&408), Some(&IN_BODY), "{toll:?}");
    // Nothing is generated for clients who read nothing.
    until("the upstream to be left", async || sim.is_idle().then_some(())).await;
    is_well(&mut gateway, &key).await;
    let ledger = Ledger::settled(&gateway, ORDINARY + IN_BODY + IN_ANSWER).await;
    assert_eq!(
        (ledger.of("denied"), ledger.of("client_gone")),
        (IN_BODY, IN_ANSWER),
        "{ledger:?}"
    );
    assert!(ledger.of("complete") > ORDINARY);
    assert_eq!(
        ledger.billed,
        ledger.of("complete") + IN_ANSWER,
        "what was begun is paid for"
    );
    let fault = format!(
        "1,000 slow clients ({IN_HEAD} inside the head, {IN_BODY} inside the body, {IN_ANSWER} reading nothing), {ORDINARY} ordinary requests"
    );
    print_row(
        &fault,
        &toll,
        &ledger,
        &format!("complete; {} MB more at most", grown / 1_000_000),
    );
}

fn good() -> Script {
    let usage = json!({"input_tokens": 1000, "output_tokens": 100});
    let body = json!({"id": "m", "type": "message", "role": "assistant", "model": MODEL, "content": [],
        "stop_reason": "end_turn", "usage": usage});
    upstream::json(200, &body)
}

#[tokio::test]
async fn a_head_that_does_not_end_is_no_request() {
    let sim = anthropic_sim::start().await;
    let gateway = Setup::anthropic(&sim).start().await;
    let mut connection = Connection::open(gateway.address).await;
    connection
        .send(b"POST /v1/messages HTTP/1.1\r\nHost: a\r\n")
        .await;
    until("the connection to be counted", async || {
        (value(&gateway, "tollgate_open_connections").await == 1.0).then_some(())
    })
    .await;
    connection.finish().await;
    assert!(connection.rest().await.is_empty());
    assert_eq!(sim.connections(), 0);
}
