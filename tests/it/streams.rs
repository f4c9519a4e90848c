//! Streams: what comes goes out at once, whatever breaks is said, and whoever leaves is noticed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::client::Call;
use crate::support::gateway::Gateway;
use crate::support::prompt::{ask, ask_stream};
use crate::support::setup::{MODEL, Setup};
use crate::support::sse::{self, Event, anthropic_event};
use crate::support::upstream::{self, Ending, Gate, Script, Step, Upstream, chunk, end, stream_head};
use crate::support::{anthropic_sim, openai_sim};

/// A short answer with every kind of trap for a reader: CRLF, comments, unknown events, split characters.
fn transcript(model: &str) -> Vec<u8> {
    let start = json!({"type": "message_start", "message": {"model": model, "id": "msg_1", "type": "message",
        "role": "assistant", "content": [], "stop_reason": null, "usage": {"input_tokens": 3, "output_tokens": 1}}});
    let mut bytes = anthropic_event(&start);
    bytes.extend_from_slice(b": a comment\n\nevent: of_tomorrow\r\ndata: {\"type\":\"of_tomorrow\"}\r\n\r\n");
    for event in [
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "gr\u{fc}n \u{1f600}"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}}),
        json!({"type": "message_stop"}),
    ] {
        bytes.extend_from_slice(&anthropic_event(&event));
    }
    bytes
}

/// The transcript in two pieces that are read apart.
fn cut_at(bytes: &[u8], place: usize) -> Script {
    let (front, back) = bytes.split_at(place);
    vec![
        stream_head(&[]),
        chunk(front),
        Step::Pause(Duration::from_millis(1)),
        chunk(back),
        end(),
    ]
}

/// Asks once per script and compares the body that arrives.
async fn check_bodies(gateway: &Gateway, count: usize, expected: &[u8]) {
    let key = gateway.any_key().await;
    let mut connection = gateway.connect().await;
    for index in 0..count {
        let answer = connection.call(&Call::messages(&key, &ask_stream("hello"))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.text(), String::from_utf8_lossy(expected), "script {index}");
    }
}

#[tokio::test]
async fn bytes_are_identical_wherever_the_stream_is_cut() {
    let bytes = transcript(MODEL);
    let single_bytes = upstream::stream(bytes.iter().map(|byte| vec![*byte]));
    let mut scripts = vec![single_bytes];
    scripts.extend((1..bytes.len()).map(|place| cut_at(&bytes, place)));
    let count = scripts.len();
    let upstream = Upstream::scripted(scripts).await;
    let gateway = Setup::anthropic(&upstream).start().await;
    check_bodies(&gateway, count, &bytes).await;
}

#[tokio::test]
async fn an_alias_is_spliced_back_wherever_the_stream_is_cut() {
    let alias = "claude-alias-of-the-operator";
    let bytes = transcript(alias);
    // The name stands in the first event; further places have no effect on it.
    let first_event = String::from_utf8_lossy(&bytes).find("\n\n").unwrap() + 2;
    let mut scripts = vec![upstream::stream(bytes.iter().map(|byte| vec![*byte]))];
    scripts.extend((1..=first_event).map(|place| cut_at(&bytes, place)));
    let count = scripts.len();
    let upstream = Upstream::scripted(scripts).await;
    let setup = Setup::new()
        .upstream("sim", "anthropic", &upstream.url())
        .model(MODEL);
    let gateway = setup.route("claude-*", &["sim"], Some(alias)).start().await;
    check_bodies(&gateway, count, &transcript(MODEL)).await;
    assert_eq!(upstream.last().json()["model"], alias);
}

#[tokio::test]
async fn an_alias_is_spliced_back_in_json_answers() {
    let alias = "claude-alias-of-the-operator";
    let sim = anthropic_sim::start().await;
    let setup = Setup::new().upstream("sim", "anthropic", &sim.url()).model(MODEL);
    let gateway = setup.route("claude-*", &["sim"], Some(alias)).start().await;
    let key = gateway.any_key().await;
    let answer = gateway.call(&Call::messages(&key, &ask("hello"))).await;
    assert_eq!(
        (answer.status, answer.json()["model"].as_str()),
        (200, Some(MODEL))
    );
}

