//! `GET /v1/models` and the probes that clients send before they sign in.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::anthropic_sim;
use crate::support::client::{Answer, Call};
use crate::support::gateway::Gateway;
use crate::support::setup::Setup;

/// Three models: one that may be used, one without a route, one that a policy withholds from users.
async fn gateway() -> Gateway {
    let sim = anthropic_sim::start().await;
    let withheld = r#"@id("opus-is-for-services") forbid (principal in Role::"user", action == Action::"invoke",
        resource == Model::"claude-opus-4-8");"#;
    Setup::anthropic(&sim)
        .model("claude-opus-4-8")
        .model("unrouted-model")
        .policy(withheld)
        .start()
        .await
}

fn ids(answer: &Answer) -> Vec<String> {
    let list = answer.json();
    list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn the_list_has_every_field_that_claude_clients_read() {
    let gateway = gateway().await;
    let key = gateway.user("bot@acme.test", "service").await.key;
    let answer = gateway
        .call(&Call::new("GET", "/v1/models?limit=1000").key(&key))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        ids(&answer),
        ["claude-sonnet-4-6", "claude-opus-4-8"],
        "declared and routed"
    );
    let list = answer.json();
    assert_eq!(list["has_more"], false);
    assert_eq!(
        (&list["first_id"], &list["last_id"]),
        (&list["data"][0]["id"], &list["data"][1]["id"])
    );
    for model in list["data"].as_array().unwrap() {
        assert_eq!(model["type"], "model");
        assert_eq!(
            model["display_name"],
            format!("The {}", model["id"].as_str().unwrap())
        );
        let created = model["created_at"].as_str().unwrap();
        assert!(
            created.len() >= 20 && created.ends_with('Z'),
            "RFC 3339: {created}"
        );
    }
}

#[tokio::test]
async fn only_what_the_caller_may_use_is_listed() {
    let gateway = gateway().await;
    let key = gateway.any_key().await;
    assert_eq!(
        ids(&gateway.call(&Call::new("GET", "/v1/models").key(&key)).await),
        ["claude-sonnet-4-6"]
    );
}

#[tokio::test]
async fn openai_clients_get_their_shape() {
    let gateway = gateway().await;
    let key = gateway.any_key().await;
    let call = Call::new("GET", "/v1/models").bearer(&key);
    let answer = gateway
        .call(&call.header("user-agent", "OpenAI/Python 3.52.0"))
        .await;
    let list = answer.json();
    assert_eq!((answer.status, list["object"].as_str()), (200, Some("list")));
    let model = &list["data"][0];
    assert_eq!(
        (model["id"].as_str(), model["object"].as_str()),
        (Some("claude-sonnet-4-6"), Some("model"))
    );
    assert!(
        model["created"].is_u64() && model["owned_by"].is_string(),
        "{model}"
    );
}

#[tokio::test]
async fn bearer_tokens_of_newer_sdks_get_the_anthropic_shape() {
    let gateway = gateway().await;
    let key = gateway.any_key().await;
    let call = Call::new("GET", "/v1/models")
        .bearer(&key)
        .header("anthropic-version", "2026-10-21");
    let list = gateway.call(&call).await.json();
    assert_eq!(
        (list["has_more"].as_bool(), list["data"][0]["type"].as_str()),
        (Some(false), Some("model"))
    );
}

#[tokio::test]
async fn the_list_wants_a_credential() {
    let gateway = gateway().await;
    let answer = gateway
        .call(&Call::new("GET", "/v1/models").header("anthropic-version", "2023-06-01"))
        .await;
    assert_eq!(
        (answer.status, answer.error_type().as_str()),
        (401, "authentication_error")
    );
    assert_eq!(answer.header("x-should-retry"), Some("false"));
}

#[tokio::test]
async fn probes_are_answered_quickly_and_without_a_credential() {
    let gateway = gateway().await;
    let start = Instant::now();
    for (method, target) in [("HEAD", "/"), ("HEAD", "/api/hello"), ("GET", "/")] {
        let answer = gateway.call(&Call::new(method, target)).await;
        assert!(answer.status < 400, "{method} {target}: {}", answer.status);
    }
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn unknown_paths_are_not_found() {
    let gateway = gateway().await;
    let key = gateway.any_key().await;
    let targets = [
        "/v1/nothing",
        "/v1/messages/",
        "/v1/messages/batches",
        "/v2/messages",
        "/api/oauth/usage",
        "/metrics",
        "//v1/messages",
    ];
    for target in targets {
        for call in [Call::new("GET", target), Call::new("POST", target).key(&key)] {
            let answer = gateway.call(&call).await;
            assert_eq!(answer.status, 404, "{target}: {}", answer.text());
            assert_ne!(
                answer.json()["error"],
                Value::Null,
                "{target}: a body that says what is wrong"
            );
            answer.request_id();
        }
    }
}
