//! HTTP/2 from clients, over TLS and in plain: what is negotiated, what is bounded, how it ends.

use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName};
use serde_json::json;

use crate::support::anthropic_sim;
use crate::support::client::{Call, GATEWAY_NAME};
use crate::support::gateway::{Gateway, Protocol};
use crate::support::prompt::{ask, ask_stream};
use crate::support::setup::{MODEL, Setup};
use crate::support::sse::anthropic_event;
use crate::support::tls::Authority;
use crate::support::upstream::{Ending, Gate, Step, Upstream, chunk, end, stream_head};
use crate::support::wait::until;

/// A gateway whose clients speak HTTP/2 without TLS.
async fn plain(upstream: &Upstream) -> Gateway {
    let mut gateway = Setup::anthropic(upstream)
        .set("server", "h2c", "true")
        .start()
        .await;
    gateway.protocol = Protocol::Http2;
    gateway
}

/// An upstream that begins an answer and ends it when the gate opens.
async fn begun(gate: &Gate) -> Upstream {
    let start = json!({"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant",
        "model": MODEL, "content": [], "stop_reason": null, "usage": {"input_tokens": 1, "output_tokens": 1}}});
    let rest = [
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}}),
        json!({"type": "message_stop"}),
    ];
    let mut script = vec![
        stream_head(&[]),
        chunk(&anthropic_event(&start)),
        Step::Wait(gate.clone()),
    ];
    script.extend(rest.iter().map(|event| chunk(&anthropic_event(event))));
    script.push(end());
    Upstream::scripted([script]).await
}

