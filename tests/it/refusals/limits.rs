//! Too large, too slow, cut short, encoded, addressed to nobody.

use std::time::{Duration, Instant};

use crate::refusals::{Table, Wanted};
use crate::support::client::{Call, Connection};
use crate::support::prompt::{ask, ask_of_size};
use crate::support::wire::as_chunk;

const TOO_LARGE: Wanted<'_> = Wanted {
    status: 413,
    kind: "request_too_large",
    words: &["65536"],
};
const TIMED_OUT: Wanted<'_> = Wanted {
    status: 408,
    kind: "invalid_request_error",
    words: &["body"],
};

#[tokio::test]
async fn too_large_is_said_without_reading_on() {
    let mut table = Table::new(|setup| setup.set("server", "body_bytes_max", "\"64 KiB\"")).await;
    let limit = 64 * 1024;
    let over = |size| Call::post_bytes("/v1/messages", ask_of_size(size));
    let exact = over(limit).key(&table.key);
    assert_eq!(table.gateway.call(&exact).await.status, 200);
    for (name, call) in [
        ("one byte over", over(limit + 1)),
        ("one byte over, chunked", over(limit + 1).chunked(1_000)),
        (
            "ten times over, in one chunk",
            over(10 * limit).chunked(10 * limit),
        ),
    ] {
        let call = call.key(&table.key);
        table.refuses(name, &call, TOO_LARGE).await;
    }
    let head = |length: &str| {
        format!(
            "POST /v1/messages HTTP/1.1\r\nHost: x\r\nx-api-key: {}\r\nContent-Length: {length}\r\n\r\n",
            table.key
        )
        .into_bytes()
    };
    let announced = head("9000000000");
    table
        .refuses_bytes(
            "nine gigabytes announced, none sent",
            &announced,
            false,
            TOO_LARGE,
        )
        .await;
    table.finish().await;
}

#[tokio::test]
async fn a_slow_body_ends_at_its_deadline() {
    let mut table = Table::new(|setup| setup.set("timeouts", "body", "\"400ms\"")).await;
    let call = Call::messages(&table.key, &ask("hello"));
    let whole = [call.head_bytes(), call.body_bytes()].concat();
    table
        .refuses_bytes("stops in the middle", &whole[..whole.len() - 3], false, TIMED_OUT)
        .await;
    table
        .refuses_bytes("only a head", &call.head_bytes(), false, TIMED_OUT)
        .await;
    let chunked = call.clone().chunked(4);
    let started = [chunked.head_bytes(), as_chunk(b"{\"mo")].concat();
    table
        .refuses_bytes("stops between chunks", &started, false, TIMED_OUT)
        .await;

    // A byte now and then must not push the deadline back.
    let mut dripping = Connection::open(table.gateway.address).await;
    dripping.send(&call.head_bytes()).await;
    let start = Instant::now();
    let dripper = async {
        for byte in call.body_bytes() {
            dripping.send(&[byte]).await;
            crate::support::wait::pause(Duration::from_millis(50)).await;
            if start.elapsed() > Duration::from_secs(3) {
                break;
            }
        }
        dripping.answer("POST").await
    };
    let answer = dripper.await.expect("an answer");
    assert_eq!(answer.status, 408, "{}", answer.text());
    table.finish().await;
}

#[tokio::test]
async fn a_truncated_body_is_told_from_a_whole_one() {
    let mut table = Table::new(|setup| setup).await;
    let call = Call::messages(&table.key, &ask("hello"));
    let whole = [call.head_bytes(), call.body_bytes()].concat();
    table
        .refuses_bytes("by length", &whole[..whole.len() - 1], true, TIMED_OUT)
        .await;
    let call = call.chunked(7);
    let whole = [call.head_bytes(), call.body_bytes()].concat();
    table
        .refuses_bytes(
            "in chunks, the last chunk missing",
            &whole[..whole.len() - 5],
            true,
            TIMED_OUT,
        )
        .await;
    table
        .refuses_bytes("inside a chunk", &whole[..whole.len() - 9], true, TIMED_OUT)
        .await;
    table.finish().await;
}

#[tokio::test]
async fn encoded_bodies_are_not_unpacked() {
    let mut table = Table::new(|setup| setup).await;
    let wanted = Wanted {
        status: 415,
        kind: "invalid_request_error",
        words: &["content-encoding"],
    };
    for encoding in ["gzip", "br", "zstd", "deflate, gzip", "of-tomorrow"] {
        let call = Call::messages(&table.key, &ask("hello")).header("content-encoding", encoding);
        table.refuses(encoding, &call, wanted).await;
    }
    let plain = Call::messages(&table.key, &ask("hello")).header("content-encoding", "identity");
    assert_eq!(table.gateway.call(&plain).await.status, 200);
    table.finish().await;
}

#[tokio::test]
async fn unknown_models_and_paths() {
    let mut table = Table::new(|setup| setup).await;
    let wanted = |words| Wanted {
        status: 404,
        kind: "not_found_error",
        words,
    };
    let mut body = ask("hello");
    body["model"] = "nobody-has-this".into();
    let call = Call::messages(&table.key, &body);
    table
        .refuses("a model that nobody serves", &call, wanted(&["nobody-has-this"]))
        .await;
    body["model"] = "".into();
    let before = table.sim.count();
    let empty = table.gateway.call(&Call::messages(&table.key, &body)).await;
    assert!(
        [400, 404].contains(&empty.status) && table.sim.count() == before,
        "{}",
        empty.text()
    );
    table.finish().await;

    let mut table = Table::new(|setup| setup).await;
    let call = Call::post("/v1/complete", &ask("hello")).key(&table.key);
    table
        .refuses("a path that nobody serves", &call, wanted(&["path"]))
        .await;
    table.finish_unrecorded(true).await;
}
