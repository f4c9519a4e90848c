//! Clients of every API over models on Bedrock that are not Claude, and counts of tokens for those that are.

use serde_json::{Value, json};

use crate::support::bedrock_sim::{self, ACCESS_KEY, REGION};
use crate::support::client::{Answer, Call};
use crate::support::converse_sim::{SIGNATURE, TEXT};
use crate::support::gateway::Gateway;
use crate::support::records::{ended, text};
use crate::support::setup::{MODEL, Setup};
use crate::support::sse::Event;
use crate::support::upstream::Upstream;

/// A profile of a model, by its ARN.
const SERVED: &str = "arn:aws:bedrock:eu-central-1:1:inference-profile/eu.amazon.nova-pro-v1:0";

/// A profile whose name tells nothing.
const OPAQUE: &str = "arn:aws:bedrock:eu-central-1:1:application-inference-profile/ab12cd";

async fn serving(sim: &Upstream, served: &str, more: &str) -> (Gateway, String) {
    let options = format!("options = {{ region = \"{REGION}\", access_key_id = \"{ACCESS_KEY}\"{more} }}\n");
    let gateway = Setup::new()
        .each_upstream(&options)
        .upstream("sim", "bedrock", &sim.url())
        .set("resilience", "rest_max", "\"1ms\"")
        .model(MODEL)
        .route("claude-*", &["sim"], Some(served))
        .start()
        .await;
    let key = gateway.any_key().await;
    (gateway, key)
}

fn ask(words: &str, stream: bool) -> Value {
    json!({"model": MODEL, "max_tokens": 100, "stream": stream, "messages": [{"role": "user", "content": words}]})
}

fn encoded(model: &str) -> String {
    model.replace(':', "%3A").replace('/', "%2F")
}

fn said(answer: &Answer) -> String {
    let events: Vec<Value> = answer.events().iter().map(Event::json).collect();
    let texts = events.iter().filter_map(|event| event["delta"]["text"].as_str());
    texts.collect()
}

#[tokio::test]
async fn models_are_asked_by_converse_and_recorded_so() {
    let sim = bedrock_sim::start().await;
    let (gateway, key) = serving(&sim, SERVED, "").await;
    let whole = gateway.call(&Call::messages(&key, &ask("hello", false))).await;
    assert_eq!(whole.status, 200, "{}", whole.text());
    assert_eq!(
        (&whole.json()["content"][0]["text"], &whole.json()["model"]),
        (&json!(TEXT), &json!(MODEL))
    );
    assert_eq!(
        sim.last().target(),
        format!("/model/{}/converse", encoded(SERVED))
    );
    let row = ended(&gateway, &whole.request_id()).await;
    assert_eq!(text(&row, "upstream_dialect"), "converse");
    // 25 × 1.05 + 7 × 0.2625 + 5 × 1.05 + 15 × 4.2 = 96.3375, by the price of the profile.
    assert_eq!(row["cost_microdollars"], 96, "{row:?}");

    let stream = gateway.call(&Call::messages(&key, &ask("hello", true))).await;
    assert_eq!(said(&stream), TEXT, "{}", stream.text());
    assert_eq!(
        sim.last().target(),
        format!("/model/{}/converse-stream", encoded(SERVED))
    );
    let head = &sim.last().head;
    assert_eq!(head.header("accept"), Some("application/vnd.amazon.eventstream"));
    assert!(head.header("anthropic-version").is_none());
    let row = ended(&gateway, &stream.request_id()).await;
    assert_eq!(row["cost_microdollars"], 96, "streamed or not: {row:?}");
    let sent = sim.bytes();
    assert!(memchr::memmem::find(&sent, key.as_bytes()).is_none());
}