async fn check_serves_both_kinds_of_answers(gateway: &Gateway, key: &str) {
    let answer = gateway.call(&Call::messages(key, &ask("hello"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["content"][0]["text"], anthropic_sim::TEXT);
    answer.request_id();
    let mut stream = gateway.stream(&Call::messages(key, &ask_stream("hello"))).await;
    assert_eq!(stream.status(), 200);
    for foreign in ["transfer-encoding", "connection", "keep-alive"] {
        let is_http2 = gateway.protocol == Protocol::Http2;
        assert!(
            !is_http2 || stream.head.header(foreign).is_none(),
            "{foreign} is not HTTP/2"
        );
    }
    let events = stream.events().await;
    assert_eq!(events.first().unwrap().name, "message_start");
    assert_eq!(events.last().unwrap().name, "message_stop");
}

#[tokio::test]
async fn answers_and_streams_without_tls() {
    let sim = anthropic_sim::start().await;
    let mut gateway = plain(&sim).await;
    let key = gateway.any_key().await;
    check_serves_both_kinds_of_answers(&gateway, &key).await;
    gateway.protocol = Protocol::Http1;
    check_serves_both_kinds_of_answers(&gateway, &key).await;
}

#[tokio::test]
async fn heads_shorter_than_the_preface_are_answered_on_the_same_port() {
    let sim = anthropic_sim::start().await;
    let gateway = plain(&sim).await;
    for short in [
        "GET / HTTP/1.0\r\n\r\n",
        "P\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nNO\r\n\r\n",
    ] {
        let mut connection = gateway.connect().await;
        for byte in short.bytes() {
            connection.send(&[byte]).await;
        }
        let head = connection.head().await;
        assert!(
            head.is_some_and(|head| head.start.starts_with("HTTP/1.")),
            "{short:?}"
        );
    }
}

#[tokio::test]
async fn answers_and_streams_over_tls() {
    let authority = Authority::new("listener");
    let sim = anthropic_sim::start().await;
    let setup = Setup::anthropic(&sim).tls(&authority.server(&[GATEWAY_NAME]), "");
    let mut gateway = setup.start().await;
    gateway.tls = Some(authority.trusting_client(&["h2"], None));
    gateway.protocol = Protocol::Http2;
    let key = gateway.any_key().await;
    check_serves_both_kinds_of_answers(&gateway, &key).await;
}

#[tokio::test]
async fn without_tls_it_is_off_until_switched_on() {
    let sim = anthropic_sim::start().await;
    let gateway = Setup::anthropic(&sim).start().await;
    let begun = gateway.connect().await.http2().await;
    let refused = match begun {
        Err(_) => true,
        Ok(mut connection) => connection.open(&Call::new("GET", "/")).await.is_err(),
    };
    assert!(refused);
}

#[tokio::test]
async fn refusals_have_status_and_shape() {
    let sim = anthropic_sim::start().await;
    let gateway = plain(&sim).await;
    let answer = gateway
        .call(&Call::messages("tg_live_wrong", &ask("hello")))
        .await;
    assert_eq!(
        (answer.status, answer.error_type().as_str()),
        (401, "authentication_error")
    );
    let answer = gateway.call(&Call::new("GET", "/v1/nothing")).await;
    assert_eq!(answer.status, 404);
    assert_eq!(sim.connections(), 0);
}

#[tokio::test]
async fn one_connection_carries_many_requests_within_a_bound() {
    let gate = Gate::new();
    let upstream = begun(&gate).await;
    let gateway = plain(&upstream).await;
    let call = Call::messages(&gateway.any_key().await, &ask_stream("hello"));
    let mut connection = gateway.connect_http2().await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(connection.open(&call).await.expect("an answer begins"));
    }
    assert_eq!(connection.streams_max().await, 100);
    gate.open();
    for (head, mut body) in streams {
        assert_eq!(head.word(1), "200");
        let mut text = Vec::new();
        while let Some(piece) = body.piece().await.expect("a proper end") {
            text.extend_from_slice(&piece);
        }
        assert!(String::from_utf8_lossy(&text).contains("message_stop"));
    }
}

#[tokio::test]
async fn a_client_that_gives_up_one_stream_ends_it_upstream_and_no_other() {
    let gate = Gate::new();
    let upstream = begun(&gate).await;
    let gateway = plain(&upstream).await;
    let call = Call::messages(&gateway.any_key().await, &ask_stream("hello"));
    let mut connection = gateway.connect_http2().await;
    let (_, mut left) = connection.open(&call).await.expect("an answer begins");
    assert!(left.piece().await.expect("a piece").is_some());
    let (_, mut kept) = connection.open(&call).await.expect("an answer begins");
    left.cancel();
    assert_eq!(upstream.ending(0).await, Ending::PeerLeft);
    gate.open();
    while kept.piece().await.expect("a proper end").is_some() {}
    assert_eq!(upstream.ending(1).await, Ending::Finished);
}

#[tokio::test]
async fn a_head_beyond_the_bound_is_refused_and_the_connection_lives() {
    let sim = anthropic_sim::start().await;
    let gateway = plain(&sim).await;
    let key = gateway.any_key().await;
    let mut connection = gateway.connect_http2().await;
    let huge = Call::messages(&key, &ask("hello")).header("x-padding", &"p".repeat(70_000));
    match connection.open(&huge).await {
        Ok((head, _)) => assert_eq!(head.word(1), "431"),
        Err(error) => assert!(error.is_reset(), "{error}"),
    }
    assert_eq!(sim.count(), 0);
    let answer = connection.call(&Call::messages(&key, &ask("hello"))).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_body_of_another_length_than_announced_goes_nowhere() {
    let sim = anthropic_sim::start().await;
    let gateway = plain(&sim).await;
    let key = gateway.any_key().await;
    let mut connection = gateway.connect_http2().await;
    let body = ask("hello").to_string().into_bytes();
    for wrong in [body.len() - 1, body.len() + 1] {
        let call = Call::post_bytes("/v1/messages", body.clone())
            .key(&key)
            .header("content-length", &wrong.to_string())
            .chunked(1 << 20);
        let refused = match connection.open(&call).await {
            Err(error) => error.is_reset(),
            Ok((head, _)) => head.word(1) == "408" || head.word(1) == "400",
        };
        assert!(refused, "{wrong} announced, {} sent", body.len());
    }
    assert_eq!(sim.count(), 0);
}

#[tokio::test]
async fn a_node_that_stops_says_goaway_and_finishes_what_runs() {
    let gate = Gate::new();
    let upstream = begun(&gate).await;
    let mut gateway = plain(&upstream).await;
    let call = Call::messages(&gateway.any_key().await, &ask_stream("hello"));
    let mut connection = gateway.connect_http2().await;
    let (_, mut body) = connection.open(&call).await.expect("an answer begins");
    assert!(body.piece().await.expect("a piece").is_some());
    gateway.terminate();
    // Once GOAWAY has come, this side may begin nothing new.
    until("GOAWAY", async || {
        let asked = connection.open(&Call::new("GET", "/")).await;
        asked
            .err()
            .map(|error| assert!(error.is_go_away() || error.is_io(), "{error}"))
    })
    .await;
    gate.open();
    let mut text = Vec::new();
    while let Some(piece) = body.piece().await.expect("the stream ends properly") {
        text.extend_from_slice(&piece);
    }
    assert!(String::from_utf8_lossy(&text).contains("message_stop"));
    assert!(gateway.ended().await.success());
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_end() {
    let sim = anthropic_sim::start().await;
    let mut gateway = plain(&sim).await;
    let key = gateway.any_key().await;
    let mut connection = gateway.connect_http2().await;
    assert_eq!(
        connection.call(&Call::messages(&key, &ask("hello"))).await.status,
        200
    );
    let told = Instant::now();
    gateway.terminate();
    assert!(gateway.ended().await.success());
    assert!(
        told.elapsed() < Duration::from_secs(3),
        "took {:?}",
        told.elapsed()
    );
    let _ = connection.closed().await;
}

#[tokio::test]
async fn a_quiet_connection_is_closed_and_a_busy_one_is_not() {
    let gate = Gate::new();
    let upstream = begun(&gate).await;
    let mut gateway = Setup::anthropic(&upstream)
        .set("server", "h2c", "true")
        .set("timeouts", "client_idle", "\"1s\"")
        .start()
        .await;
    let call = Call::messages(&gateway.any_key().await, &ask_stream("hello"));
    gateway.protocol = Protocol::Http2;
    // The upstream is silent for longer than a quiet connection may live.
    let mut busy = gateway.connect_http2().await;
    let (_, mut body) = busy.open(&call).await.expect("an answer begins");
    assert!(body.piece().await.expect("a piece").is_some());
    // One after a request, one before any; and their brothers of HTTP/1.1.
    let mut quiet = gateway.connect_http2().await;
    assert_eq!(quiet.call(&Call::new("GET", "/")).await.status, 200);
    let asked = Instant::now();
    let silent = gateway.connect_http2().await;
    let mut plain = gateway.connect().await;
    assert_eq!(plain.call(&Call::new("GET", "/")).await.status, 200);
    let mut slow = gateway.connect().await;
    slow.send(b"GET / HTTP/1.1\r\nhost: gate").await;
    quiet.given_up().await;
    assert!(
        asked.elapsed() >= Duration::from_millis(900),
        "closed after {:?}",
        asked.elapsed()
    );
    silent.given_up().await;
    assert_eq!(plain.rest().await, b"");
    assert_eq!(slow.rest().await, b"");
    gate.open();
    let mut text = Vec::new();
    while let Some(piece) = body.piece().await.expect("the stream ends properly") {
        text.extend_from_slice(&piece);
    }
    assert!(String::from_utf8_lossy(&text).contains("message_stop"));
}

#[tokio::test]
async fn trailers_are_no_headers_and_go_nowhere() {
    let sim = anthropic_sim::start().await;
    let gateway = plain(&sim).await;
    let key = gateway.any_key().await;
    let mut connection = gateway.connect_http2().await;
    let trailers: HeaderMap = [
        ("x-api-key", key.as_str()),
        ("anthropic-beta", "of-the-trailer"),
        ("x-checksum", "of-the-trailer"),
    ]
    .into_iter()
    .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
    .collect();
    let call = Call::messages(&key, &ask("hello"));
    let status = connection.call_with_trailers(&call, trailers.clone()).await;
    assert_eq!(status.expect("an answer"), 200);
    let upstream = sim.bytes();
    let text = String::from_utf8_lossy(&upstream);
    assert!(!text.contains("of-the-trailer") && !text.contains(&key), "{text}");
    assert_eq!(
        sim.last().body,
        ask("hello").to_string().into_bytes(),
        "the body as it came"
    );
    // A credential behind the body is none.
    let bare = Call::post("/v1/messages", &ask("hello"));
    let status = connection.call_with_trailers(&bare, trailers).await;
    assert_eq!(status.expect("an answer"), 401);
    assert_eq!(sim.count(), 1);
    // The same in chunks of HTTP/1.1.
    let body = ask("hello").to_string();
    let request = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: gateway.test\r\nx-api-key: {key}\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\nx-checksum: of-the-trailer\r\n\r\n",
        body.len()
    );
    let mut plain = gateway.connect().await;
    plain.send(request.as_bytes()).await;
    let answer = plain.answer("POST").await.expect("an answer");
    assert!(answer.status == 200, "{}", answer.text());
    assert!(!String::from_utf8_lossy(&sim.bytes()).contains("of-the-trailer"));
}
