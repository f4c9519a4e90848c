//! Clouds that serve Claude in forms of their own: what arrives is what their own client would have sent.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::anthropic_sim;
use crate::support::client::Call;
use crate::support::setup::{Setup, UPSTREAM_KEY};
use crate::support::upstream::{Received, Upstream};

/// A recorded request of Claude Code to a cloud.
fn recorded(name: &str) -> Value {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/fixtures/claude-code/cloud-formats");
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Sends this body to `/v1/messages` as Claude Code does, and returns what the upstream got and what was dropped.
async fn sent(provider: &str, base: &str, more: &str, body: &Value) -> (Received, Option<String>) {
    let text = json!({"type": "text", "text": anthropic_sim::TEXT});
    let sim = Upstream::start(move |got| anthropic_sim::says(&got.json(), std::slice::from_ref(&text))).await;
    let setup = Setup::new().each_upstream(more);
    let setup = setup.upstream("cloud", provider, &format!("{}{base}", sim.url()));
    let gateway = setup.route("*", &["cloud"], None).start().await;
    let key = gateway.any_key().await;
    let call = Call::bare("POST", "/v1/messages?beta=true", body.to_string().into_bytes())
        .header("x-api-key", &key)
        .header("content-type", "application/json")
        .header("anthropic-version", "2023-06-01")
        .header(
            "anthropic-beta",
            "interleaved-thinking-2025-05-14,fast-mode-2026-02-01",
        );
    let answer = gateway.call(&call).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains("event: message_stop"), "{}", answer.text());
    let dropped = answer.header("x-tollgate-dropped").map(str::to_owned);
    (sim.last(), dropped)
}

#[tokio::test]
async fn vertex_gets_what_claude_code_sends_it() {
    let recorded = recorded("vertex-stream-raw-predict.json");
    let mut body = recorded["body"].clone();
    let members = body.as_object_mut().unwrap();
    members.shift_remove("anthropic_version");
    members.shift_insert(0, "model".to_owned(), "claude-sonnet-4-5@20250929".into());
    let options = "options = { project = \"proj\", location = \"us-east5\" }\n";
    let (got, dropped) = sent("vertex", "/vertex", options, &body).await;
    assert_eq!(got.target(), recorded["path"].as_str().unwrap());
    assert_eq!(got.json(), recorded["body"]);
    let messages = r#""messages":["#.as_bytes();
    let (client, upstream) = (body.to_string(), &got.body);
    let tail = |bytes: &[u8]| bytes[memchr::memmem::find(bytes, messages).unwrap()..].to_vec();
    assert_eq!(tail(client.as_bytes()), tail(upstream), "the client's bytes");
    assert_eq!(
        got.head.header("authorization"),
        Some(format!("Bearer {UPSTREAM_KEY}").as_str())
    );
    assert_eq!(got.head.header("anthropic-version"), None);
    assert_eq!(
        got.head.header("anthropic-beta"),
        Some("interleaved-thinking-2025-05-14")
    );
    assert_eq!(dropped.as_deref(), Some("anthropic-beta:fast-mode-2026-02-01"));
}

#[tokio::test]
async fn foundry_gets_what_claude_code_sends_it() {
    let recorded = recorded("foundry-messages.json");
    let body = &recorded["body"];
    let (got, dropped) = sent("foundry", "/foundry", "", body).await;
    assert_eq!(got.path(), recorded["path"].as_str().unwrap());
    assert_eq!(got.target(), "/foundry/v1/messages?beta=true");
    assert_eq!(got.body, body.to_string().into_bytes());
    assert_eq!(got.head.header("x-api-key"), Some(UPSTREAM_KEY));
    assert_eq!(got.head.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(dropped, None);
    let betas = got.head.header("anthropic-beta");
    assert_eq!(
        betas,
        Some("interleaved-thinking-2025-05-14,fast-mode-2026-02-01")
    );
}