#[tokio::test]
async fn text_goes_out_as_it_comes_in() {
    let gate = Gate::new();
    let anthropic = {
        let event = json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "early"}});
        let whole = transcript(MODEL);
        let early = [
            anthropic_event(&json!({"type": "content_block_start", "index": 0,
            "content_block": {"type": "text", "text": ""}})),
            anthropic_event(&event),
        ]
        .concat();
        vec![
            stream_head(&[]),
            chunk(&early),
            Step::Wait(gate.clone()),
            chunk(&whole),
            end(),
        ]
    };
    let openai = {
        let piece = |delta: Value, finish: Value| {
            let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
            chunk(
                format!(
                    "data: {}\n\n",
                    json!({"id": "c", "object": "chat.completion.chunk", "choices": [choice]})
                )
                .as_bytes(),
            )
        };
        let rest = [
            piece(json!({"content": " late"}), Value::Null),
            piece(json!({}), json!("stop")),
            chunk(b"data: [DONE]\n\n"),
            end(),
        ];
        let mut script = vec![
            stream_head(&[]),
            piece(json!({"role": "assistant", "content": "early"}), Value::Null),
            Step::Wait(gate.clone()),
        ];
        script.extend(rest);
        script
    };
    let anthropic = Upstream::scripted([anthropic]).await;
    let openai = Upstream::scripted([openai]).await;
    for setup in [Setup::anthropic(&anthropic), Setup::openai(&openai)] {
        let gateway = setup.start().await;
        let key = gateway.any_key().await;
        let mut stream = gateway.stream(&Call::messages(&key, &ask_stream("hello"))).await;
        let is_early = |event: &Event| event.json()["delta"]["text"] == "early";
        while !is_early(
            &stream
                .event()
                .await
                .expect("the early text arrives while the upstream waits"),
        ) {}
        gate.open();
        assert_eq!(stream.events().await.last().unwrap().name, "message_stop");
    }
}

/// An upstream that stops like this: the client must be told by an `error` event, and by a proper end.
async fn check_breaks(name: &str, script: Script, setup: fn(&Upstream) -> Setup) {
    let upstream = Upstream::scripted([script]).await;
    let gateway = setup(&upstream).start().await;
    let key = gateway.any_key().await;
    let mut stream = gateway.stream(&Call::messages(&key, &ask_stream("hello"))).await;
    assert_eq!(stream.status(), 200, "{name}");
    let events = stream.events().await;
    let last = events.last().unwrap_or_else(|| panic!("{name}: silence"));
    assert_eq!(last.name, "error", "{name}: {events:?}");
    assert_eq!(last.json()["type"], "error", "{name}");
    assert!(
        last.json()["error"]["type"].is_string() && last.json()["error"]["message"].is_string(),
        "{name}: {last:?}"
    );
    assert!(events.iter().all(|event| event.name != "message_stop"), "{name}");
}

#[tokio::test]
async fn an_upstream_that_dies_inside_an_event_ends_in_an_error_event() {
    let bytes = transcript(MODEL);
    let first = String::from_utf8_lossy(&bytes).find("\n\n").unwrap() + 2;
    // Inside an event, between two events, and behind everything but the last event.
    for place in [first + 40, first, bytes.len() - 10] {
        for how in [
            vec![Step::Pause(Duration::from_millis(20)), Step::Reset],
            vec![Step::Close],
            vec![end()],
        ] {
            let mut script = vec![stream_head(&[]), chunk(&bytes[..place])];
            let name = format!("{place} bytes, then {how:?}");
            script.extend(how);
            check_breaks(&name, script, Setup::anthropic).await;
        }
    }
}

#[tokio::test]
async fn a_dead_openai_upstream_ends_in_an_error_event() {
    let upstream = openai_sim::start().await;
    let gateway = Setup::openai(&upstream).start().await;
    let key = gateway.any_key().await;
    for wish in ["sim:die", "sim:mid-error"] {
        let events = gateway
            .stream(&Call::messages(&key, &ask_stream(wish)))
            .await
            .events()
            .await;
        assert_eq!(events.last().unwrap().name, "error", "{wish}: {events:?}");
    }
}

#[tokio::test]
async fn an_error_event_of_the_upstream_is_passed_on() {
    let upstream = anthropic_sim::start().await;
    let gateway = Setup::anthropic(&upstream).start().await;
    let key = gateway.any_key().await;
    let events = gateway
        .stream(&Call::messages(&key, &ask_stream("sim:mid-error")))
        .await
        .events()
        .await;
    let errors: Vec<_> = events.iter().filter(|event| event.name == "error").collect();
    assert_eq!(errors.len(), 1, "the upstream's own, and no second one");
    assert_eq!(errors[0].json()["error"]["type"], "overloaded_error");
}

/// An upstream that begins an answer and then waits.
fn stalls_at(gate: &Gate) -> Script {
    let bytes = transcript(MODEL);
    let first = String::from_utf8_lossy(&bytes).find("\n\n").unwrap() + 2;
    vec![
        stream_head(&[]),
        chunk(&bytes[..first]),
        Step::Wait(gate.clone()),
        chunk(&bytes[first..]),
        end(),
    ]
}

