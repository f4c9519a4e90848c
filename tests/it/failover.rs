//! The next upstream is tried until the first byte of an answer, and never after it, over HTTP/1.1
//! and HTTP/2 on either side.

use serde_json::json;

use crate::support::anthropic_sim;
use crate::support::client::{Answer, Call};
use crate::support::gateway::{Gateway, Protocol};
use crate::support::prompt::{ask, ask_stream};
use crate::support::setup::{MODEL, Setup};
use crate::support::sides::Sides;
use crate::support::sse::anthropic_event;
use crate::support::upstream::{self, Ending, Script, Step, Upstream, chunk, stream_head};

/// Two upstreams, tried in this order, with deadlines that a test can wait for.
async fn gateway_over(sides: Sides, first: &str, second: &str) -> Gateway {
    let configure = |setup: Setup| {
        setup
            .set("timeouts", "connect", "\"1s\"")
            .set("timeouts", "first_byte", "\"400ms\"")
            .upstream("first", "anthropic", first)
            .upstream("second", "anthropic", second)
            .model(MODEL)
            .route("claude-*", &["first", "second"], None)
    };
    sides.start(configure).await
}

fn overloaded(status: u16) -> Script {
    let body = json!({"type": "error", "error": {"type": "overloaded_error", "message": format!("status {status}")}});
    upstream::json(status, &body)
}

async fn ask_hello(gateway: &Gateway) -> Answer {
    let key = gateway.any_key().await;
    gateway.call(&Call::messages(&key, &ask("hello"))).await
}

/// The first upstream fails like this: the second one answers, and gets the same bytes.
async fn check_fails_over(name: &str, failure: Script) {
    for sides in Sides::ALL {
        let first = Upstream::scripted([failure.clone()]).await;
        let second = anthropic_sim::start().await;
        let gateway = gateway_over(sides, &first.url(), &second.url()).await;
        let answer = ask_hello(&gateway).await;
        assert_eq!(answer.status, 200, "{name} {sides:?}: {}", answer.text());
        assert_eq!(answer.json()["content"][0]["text"], anthropic_sim::TEXT, "{name}");
        assert_eq!((first.count(), second.count()), (1, 1), "{name}");
        assert_eq!(first.last().body, second.last().body, "{name}");
    }
}

#[tokio::test]
async fn after_a_reset_before_the_head() {
    check_fails_over("reset", vec![Step::Reset]).await;
}

#[tokio::test]
async fn after_a_close_before_the_head() {
    check_fails_over("close", vec![Step::Close]).await;
}

#[tokio::test]
async fn after_503_429_and_529() {
    for status in [503, 429, 529] {
        check_fails_over(&status.to_string(), overloaded(status)).await;
    }
}

#[tokio::test]
async fn after_a_head_that_does_not_come_in_time() {
    check_fails_over("slow head", vec![Step::Hang]).await;
}

#[tokio::test]
async fn after_a_garbled_head() {
    check_fails_over(
        "garbage",
        vec![Step::Send(b"this is no HTTP\r\n\r\n".to_vec()), Step::Close],
    )
    .await;
}

#[tokio::test]
async fn after_a_refused_connection() {
    for sides in Sides::ALL {
        let second = anthropic_sim::start().await;
        let refusing = format!("http://{}", Upstream::refusing().await);
        let gateway = gateway_over(sides, &refusing, &second.url()).await;
        assert_eq!(ask_hello(&gateway).await.status, 200);
        assert_eq!(second.count(), 1);
    }
}

#[tokio::test]
async fn with_expect_100_continue() {
    for sides in Sides::ALL {
        let first = Upstream::scripted([vec![Step::Reset]]).await;
        let second = anthropic_sim::start().await;
        let gateway = gateway_over(sides, &first.url(), &second.url()).await;
        let key = gateway.any_key().await;
        let call = Call::messages(&key, &ask("hello")).header("Expect", "100-continue");
        let status = match sides.client {
            Protocol::Http1 => {
                let mut connection = gateway.connect().await;
                connection.send(&call.head_bytes()).await;
                assert_eq!(connection.head().await.unwrap().word(1), "100");
                connection.send(&call.body_bytes()).await;
                connection.answer("POST").await.unwrap().status
            }
            // No interim answer is owed in HTTP/2, and this client does not wait for one.
            Protocol::Http2 => gateway.call(&call).await.status,
        };
        assert_eq!(status, 200, "{sides:?}");
        assert_eq!((first.count(), second.count()), (1, 1), "{sides:?}");
    }
}

