//! `POST /v1/responses`: bytes in, bytes out over upstreams that serve it, by way of Messages over all
//! others; nothing is kept anywhere.

use serde_json::{Value, json};

use crate::support::anthropic_sim;
use crate::support::client::Call;
use crate::support::gateway::Gateway;
use crate::support::openai_sim;
use crate::support::records::{ended, text};
use crate::support::setup::{MODEL, Setup};
use crate::support::upstream::Upstream;

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

/// What the upstream would keep or run: field, value, and how it is refused.
fn kept_or_run() -> Vec<(&'static str, Value, u16, &'static str)> {
    vec![
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
    ]
}

#[tokio::test]
async fn what_would_be_kept_or_run_there_is_refused() {
    let sim = openai_sim::start().await;
    let gateway = Setup::openai(&sim).start().await;
    let key = gateway.any_key().await;
    for (field, value, status, code) in kept_or_run() {
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

/// Gateways over upstreams that do not serve the API: the ways by translation.
async fn translated() -> Vec<(Gateway, Upstream, &'static str)> {
    let (openai, anthropic) = (openai_sim::start().await, anthropic_sim::start().await);
    let over_chat = Setup::compatible(&openai).start().await;
    let over_messages = Setup::anthropic(&anthropic).start().await;
    vec![
        (over_chat, openai, openai_sim::TEXT),
        (over_messages, anthropic, anthropic_sim::TEXT),
    ]
}

#[tokio::test]
async fn upstreams_that_do_not_serve_it_answer_by_translation() {
    for (gateway, sim, said) in translated().await {
        let key = gateway.any_key().await;
        for stream in [false, true] {
            let mut body = ask("hello");
            body["stream"] = json!(stream);
            body["truncation"] = json!("auto");
            let answer = gateway.call(&call(&key, &body)).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(answer.header("x-tollgate-dropped"), Some("truncation"));
            let response = if stream {
                last_event(&answer.text())["response"].clone()
            } else {
                answer.json()
            };
            let told = &response["output"][0]["content"][0]["text"];
            assert_eq!((&response["status"], told), (&json!("completed"), &json!(said)));
            assert_eq!(response["instructions"], "Be brief.", "{response}");
            assert_eq!(
                (&response["model"], &response["store"]),
                (&json!(MODEL), &json!(false))
            );
            let row = &ended(&gateway, &answer.request_id()).await;
            // All input of both simulations is 37, of which 7 came from a cache.
            let counted = ["cache_read_tokens", "output_tokens"].map(|column| row[column].clone());
            assert_eq!(counted, [json!(7), json!(15)], "{row:?}");
            assert_eq!(response["usage"]["input_tokens"], 37, "{response}");
            assert_eq!(
                (text(row, "client_dialect"), text(row, "outcome")),
                ("openai_responses", "complete")
            );
        }
        assert_ne!(sim.last().path(), "/v1/responses");
    }
}

#[tokio::test]
async fn a_compatible_upstream_that_serves_it_gets_the_bytes() {
    let sim = openai_sim::start().await;
    let setup = Setup::new()
        .each_upstream("chat = { responses = true }\n")
        .upstream("sim", "openai-compatible", &format!("{}/v1", sim.url()))
        .model(MODEL)
        .route("claude-*", &["sim"], None);
    let gateway = setup.start().await;
    let key = gateway.any_key().await;
    assert_eq!(gateway.call(&call(&key, &ask("hello"))).await.status, 200);
    assert_eq!(sim.last().path(), "/v1/responses");
}

/// The data of a stream's last event.
fn last_event(stream: &str) -> Value {
    let data = stream.trim_end().rsplit("data: ").next().unwrap_or_default();
    serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {stream}"))
}

#[tokio::test]
async fn what_would_be_kept_or_run_is_refused_where_it_is_translated_too() {
    for (gateway, sim, _) in translated().await {
        let key = gateway.any_key().await;
        for (field, value, status, code) in kept_or_run() {
            let mut body = ask("hello");
            body[field] = value;
            let answer = gateway.call(&call(&key, &body)).await;
            let told = (answer.status, answer.json()["error"]["code"].clone());
            assert_eq!(told, (status, json!(code)), "{field}: {}", answer.text());
        }
        assert_eq!(sim.count(), 0);
    }
}

#[tokio::test]
async fn errors_keep_their_class_and_streams_their_end() {
    for (gateway, _, _) in translated().await {
        let key = gateway.any_key().await;
        for wish in ["sim:mid-error", "sim:die"] {
            let mut body = ask(wish);
            body["stream"] = json!(true);
            let answer = gateway.call(&call(&key, &body)).await;
            if answer.status == 200 {
                let last = last_event(&answer.text());
                assert_eq!(last["type"], "response.failed", "{last}");
                assert_eq!(last["response"]["error"]["code"], "server_error", "{last}");
            } else {
                // It broke before the first byte went out.
                assert!(answer.status >= 500, "{}", answer.text());
            }
            let row = &ended(&gateway, &answer.request_id()).await;
            assert_eq!(text(row, "outcome"), "error", "{wish}");
        }
        for (wish, status) in [("400", 400), ("401", 502), ("429", 429)] {
            let answer = gateway
                .call(&call(&key, &ask(&format!("sim:status-{wish}"))))
                .await;
            assert_eq!(answer.status, status, "{}", answer.text());
            let error = &answer.json()["error"];
            assert!(
                error["message"].is_string() && error.get("code").is_some(),
                "{error}"
            );
            assert_eq!(answer.header("retry-after").is_some(), status == 429);
        }
    }
}
