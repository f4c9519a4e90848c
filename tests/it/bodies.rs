//! Bodies of every size arrive upstream whole, by length and in chunks, untouched and spliced, over
//! HTTP/1.1 and HTTP/2 on either side.

use tollgate::types::digest::Sha256;

use crate::support::anthropic_sim;
use crate::support::client::Call;
use crate::support::gateway::Gateway;
use crate::support::prompt::ask_of_size;
use crate::support::setup::{MODEL, Setup};
use crate::support::sides::Sides;
use crate::support::upstream::Upstream;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Around Pingora's retry buffer of 64 KiB, and far beyond it.
const SIZES: [usize; 5] = [200, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 20 * MIB];

/// The default limit, and the configured one.
const LIMIT: usize = 32 * MIB;

/// A gateway before a simulated upstream, both spoken to in these protocols.
async fn over(sides: Sides, alias: Option<&str>) -> (Gateway, Upstream) {
    let sim = anthropic_sim::start().await;
    let url = sim.url();
    let configure = |setup: Setup| {
        let setup = setup.upstream("sim", "anthropic", &url).model(MODEL);
        setup.route("claude-*", &["sim"], alias)
    };
    (sides.start(configure).await, sim)
}

/// Sends the body in both framings and compares what the upstream got.
async fn check(gateway: &Gateway, sim: &Upstream, key: &str, body: &[u8], expected: &[u8]) {
    for chunk in [None, Some(60_000)] {
        let call = Call::post_bytes("/v1/messages", body.to_vec()).key(key);
        let call = match chunk {
            Some(size) => call.chunked(size),
            None => call,
        };
        let before = sim.count();
        let answer = gateway.call(&call).await;
        let case = format!("{} bytes, chunked: {}", body.len(), chunk.is_some());
        assert_eq!(answer.status, 200, "{case}: {}", answer.text());
        assert_eq!(sim.count(), before + 1, "{case}: exactly one request upstream");
        let received = sim.last();
        assert_eq!(received.body.len(), expected.len(), "{case}");
        assert_eq!(received.digest(), Sha256::of(expected), "{case}: other bytes");
        assert_eq!(
            received.head.header("content-length"),
            Some(expected.len().to_string().as_str()),
            "{case}"
        );
    }
}

async fn check_untouched(sides: Sides) {
    let (gateway, sim) = over(sides, None).await;
    let key = gateway.any_key().await;
    for size in SIZES.into_iter().chain([LIMIT]) {
        let body = ask_of_size(size);
        check(&gateway, &sim, &key, &body, &body).await;
    }
}

#[tokio::test]
async fn untouched_bodies_arrive_byte_for_byte() {
    check_untouched(Sides::ALL[0]).await;
}

#[tokio::test]
async fn untouched_bodies_arrive_from_http2() {
    check_untouched(Sides::ALL[1]).await;
}

#[tokio::test]
async fn untouched_bodies_arrive_over_http2() {
    check_untouched(Sides::ALL[2]).await;
}

#[tokio::test]
async fn untouched_bodies_arrive_from_http2_over_http2() {
    check_untouched(Sides::ALL[3]).await;
}

#[tokio::test]
async fn a_model_alias_changes_nothing_but_the_name() {
    let alias = "claude-an-alias-of-another-length";
    for sides in Sides::ALL {
        let (gateway, sim) = over(sides, Some(alias)).await;
        let key = gateway.any_key().await;
        for size in SIZES {
            let body = ask_of_size(size);
            let expected = String::from_utf8(body.clone()).unwrap().replacen(MODEL, alias, 1);
            check(&gateway, &sim, &key, &body, expected.as_bytes()).await;
        }
    }
}

#[tokio::test]
async fn odd_spelling_survives() {
    let body = format!(
        " {{\r\n\t\"max_tokens\" : 100 ,\"model\":\"{MODEL}\", \"messages\":[ {{\"content\":\"\\u00e9\\/\\ud83d\\ude00 é\",\
         \"role\":\"user\",\"of_tomorrow\":-0.0}}],\"unknown\":{{\"b\":1,\"a\":1.10}} }}\n"
    );
    for sides in Sides::ALL {
        let (gateway, sim) = over(sides, None).await;
        let key = gateway.any_key().await;
        check(&gateway, &sim, &key, body.as_bytes(), body.as_bytes()).await;
    }
}

#[tokio::test]
async fn one_byte_over_the_limit_is_too_large() {
    for sides in Sides::ALL {
        let (gateway, sim) = over(sides, None).await;
        let key = gateway.any_key().await;
        for chunked in [false, true] {
            let call = Call::post_bytes("/v1/messages", ask_of_size(LIMIT + 1)).key(&key);
            let call = if chunked { call.chunked(1 << 20) } else { call };
            let answer = gateway.call(&call).await;
            assert_eq!(
                (answer.status, answer.error_type().as_str()),
                (413, "request_too_large"),
                "{sides:?} chunked: {chunked}"
            );
            let text = answer.error_message();
            assert!(text.contains(&LIMIT.to_string()), "the limit is named: {text}");
        }
        assert_eq!(sim.connections(), 0);
    }
}

#[tokio::test]
async fn empty_and_tiny_bodies_are_refused_and_go_nowhere() {
    for sides in Sides::ALL {
        let (gateway, sim) = over(sides, None).await;
        let key = gateway.any_key().await;
        for body in ["", "{", "1", "{}"] {
            for chunked in [false, true] {
                let call = Call::post_bytes("/v1/messages", body.as_bytes().to_vec()).key(&key);
                let call = if chunked { call.chunked(1) } else { call };
                let answer = gateway.call(&call).await;
                assert_eq!(
                    (answer.status, answer.error_type().as_str()),
                    (400, "invalid_request_error"),
                    "{sides:?} {body:?}"
                );
            }
        }
        assert_eq!(sim.connections(), 0);
    }
}

#[tokio::test]
async fn a_client_that_expects_100_continue_gets_it() {
    let sim = anthropic_sim::start().await;
    let gateway = Setup::anthropic(&sim).start().await;
    let key = gateway.any_key().await;
    let body = ask_of_size(100 * KIB);
    let call = Call::post_bytes("/v1/messages", body.clone())
        .key(&key)
        .header("Expect", "100-continue");
    let mut connection = gateway.connect().await;
    connection.send(&call.head_bytes()).await;
    let interim = connection.head().await.expect("an interim answer");
    assert_eq!(interim.word(1), "100");
    connection.send(&call.body_bytes()).await;
    assert_eq!(connection.answer("POST").await.unwrap().status, 200);
    assert_eq!(sim.last().digest(), Sha256::of(&body));
    assert_eq!(sim.last().head.header("expect"), None);
}

#[tokio::test]
async fn a_refusal_from_the_head_comes_before_100_continue() {
    let sim = anthropic_sim::start().await;
    let gateway = Setup::anthropic(&sim).start().await;
    let call = Call::post_bytes("/v1/messages", ask_of_size(KIB)).header("Expect", "100-continue");
    let mut connection = gateway.connect().await;
    connection.send(&call.head_bytes()).await;
    let first = connection.head().await.expect("an answer without the body");
    assert_eq!(first.word(1), "401");
}