#[tokio::test]
async fn connections_to_upstreams_are_kept() {
    for sides in Sides::ALL {
        let sim = anthropic_sim::start().await;
        let gateway = gateway_over(sides, &sim.url(), &sim.url()).await;
        let key = gateway.any_key().await;
        let kinds = [false, false, true, false, true, false];
        for body in kinds.map(|stream| if stream { ask_stream("hello") } else { ask("hello") }) {
            assert_eq!(gateway.call(&Call::messages(&key, &body)).await.status, 200);
        }
        let used: Vec<usize> = sim.requests().iter().map(|request| request.connection).collect();
        assert_eq!(used[..3], [0, 0, 0]);
        // The end of a stream reaches the client a moment before its connection is free again.
        assert!(used.iter().max() <= Some(&1), "{used:?}");
    }
}

#[tokio::test]
async fn a_stale_pooled_connection_is_no_failure_of_the_upstream() {
    for sides in Sides::ALL {
        let once = vec![
            upstream::json(200, &json!({"type": "message", "model": MODEL}))[0].clone(),
            Step::Close,
        ];
        let first = Upstream::scripted([once]).await;
        let second = anthropic_sim::start().await;
        let gateway = gateway_over(sides, &first.url(), &second.url()).await;
        let key = gateway.any_key().await;
        for _ in 0..3 {
            assert_eq!(
                gateway.call(&Call::messages(&key, &ask("hello"))).await.status,
                200
            );
        }
        assert_eq!((first.count(), second.count()), (3, 0));
    }
}

#[tokio::test]
async fn never_for_a_request_that_is_itself_wrong() {
    for sides in Sides::ALL {
        let first = Upstream::scripted([overloaded(400)]).await;
        let second = anthropic_sim::start().await;
        let gateway = gateway_over(sides, &first.url(), &second.url()).await;
        let answer = ask_hello(&gateway).await;
        assert_eq!(
            (answer.status, answer.error_message().as_str()),
            (400, "status 400"),
            "relayed as it came"
        );
        assert_eq!(second.connections(), 0);
    }
}

#[tokio::test]
async fn the_status_of_a_foreign_error_decides() {
    for (status, told, kind) in [
        (429, 429, "rate_limit_error"),
        (503, 529, "overloaded_error"),
        (500, 500, "api_error"),
    ] {
        let odd = json!({"error": {"message": "odd", "type": "server_error", "param": null, "code": null}});
        let upstream = Upstream::scripted([upstream::answer(
            status,
            &[("content-type", "application/json"), ("retry-after", "7")],
            odd.to_string().as_bytes(),
        )])
        .await;
        let gateway = Setup::openai(&upstream).start().await;
        let answer = ask_hello(&gateway).await;
        assert_eq!(
            (answer.status, answer.error_type().as_str()),
            (told, kind),
            "{status}: {}",
            answer.text()
        );
        assert_eq!(answer.header("retry-after"), Some("7"), "{status}");
    }
}

#[tokio::test]
async fn never_after_the_first_byte() {
    for sides in Sides::ALL {
        let start = json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
            "model": MODEL, "content": [], "stop_reason": null, "usage": {"input_tokens": 1, "output_tokens": 1}}});
        for last in [Step::Reset, Step::Close] {
            let begun = vec![
                stream_head(&[]),
                chunk(&anthropic_event(&start)),
                Step::Pause(std::time::Duration::from_millis(50)),
                last,
            ];
            let first = Upstream::scripted([begun]).await;
            let second = anthropic_sim::start().await;
            let gateway = gateway_over(sides, &first.url(), &second.url()).await;
            let key = gateway.any_key().await;
            let events = gateway
                .stream(&Call::messages(&key, &ask_stream("hello")))
                .await
                .events()
                .await;
            assert_eq!(events.first().unwrap().name, "message_start");
            assert_eq!(events.last().unwrap().name, "error");
            assert_eq!((first.count(), second.connections()), (1, 0));
        }
    }
}

#[tokio::test]
async fn when_everyone_fails_the_client_learns_the_last_reason() {
    for sides in Sides::ALL {
        let refusing = format!("http://{}", Upstream::refusing().await);
        let busy = Upstream::scripted([overloaded(529)]).await;
        let silent = Upstream::scripted([vec![Step::Hang]]).await;
        let broken = Upstream::scripted([vec![Step::Reset]]).await;
        let cases = [
            (busy.url(), 529, "overloaded_error"),
            (silent.url(), 504, "timeout_error"),
            (broken.url(), 502, "api_error"),
        ];
        for (last, status, kind) in cases {
            let gateway = gateway_over(sides, &refusing, &last).await;
            let answer = ask_hello(&gateway).await;
            assert_eq!(
                (answer.status, answer.error_type().as_str()),
                (status, kind),
                "{}",
                answer.text()
            );
            assert!(!answer.error_message().is_empty());
        }
        assert_eq!(
            silent.ending(0).await,
            Ending::PeerLeft,
            "an upstream that is given up is left"
        );
    }
}