#[tokio::test]
async fn reasoning_goes_back_with_its_signature() {
    let sim = bedrock_sim::start().await;
    let (gateway, key) = serving(&sim, SERVED, "").await;
    let mut body = ask("sim:thinking", false);
    let answer = gateway.call(&Call::messages(&key, &body)).await.json();
    assert_eq!(answer["content"][0]["thinking"], "First I think.", "{answer}");
    let messages = body["messages"].as_array_mut().unwrap();
    messages.push(json!({"role": "assistant", "content": answer["content"]}));
    messages.push(json!({"role": "user", "content": "go on"}));
    let answer = gateway.call(&Call::messages(&key, &body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent = sim.last().json()["messages"][1]["content"][0]["reasoningContent"].clone();
    assert_eq!(sent["reasoningText"]["signature"], SIGNATURE);
    // Thinking of another vendor's model stays behind: the simulation refuses what it did not sign.
    body["messages"][1]["content"][0]["signature"] = json!("EqQBCkYIBxgCKkA");
    let answer = gateway.call(&Call::messages(&key, &body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.header("x-tollgate-dropped"),
        Some("messages[1].content[0]")
    );
}

#[tokio::test]
async fn failures_become_the_clients_errors() {
    let sim = bedrock_sim::start().await;
    let (gateway, key) = serving(&sim, SERVED, "").await;
    for (wish, status, kind) in [
        ("status-400", 400, "invalid_request_error"),
        ("status-403", 502, "api_error"),
        ("status-404", 404, "not_found_error"),
        ("status-408", 504, "timeout_error"),
        ("status-424", 500, "api_error"),
        ("status-429", 429, "rate_limit_error"),
        ("status-503", 529, "overloaded_error"),
        ("quota", 429, "rate_limit_error"),
        ("malformed", 500, "api_error"),
    ] {
        for stream in [false, true] {
            let call = Call::messages(&key, &ask(&format!("sim:{wish}"), stream));
            let answer = gateway.call(&call).await;
            let told = answer.events().last().map_or_else(|| answer.json(), Event::json);
            assert_eq!(told["error"]["type"], kind, "{wish}: {told}");
            // What fails before anything was sent has a status of its own.
            let sent = stream && wish == "malformed";
            assert!(answer.status == status || sent, "{wish}: {}", answer.status);
        }
    }
    for (wish, kind) in [
        ("mid-error", "rate_limit_error"),
        ("bad-frame", "api_error"),
        ("die", "api_error"),
    ] {
        let call = Call::messages(&key, &ask(&format!("sim:{wish}"), true));
        let answer = gateway.call(&call).await;
        let told = answer.events().last().map_or_else(|| answer.json(), Event::json);
        assert_eq!(told["error"]["type"], kind, "{wish}");
        let row = ended(&gateway, &answer.request_id()).await;
        assert_ne!(text(&row, "outcome"), "complete", "{wish}: {row:?}");
    }
    let guarded = gateway
        .call(&Call::messages(&key, &ask("sim:guarded", false)))
        .await;
    assert_eq!(guarded.json()["stop_reason"], "refusal", "{}", guarded.text());
}

#[tokio::test]
async fn clients_of_other_apis_see_their_own_forms() {
    let sim = bedrock_sim::start().await;
    let (gateway, key) = serving(&sim, SERVED, "").await;
    let tools = json!([{"type": "function", "function": {"name": "get_weather", "description": "",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]);
    let mut body = json!({"model": MODEL, "tools": tools, "tool_choice": "required",
        "messages": [{"role": "user", "content": "sim:parallel please"}]});
    let answer = gateway
        .call(&Call::post("/v1/chat/completions", &body).bearer(&key))
        .await;
    let message = answer.json()["choices"][0]["message"].clone();
    let calls = message["tool_calls"].as_array().unwrap().clone();
    assert_eq!(calls.len(), 2, "{message}");
    let messages = body["messages"].as_array_mut().unwrap();
    messages.push(message);
    messages.extend(
        calls
            .iter()
            .rev()
            .map(|call| json!({"role": "tool", "tool_call_id": call["id"], "content": "18 degrees"})),
    );
    // The tools are gone, and Converse wants them for the calls in the conversation.
    body.as_object_mut().unwrap().shift_remove("tools");
    body.as_object_mut().unwrap().shift_remove("tool_choice");
    let answer = gateway
        .call(&Call::post("/v1/chat/completions", &body).bearer(&key))
        .await;
    assert_eq!(
        answer.json()["choices"][0]["message"]["content"],
        TEXT,
        "{}",
        answer.text()
    );
    let body = json!({"model": MODEL, "input": "hello"});
    let answer = gateway
        .call(&Call::post("/v1/responses", &body).bearer(&key))
        .await;
    assert!(answer.text().contains(TEXT), "{}", answer.text());
}

#[tokio::test]
async fn profiles_without_a_model_in_their_name_go_by_the_configuration() {
    let sim = bedrock_sim::start().await;
    for (claude, action) in [("", "converse"), (", claude = \"arn:*/ab12*\"", "invoke")] {
        let (gateway, key) = serving(&sim, OPAQUE, claude).await;
        // The simulation does not know the profile either: what counts is how it was asked.
        gateway.call(&Call::messages(&key, &ask("hello", false))).await;
        assert_eq!(
            sim.last().target(),
            format!("/model/{}/{action}", encoded(OPAQUE))
        );
    }
}

#[tokio::test]
async fn tokens_of_claude_are_counted_by_bedrock_and_others_estimated() {
    let sim = bedrock_sim::start().await;
    let count = json!({"model": MODEL, "system": "Be brief.",
        "messages": [{"role": "user", "content": "How much is it?"}]});
    let own = "eu.anthropic.claude-sonnet-4-6-v1:0";
    let (gateway, key) = serving(&sim, own, "").await;
    let call = Call::post("/v1/messages/count_tokens?beta=true", &count).key(&key);
    let answer = gateway.call(&call).await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"input_tokens": 42})),
        "{}",
        answer.text()
    );
    assert_eq!(answer.header("x-tollgate-estimated"), None);
    assert_eq!(
        sim.last().target(),
        "/model/anthropic.claude-sonnet-4-6-v1%3A0/count-tokens"
    );
    for (served, asked) in [
        ("us.anthropic.claude-3-haiku-20240307-v1:0", 1),
        (SERVED, 0),
        (OPAQUE, 0),
    ] {
        let (gateway, key) = serving(&sim, served, "").await;
        let before = sim.count();
        let answer = gateway
            .call(&Call::post("/v1/messages/count_tokens", &count).key(&key))
            .await;
        assert_eq!(answer.status, 200, "{served}: {}", answer.text());
        assert!(answer.json()["input_tokens"].as_u64() > Some(3), "{served}");
        assert_eq!(answer.header("x-tollgate-estimated"), Some("true"), "{served}");
        assert_eq!(sim.count() - before, asked, "{served}");
    }
}
