//! Secrets in prompts: blocked where a person just typed them, taken out where they only ride along.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::anthropic_sim;
use crate::support::client::Call;
use crate::support::gateway::Gateway;
use crate::support::prompt::ask;
use crate::support::records::{rows_of, text};
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;

/// Spelled apart, so that this file does not look like a leak.
const SECRET: &str = concat!("AKI", "AQ3EGSMBKV7XJ2L4N");

async fn gateway() -> (Gateway, Upstream, String) {
    let sim = anthropic_sim::start().await;
    let gateway = Setup::anthropic(&sim).start().await;
    let key = gateway.any_key().await;
    (gateway, sim, key)
}

fn assert_unwritten(gateway: &Gateway) {
    assert_eq!(
        gateway.home.files_containing(SECRET),
        Vec::<PathBuf>::new(),
        "the secret was written down"
    );
}

#[tokio::test]
async fn in_new_text_it_is_blocked_and_not_repeated() {
    let (gateway, sim, key) = gateway().await;
    for (agent, status) in [("x", 403), ("claude-cli/2.1.329 (external, cli)", 451)] {
        let body = ask(&format!("deploy with {SECRET} please"));
        let answer = gateway
            .call(&Call::messages(&key, &body).header("user-agent", agent))
            .await;
        assert_eq!(
            (answer.status, answer.error_type().as_str()),
            (status, "permission_error"),
            "{}",
            answer.text()
        );
        assert_eq!(answer.header("x-should-retry"), Some("false"));
        assert!(!answer.text().contains(SECRET), "never the secret");
        let message = answer.error_message();
        assert!(
            message.contains("messages") && message.contains("aws-access-key-id"),
            "place and kind: {message}"
        );
        let audit = rows_of(&gateway, "audit", &answer.request_id()).await;
        assert_eq!(text(&audit[0], "decision"), "deny");
    }
    assert_unwritten(&gateway);
    assert_eq!(sim.connections(), 0);
}

#[tokio::test]
async fn no_odd_shape_hides_it() {
    let (gateway, sim, key) = gateway().await;
    let blocks = [
        json!([{"type": "text", "text": [SECRET]}]),
        json!([{"type": "text", "text": {"value": SECRET}}]),
        json!([{"type": "of_tomorrow", "text": SECRET}]),
        json!([{"type": "of_tomorrow", "deep": {"er": [SECRET]}}]),
        json!([{"text": SECRET}]),
        json!([{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": SECRET}}]),
    ];
    for content in blocks {
        let mut body = ask("hello");
        body["messages"][0]["content"] = content.clone();
        let answer = gateway.call(&Call::messages(&key, &body)).await;
        assert!(
            [400, 403].contains(&answer.status),
            "{content}: {}",
            answer.text()
        );
    }
    assert_eq!(sim.connections(), 0);
}

#[tokio::test]
async fn an_escaped_secret_is_the_same_secret() {
    let (gateway, sim, key) = gateway().await;
    let escaped = SECRET.replacen('A', r"\u0041", 1);
    let body = ask("PLACE").to_string().replace("PLACE", &escaped);
    let answer = gateway
        .call(&Call::post_bytes("/v1/messages", body.into_bytes()).key(&key))
        .await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert_eq!(sim.connections(), 0);
}

/// Sends the body twice and returns what the upstream got: the same bytes, without the secret.
async fn redacted(gateway: &Gateway, sim: &Upstream, key: &str, body: &Value) -> String {
    let before = sim.count();
    for _ in 0..2 {
        let answer = gateway.call(&Call::messages(key, body)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let sent: Vec<Vec<u8>> = sim
        .requests()
        .into_iter()
        .skip(before)
        .map(|request| request.body)
        .collect();
    assert_eq!(sent[0], sent[1], "byte-stable, or prompt caches miss");
    let sent = String::from_utf8(sent[0].clone()).unwrap();
    assert!(!sent.contains(SECRET), "{sent}");
    sent
}

#[tokio::test]
async fn elsewhere_it_is_taken_out_and_the_conversation_goes_on() {
    let (gateway, sim, key) = gateway().await;
    let leak = format!("the key is {SECRET}, as you know");
    let in_system = {
        let mut body = ask("hello");
        body["system"] = json!(leak);
        body
    };
    let in_an_earlier_turn = {
        let mut body = ask("hello");
        body["messages"] = json!([{"role": "user", "content": leak}, {"role": "assistant", "content": "noted"},
            {"role": "user", "content": "go on"}]);
        body
    };
    let in_a_tool_result = {
        let mut body = ask("hello");
        let used = json!({"type": "tool_use", "id": "toolu_1", "name": "read", "input": {}});
        let result = json!({"type": "tool_result", "tool_use_id": "toolu_1", "content": leak});
        body["messages"] = json!([{"role": "user", "content": "read it"}, {"role": "assistant", "content": [used]},
            {"role": "user", "content": [result]}]);
        body
    };
    for body in [in_system, in_an_earlier_turn, in_a_tool_result] {
        let sent = redacted(&gateway, &sim, &key, &body).await;
        let (front, back) = (body.to_string(), "as you know");
        let kept = front.split(SECRET).next().unwrap();
        assert!(
            sent.starts_with(kept) && sent.contains(back),
            "all other bytes stay: {sent}"
        );
    }
    assert_unwritten(&gateway);
}

#[tokio::test]
async fn what_only_looks_like_one_passes_untouched() {
    let (gateway, sim, key) = gateway().await;
    let body = ask(concat!(
        "AKI",
        "AIOSFODNN7EXAMPLE and ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
    ));
    assert_eq!(gateway.call(&Call::messages(&key, &body)).await.status, 200);
    assert_eq!(sim.last().body, body.to_string().into_bytes());
}
