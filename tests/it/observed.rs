//! What the gateway says about itself: one log line per request, and the trace that goes through it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::anthropic_sim;
use crate::support::client::Call;
use crate::support::gateway::Gateway;
use crate::support::prompt::{ask, ask_stream};
use crate::support::records::{rows_of, text};
use crate::support::setup::{MODEL, Setup, UPSTREAM_KEY};
use crate::support::upstream::{Step, Upstream};
use crate::support::wait::until;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// The log's lines about requests, by request id.
fn lines(gateway: &Gateway) -> BTreeMap<String, Value> {
    let log = gateway.home.read("stderr.log");
    let parsed = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_requests = parsed.filter(|line| line["target"] == "tollgate::requests");
    of_requests
        .map(|line| (line["request"].as_str().unwrap().to_owned(), line))
        .collect()
}

async fn line_of(gateway: &Gateway, request: &str) -> Value {
    until(&format!("the log line of {request}"), async || {
        lines(gateway).remove(request)
    })
    .await
}

fn with_json_logs(setup: Setup) -> Setup {
    setup.set("log", "format", "\"json\"")
}

#[tokio::test]
async fn each_request_has_one_line_that_tells_all_but_secrets() {
    let sim = anthropic_sim::start().await;
    let gateway = with_json_logs(Setup::anthropic(&sim)).start().await;
    let key = gateway.any_key().await;
    let prompt = "words-of-the-prompt-7c1f";
    let served = gateway.call(&Call::messages(&key, &ask_stream(prompt))).await;
    let listed = gateway
        .call(&Call::new("GET", "/v1/models").header("x-api-key", &key))
        .await;
    let refused = gateway.call(&Call::messages("tg_live_wrong", &ask(prompt))).await;
    let unknown = gateway.call(&Call::new("GET", "/v1/nothing")).await;

    let line = line_of(&gateway, &served.request_id()).await;
    for (field, value) in [
        ("level", "INFO"),
        ("message", "request"),
        ("endpoint", "messages"),
        ("outcome", "complete"),
        ("tenant", "acme"),
        ("route", "claude-*"),
        ("upstream", "sim"),
    ] {
        assert_eq!(line[field], value, "{line}");
    }
    assert_eq!(
        (&line["status"], &line["generation"], &line["attempts"]),
        (&200.into(), &1.into(), &1.into())
    );
    assert!(
        line["took_us"].as_u64() >= line["first_byte_us"].as_u64(),
        "{line}"
    );
    let row = &rows_of(&gateway, "ai_requests", &served.request_id()).await[0];
    assert_eq!(line["trace"], text(row, "trace_id"));
    assert_eq!(line["policies"].as_str().unwrap().len(), 64);
    assert!(
        line["user"].as_str().unwrap().len() == 36,
        "an id, no name: {line}"
    );

    let line = line_of(&gateway, &listed.request_id()).await;
    assert_eq!(
        (&line["endpoint"], &line["tenant"]),
        (&"models".into(), &"acme".into())
    );
    let line = line_of(&gateway, &refused.request_id()).await;
    assert_eq!(
        (&line["outcome"], &line["kind"], &line["status"]),
        (&"refused".into(), &"not_identified".into(), &401.into())
    );
    assert!(line.get("tenant").is_none(), "{line}");
    let line = line_of(&gateway, &unknown.request_id()).await;
    assert_eq!(
        (&line["endpoint"], &line["status"]),
        (&"none".into(), &404.into())
    );
    assert_eq!(lines(&gateway).len(), 4);
    let log = gateway.log();
    for secret in [key.as_str(), UPSTREAM_KEY, prompt, "ada@acme.test"] {
        assert!(!log.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn the_lines_of_requests_can_be_left_out() {
    let sim = anthropic_sim::start().await;
    let setup = with_json_logs(Setup::anthropic(&sim));
    let mut gateway = setup
        .set("log", "filter", "\"info,tollgate::requests=off\"")
        .start()
        .await;
    let key = gateway.any_key().await;
    assert_eq!(
        gateway.call(&Call::messages(&key, &ask("hello"))).await.status,
        200
    );
    gateway.terminate();
    assert!(gateway.ended().await.success());
    assert!(lines(&gateway).is_empty());
    assert!(
        gateway.log().contains("\"message\":\"stopped\""),
        "the rest is there to the last line"
    );
}

/// Asks with these trace headers over an upstream that fails and one that answers.
async fn traced(setting: &str, headers: &[(&str, &str)]) -> (Gateway, Upstream, Upstream, String) {
    let first = Upstream::scripted([vec![Step::Reset]]).await;
    let second = anthropic_sim::start().await;
    let table = |name: &str, upstream: &Upstream| {
        let url = upstream.url();
        format!("[[upstream]]\nname = \"{name}\"\nprovider = \"anthropic\"\nendpoint = \"{url}\"\n{setting}")
    };
    let setup = with_json_logs(Setup::new())
        .table(&table("first", &first))
        .table(&table("second", &second))
        .model(MODEL)
        .route("claude-*", &["first", "second"], None);
    let gateway = setup.start().await;
    let key = gateway.any_key().await;
    let mut call = Call::messages(&key, &ask("hello"));
    for (name, value) in headers {
        call = call.header(name, value);
    }
    let answer = gateway.call(&call).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let request = answer.request_id();
    (gateway, first, second, request)
}

#[tokio::test]
async fn a_trace_goes_on_through_logs_ledger_and_our_own_upstreams() {
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let headers = [("traceparent", parent.as_str()), ("tracestate", "vendor=1")];
    let (gateway, first, second, request) = traced("trace_context = true\n", &headers).await;
    let row = &rows_of(&gateway, "ai_requests", &request).await[0];
    assert_eq!(text(row, "trace_id"), TRACE);
    let line = line_of(&gateway, &request).await;
    assert_eq!(line["trace"], TRACE);
    let told = |upstream: &Upstream| upstream.last().head.header("traceparent").unwrap().to_owned();
    let (first_told, second_told) = (told(&first), told(&second));
    for told in [&first_told, &second_told] {
        let parts: Vec<&str> = told.split('-').collect();
        assert_eq!((parts[0], parts[1], parts[3]), ("00", TRACE, "01"), "{told}");
        assert!(
            parts[2] != "00f067aa0ba902b7" && parts[2].len() == 16,
            "a span of our own: {told}"
        );
    }
    assert_ne!(first_told, second_told, "each attempt is a span of its own");
    assert_eq!(second.last().head.header("tracestate"), Some("vendor=1"));
}

#[tokio::test]
async fn a_trace_begins_here_where_none_came() {
    let headers = [
        (
            "traceparent",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        ),
        ("tracestate", "vendor=1"),
    ];
    let (gateway, _first, second, request) = traced("trace_context = true\n", &headers).await;
    let told = second.last().head.header("traceparent").unwrap().to_owned();
    let row = &rows_of(&gateway, "ai_requests", &request).await[0];
    assert_eq!(told.split('-').nth(1), Some(text(row, "trace_id")));
    assert_eq!(second.last().head.header("tracestate"), None);
}

#[tokio::test]
async fn strangers_are_told_nothing() {
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let (_gateway, first, second, _request) =
        traced("", &[("traceparent", &parent), ("tracestate", "vendor=1")]).await;
    for upstream in [first, second] {
        let seen = String::from_utf8_lossy(&upstream.bytes()).to_lowercase();
        assert!(!seen.contains("traceparent") && !seen.contains("tracestate") && !seen.contains(TRACE));
    }
}
