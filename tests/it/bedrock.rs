//! Clients of Messages over Claude on Amazon Bedrock.

use serde_json::{Value, json};

use crate::support::anthropic_sim::TEXT;
use crate::support::bedrock_sim::{self, ACCESS_KEY, REGION};
use crate::support::client::Call;
use crate::support::gateway::Gateway;
use crate::support::setup::{MODEL, Setup, UPSTREAM_KEY};
use crate::support::sse::Event;
use crate::support::upstream::Upstream;

/// The model that is asked for upstream: a name that must be encoded.
const SERVED: &str = "arn:aws:bedrock:eu-central-1:1:inference-profile/eu.anthropic.claude-sonnet-4-6-v1:0";

fn setup(sim: &Upstream, options: &str) -> Setup {
    Setup::new()
        .each_upstream(&format!("options = {{ region = \"{REGION}\"{options} }}\n"))
        .upstream("sim", "bedrock", &sim.url())
        .set("resilience", "rest_max", "\"1ms\"")
        .model(MODEL)
        .route("claude-*", &["sim"], Some(SERVED))
}

async fn over(sim: &Upstream, options: &str) -> (Gateway, String) {
    let gateway = setup(sim, options).start().await;
    let key = gateway.any_key().await;
    (gateway, key)
}

fn signed() -> String {
    format!(", access_key_id = \"{ACCESS_KEY}\"")
}

fn ask(words: &str, stream: bool) -> Value {
    json!({"model": MODEL, "max_tokens": 100, "stream": stream, "messages": [{"role": "user", "content": words}]})
}

fn said(events: &[Value]) -> String {
    events
        .iter()
        .filter_map(|event| event["delta"]["text"].as_str())
        .collect()
}

#[tokio::test]
async fn requests_are_signed_and_answers_are_messages() {
    let sim = bedrock_sim::start().await;
    for options in [signed(), String::new()] {
        let (gateway, key) = over(&sim, &options).await;
        let whole = gateway.call(&Call::messages(&key, &ask("hello", false))).await;
        assert_eq!(whole.status, 200, "{}", whole.text());
        assert_eq!(
            (&whole.json()["content"][0]["text"], &whole.json()["model"]),
            (&json!(TEXT), &json!(MODEL))
        );
        let encoded = SERVED.replace(':', "%3A").replace('/', "%2F");
        assert_eq!(sim.last().target(), format!("/model/{encoded}/invoke"));
        let stream = gateway.call(&Call::messages(&key, &ask("hello", true))).await;
        let events: Vec<Value> = stream.events().iter().map(Event::json).collect();
        assert_eq!(said(&events), TEXT, "{}", stream.text());
        assert_eq!(events.last().unwrap()["type"], "message_stop");
        assert_eq!(events[0]["message"]["model"], MODEL);
        assert_eq!(
            sim.last().target(),
            format!("/model/{encoded}/invoke-with-response-stream")
        );
        assert!(sim.last().head.header("anthropic-version").is_none());
        let sent = String::from_utf8_lossy(&sim.bytes()).into_owned();
        assert!(!sent.contains(&key), "the client's key stays here");
        assert!(
            options.is_empty() || !sent.contains(UPSTREAM_KEY),
            "a secret that signs is not sent"
        );
    }
}

/// The negative control of the simulation: it tells a wrong secret from the right one.
#[tokio::test]
async fn a_wrong_secret_is_refused_and_not_the_clients_fault() {
    let sim = bedrock_sim::start().await;
    let gateway = setup(&sim, &signed())
        .variable("UPSTREAM_KEY", "another-secret")
        .start()
        .await;
    let key = gateway.any_key().await;
    let answer = gateway.call(&Call::messages(&key, &ask("hello", false))).await;
    assert_eq!(
        (answer.status, answer.error_type().as_str()),
        (502, "api_error"),
        "{}",
        answer.text()
    );
    assert_eq!(sim.count(), 1);
}

#[tokio::test]
async fn unknown_betas_are_dropped_with_a_report() {
    let sim = bedrock_sim::start().await;
    let (gateway, key) = over(&sim, &signed()).await;
    let mut body = ask("hello", false);
    body["speed"] = json!("standard");
    body["system"] =
        json!([{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "scope": "global"}}]);
    let call = Call::post("/v1/messages?beta=true", &body)
        .key(&key)
        .header("anthropic-version", "2026-10-21")
        .header(
            "anthropic-beta",
            "claude-code-20250219,interleaved-thinking-2025-05-14",
        );
    let answer = gateway.call(&call).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.header("x-tollgate-dropped"),
        Some("anthropic-beta:claude-code-20250219, speed")
    );
    assert_eq!(
        sim.last().json()["anthropic_beta"],
        json!(["interleaved-thinking-2025-05-14"])
    );
}

#[tokio::test]
async fn failures_become_the_clients_errors() {
    let sim = bedrock_sim::start().await;
    let (gateway, key) = over(&sim, &signed()).await;
    for (status, told, kind) in [
        (400, 400, "invalid_request_error"),
        (403, 502, "api_error"),
        (404, 404, "not_found_error"),
        (408, 504, "timeout_error"),
        (424, 500, "api_error"),
        (429, 429, "rate_limit_error"),
        (500, 500, "api_error"),
        (503, 529, "overloaded_error"),
    ] {
        let asked = ask(&format!("sim:status-{status}"), false);
        let answer = gateway.call(&Call::messages(&key, &asked)).await;
        assert_eq!(
            (answer.status, answer.error_type().as_str()),
            (told, kind),
            "{status}: {}",
            answer.text()
        );
    }
    for (wish, kind) in [
        ("mid-error", "rate_limit_error"),
        ("bad-frame", "api_error"),
        ("die", "api_error"),
    ] {
        let answer = gateway
            .call(&Call::messages(&key, &ask(&format!("sim:{wish}"), true)))
            .await;
        // What fails before anything was sent has a status of its own.
        let told = answer.events().last().map_or_else(|| answer.json(), Event::json);
        assert_eq!(told["error"]["type"], kind, "{wish}");
    }
    let mut body = ask("hello", false);
    body["messages"][0]["content"] =
        json!([{"type": "image", "source": {"type": "url", "url": "https://x.example/i"}}]);
    let before = sim.count();
    let answer = gateway.call(&Call::messages(&key, &body)).await;
    assert!(
        (400..500).contains(&answer.status) && sim.count() == before,
        "{}",
        answer.text()
    );
}
