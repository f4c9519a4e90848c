//! `POST /v1/responses` over upstreams that serve it: bytes in, bytes out, and nothing is kept there.

use serde_json::{Value, json};

use crate::support::anthropic_sim;
use crate::support::client::Call;
use crate::support::openai_sim;
use crate::support::records::{ended, text};
use crate::support::setup::{MODEL, Setup};

fn ask(words: &str) -> Value {
    json!({"model": MODEL, "input": words, "instructions": "Be brief."})
}

fn call(key: &str, body: &Value) -> Call {
    Call::post("/v1/responses", body).bearer(key)
}

#[tokio::test]
async fn a_response_passes_byte_for_byte_and_is_not_kept() {
    let sim = openai_sim::start().await;
    let gateway = Setup::openai(&sim).start().await;
    let key = gateway.any_key().await;
    for stream in [false, true] {
        let mut body = ask("hello");
        body["stream"] = json!(stream);
        let answer = gateway.call(&call(&key, &body)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.text().contains(openai_sim::TEXT), "{}", answer.text());
        let sent = String::from_utf8_lossy(&sim.last().body).into_owned();
        assert_eq!(sent.replacen("\"store\":false,", "", 1), body.to_string());
        assert!(sent.starts_with("{\"store\":false,"), "{sent}");
        assert_eq!(sim.last().path(), "/v1/responses");
        let row = &ended(&gateway, &answer.request_id()).await;
        let counted =
            ["input_tokens", "cache_read_tokens", "output_tokens"].map(|column| row[column].clone());
        assert_eq!(counted, [json!(30), json!(7), json!(15)], "{row:?}");
        assert_eq!(
            (text(row, "client_dialect"), text(row, "outcome")),
            ("openai_responses", "complete")
        );
    }
}

#[tokio::test]
async fn what_would_be_kept_or_run_there_is_refused() {
    let sim = openai_sim::start().await;
    let gateway = Setup::openai(&sim).start().await;
    let key = gateway.any_key().await;
    for (field, value, status, code) in [
        ("store", json!(true), 403, "policy"),
        ("background", json!(true), 403, "policy"),
        (
            "tools",
            json!([{"type": "code_interpreter", "container": {"type": "auto"}}]),
            403,
            "policy",
        ),
        (
            "previous_response_id",
            json!("resp_of_somebody"),
            400,
            "malformed",
        ),
        ("conversation", json!("conv_of_somebody"), 400, "malformed"),
        (
            "input",
            json!([{"type": "item_reference", "id": "msg_of_somebody"}]),
            400,
            "malformed",
        ),
    ] {
        let mut body = ask("hello");
        body[field] = value;
        let answer = gateway.call(&call(&key, &body)).await;
        let told = (answer.status, answer.json()["error"]["code"].clone());
        assert_eq!(told, (status, json!(code)), "{field}: {}", answer.text());
    }
    let kept = Call::new("GET", "/v1/responses/resp_of_somebody").bearer(&key);
    assert_eq!(gateway.call(&kept).await.status, 404);
    assert_eq!(sim.count(), 0);
}

#[tokio::test]
async fn upstreams_that_do_not_serve_it_are_not_asked() {
    let (openai, anthropic) = (openai_sim::start().await, anthropic_sim::start().await);
    let compatible = Setup::new()
        .upstream("sim", "openai-compatible", &format!("{}/v1", openai.url()))
        .model(MODEL)
        .route("claude-*", &["sim"], None);
    for setup in [compatible, Setup::anthropic(&anthropic)] {
        let gateway = setup.start().await;
        let key = gateway.any_key().await;
        let answer = gateway.call(&call(&key, &ask("hello"))).await;
        assert_eq!(answer.status, 501, "{}", answer.text());
        let told = answer.json()["error"]["message"].to_string();
        assert!(told.contains("responses"), "{told}");
        assert_eq!(answer.header("x-should-retry"), Some("false"));
    }
    assert_eq!(openai.count() + anthropic.count(), 0);
    let declared = Setup::new()
        .each_upstream("chat = { responses = true }\n")
        .upstream("sim", "openai-compatible", &format!("{}/v1", openai.url()))
        .model(MODEL)
        .route("claude-*", &["sim"], None);
    let gateway = declared.start().await;
    let key = gateway.any_key().await;
    assert_eq!(gateway.call(&call(&key, &ask("hello"))).await.status, 200);
}