#[tokio::test]
async fn silence_is_filled_with_pings() {
    let gate = Gate::new();
    let upstream = Upstream::scripted([stalls_at(&gate)]).await;
    let gateway = Setup::anthropic(&upstream)
        .set("timeouts", "ping", "\"100ms\"")
        .start()
        .await;
    let key = gateway.any_key().await;
    let mut stream = gateway.stream(&Call::messages(&key, &ask_stream("hello"))).await;
    let mut names = Vec::new();
    for _ in 0..3 {
        names.push(stream.event().await.unwrap().name);
    }
    assert_eq!(names, ["message_start", "ping", "ping"]);
    gate.open();
    let rest = stream.events().await;
    assert_eq!(rest.last().unwrap().name, "message_stop");
    let without_pings = String::from_utf8(stream.body.clone()).unwrap();
    let pings = sse::events(&stream.body)
        .iter()
        .filter(|event| event.name == "ping")
        .count();
    assert!(
        pings >= 2 && without_pings.contains("gr\u{fc}n"),
        "{without_pings}"
    );
}

#[tokio::test]
async fn no_ping_is_put_inside_an_event() {
    let gate = Gate::new();
    let bytes = transcript(MODEL);
    let half = vec![
        stream_head(&[]),
        chunk(&bytes[..30]),
        Step::Wait(gate.clone()),
        chunk(&bytes[30..]),
        end(),
    ];
    let upstream = Upstream::scripted([half]).await;
    let gateway = Setup::anthropic(&upstream)
        .set("timeouts", "ping", "\"50ms\"")
        .start()
        .await;
    let key = gateway.any_key().await;
    let call = Call::messages(&key, &ask_stream("hello"));
    let opener = async {
        upstream.wait_for(1).await;
        crate::support::wait::pause(Duration::from_millis(300)).await;
        gate.open();
    };
    let reading = async { gateway.stream(&call).await.events().await };
    let (events, ()) = tokio::join!(reading, opener);
    let told: Vec<_> = events
        .iter()
        .filter(|event| event.name != "ping")
        .cloned()
        .collect();
    assert_eq!(told, sse::events(&bytes));
}

#[tokio::test]
async fn an_upstream_that_stays_silent_is_given_up() {
    let upstream = Upstream::scripted([stalls_at(&Gate::new())]).await;
    let setup = Setup::anthropic(&upstream).set("timeouts", "idle", "\"500ms\"");
    let gateway = setup.set("timeouts", "ping", "\"100ms\"").start().await;
    let key = gateway.any_key().await;
    let events = gateway
        .stream(&Call::messages(&key, &ask_stream("hello")))
        .await
        .events()
        .await;
    assert_eq!(
        events.last().unwrap().json()["error"]["type"],
        "timeout_error",
        "{events:?}"
    );
    assert_eq!(upstream.ending(0).await, Ending::PeerLeft);
}

#[tokio::test]
async fn an_answer_that_never_ends_is_ended() {
    let ping = anthropic_event(&json!({"type": "ping"}));
    let mut script = vec![stream_head(&[])];
    for _ in 0..400 {
        script.extend([Step::Pause(Duration::from_millis(50)), chunk(&ping)]);
    }
    let upstream = Upstream::scripted([script]).await;
    let gateway = Setup::anthropic(&upstream)
        .set("timeouts", "total", "\"1s\"")
        .start()
        .await;
    let key = gateway.any_key().await;
    let start = Instant::now();
    let events = gateway
        .stream(&Call::messages(&key, &ask_stream("hello")))
        .await
        .events()
        .await;
    assert_eq!(events.last().unwrap().name, "error", "{events:?}");
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "the deadline is the total, not the idle one"
    );
    assert_eq!(upstream.ending(0).await, Ending::PeerLeft);
}

#[tokio::test]
async fn a_client_that_leaves_closes_the_upstream_at_once() {
    let upstream = Upstream::scripted([stalls_at(&Gate::new())]).await;
    let gateway = Setup::anthropic(&upstream).start().await;
    let key = gateway.any_key().await;
    let mut stream = gateway.stream(&Call::messages(&key, &ask_stream("hello"))).await;
    assert_eq!(stream.event().await.unwrap().name, "message_start");
    assert_eq!(upstream.requests()[0].ending, Ending::Running);
    let left = Instant::now();
    stream.reset();
    assert_eq!(upstream.ending(0).await, Ending::PeerLeft);
    assert!(
        left.elapsed() < Duration::from_secs(2),
        "took {:?}",
        left.elapsed()
    );
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_closes_the_upstream_at_once() {
    let upstream = Upstream::scripted([vec![Step::Hang]]).await;
    let gateway = Setup::anthropic(&upstream).start().await;
    let key = gateway.any_key().await;
    for (index, body) in [ask_stream("hello"), ask("hello")].iter().enumerate() {
        let call = Call::messages(&key, body);
        let mut connection = gateway.connect().await;
        connection.send(&call.head_bytes()).await;
        connection.send(&call.body_bytes()).await;
        upstream.wait_for(index + 1).await;
        let left = Instant::now();
        drop(connection);
        assert_eq!(upstream.ending(index).await, Ending::PeerLeft);
        assert!(
            left.elapsed() < Duration::from_secs(2),
            "took {:?}",
            left.elapsed()
        );
    }
}
