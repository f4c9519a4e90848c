//! What is Gemini's own, over its API; `suite` tries every client over it.

use serde_json::{Value, json};

use crate::support::client::{Answer, Call};
use crate::support::gateway::Gateway;
use crate::support::gemini_sim::{self, SIGNATURE, TEXT};
use crate::support::records::{ended, text};
use crate::support::setup::{MODEL, Setup};
use crate::support::sse::Event;
use crate::support::upstream::Upstream;

async fn over(sim: &Upstream) -> (Gateway, String) {
    let gateway = Setup::gemini(sim)
        .set("resilience", "rest_max", "\"1ms\"")
        .start()
        .await;
    let key = gateway.any_key().await;
    (gateway, key)
}

fn ask(words: &str) -> Value {
    json!({"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": words}]})
}

fn with_tools(words: &str) -> Value {
    let schema = json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "exclusiveMinimum": 0}},
        "required": ["city"], "additionalProperties": false, "if": {}});
    let mut body = ask(words);
    body["tools"] = json!([{"name": "get_weather", "input_schema": schema}]);
    body
}

/// The content that a client accumulates from a stream.
fn accumulated(answer: &Answer) -> Vec<Value> {
    let mut content: Vec<Value> = Vec::new();
    for data in answer.events().iter().map(Event::json) {
        if data["type"] == "content_block_start" {
            content.push(data["content_block"].clone());
        }
        let delta = &data["delta"];
        let block = content.last_mut();
        let (Some(block), Some(kind)) = (block, delta["type"].as_str()) else {
            continue;
        };
        let key = match kind {
            "text_delta" => "text",
            "thinking_delta" => "thinking",
            "signature_delta" => "signature",
            _ => "partial_json",
        };
        let so_far = block[key].as_str().unwrap_or_default().to_owned();
        block[key] = json!(so_far + delta[key].as_str().unwrap());
    }
    for block in &mut content {
        if let Some(partial) = block.as_object_mut().unwrap().shift_remove("partial_json") {
            block["input"] = serde_json::from_str(partial.as_str().unwrap()).unwrap();
        }
    }
    content
}

/// The answer's text, streamed or not.
fn said(content: &[Value]) -> String {
    content
        .iter()
        .filter_map(|block| block["text"].as_str())
        .collect()
}

#[tokio::test]
async fn whole_answers_and_streams_are_translated_and_booked() {
    let sim = gemini_sim::start().await;
    let (gateway, key) = over(&sim).await;
    let whole = gateway.call(&Call::messages(&key, &ask("hello"))).await;
    assert_eq!(whole.status, 200, "{}", whole.text());
    let message = whole.json();
    assert_eq!(said(message["content"].as_array().unwrap()), TEXT);
    assert_eq!(
        (&message["model"], &message["stop_reason"]),
        (&json!(MODEL), &json!("end_turn"))
    );
    let counted = json!({"input_tokens": 30, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 7,
        "output_tokens": 15, "output_tokens_details": {"thinking_tokens": 5}});
    assert_eq!(message["usage"], counted);
    assert_eq!(sim.last().target(), "/v1beta/models/gemini-3-pro:generateContent");
    let sent = String::from_utf8_lossy(&sim.bytes()).into_owned();
    assert!(
        !sent.contains(&key) && !sent.contains("authorization"),
        "the client's key stays here"
    );

    let mut body = ask("hello");
    body["stream"] = json!(true);
    let stream = gateway.call(&Call::messages(&key, &body)).await;
    assert_eq!(said(&accumulated(&stream)), TEXT);
    assert_eq!(
        sim.last().target(),
        "/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse"
    );
    for answer in [&whole, &stream] {
        let row = ended(&gateway, &answer.request_id()).await;
        assert_eq!(text(&row, "outcome"), "complete");
        let counted =
            ["input_tokens", "output_tokens", "cache_read_tokens"].map(|column| row[column].as_i64());
        assert_eq!(counted, [Some(30), Some(15), Some(7)]);
    }
}

#[tokio::test]
async fn calls_keep_their_signatures_through_a_client() {
    let sim = gemini_sim::start().await;
    let (gateway, key) = over(&sim).await;
    for (wish, stream) in [
        ("tool", true),
        ("tool", false),
        ("parallel", true),
        ("parallel", false),
    ] {
        let mut body = with_tools(&format!("sim:{wish} please"));
        body["stream"] = json!(stream);
        let answer = gateway.call(&Call::messages(&key, &body)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let lost = answer.header("x-tollgate-dropped").unwrap();
        assert!(lost.contains("tools[0].input_schema.if"), "{lost}");
        let content = if stream {
            accumulated(&answer)
        } else {
            answer.json()["content"].as_array().unwrap().clone()
        };
        let calls: Vec<_> = content
            .iter()
            .filter(|block| block["type"] == "tool_use")
            .collect();
        assert_eq!(calls.len(), if wish == "parallel" { 2 } else { 1 });
        // The simulation refuses a call without its signature, and results that do not fit.
        let results = calls
            .iter()
            .rev()
            .map(|call| json!({"type": "tool_result", "tool_use_id": call["id"], "content": "18"}));
        let results: Vec<_> = results.collect();
        let turns = body["messages"].as_array_mut().unwrap();
        turns.push(json!({"role": "assistant", "content": content}));
        turns.push(json!({"role": "user", "content": results}));
        let answer = gateway.call(&Call::messages(&key, &body)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let sent = sim.last().json()["contents"][1].to_string();
        assert!(sent.contains(SIGNATURE) && !sent.contains("tg1."), "{sent}");
    }
}

#[tokio::test]
async fn failures_become_the_clients_errors() {
    let sim = gemini_sim::start().await;
    let (gateway, key) = over(&sim).await;
    for (wish, status, kind) in [
        ("status-400", 400, "invalid_request_error"),
        ("status-401", 502, "api_error"),
        ("status-403", 502, "api_error"),
        ("status-404", 404, "not_found_error"),
        ("status-429", 429, "rate_limit_error"),
        ("status-500", 500, "api_error"),
        ("status-503", 529, "overloaded_error"),
        ("status-504", 504, "timeout_error"),
        ("malformed", 500, "api_error"),
    ] {
        let answer = gateway
            .call(&Call::messages(&key, &ask(&format!("sim:{wish}"))))
            .await;
        assert_eq!(
            (answer.status, answer.error_type().as_str()),
            (status, kind),
            "{wish}: {}",
            answer.text()
        );
        assert_eq!(
            answer.header("retry-after"),
            (wish == "status-429").then_some("1"),
            "{wish}"
        );
    }
    for (wish, kind) in [("mid-error", "overloaded_error"), ("die", "api_error")] {
        let mut body = ask(&format!("sim:{wish}"));
        body["stream"] = json!(true);
        // What fails before anything was sent has a status of its own.
        let answer = gateway.call(&Call::messages(&key, &body)).await;
        let told = answer.events().last().map_or_else(|| answer.json(), Event::json);
        assert_eq!(told["error"]["type"], kind, "{wish}");
    }
    let blocked = gateway
        .call(&Call::messages(&key, &ask("sim:blocked")))
        .await
        .json();
    assert_eq!(
        (&blocked["stop_reason"], &blocked["content"]),
        (&json!("refusal"), &json!([]))
    );
}

#[tokio::test]
async fn what_google_would_run_itself_is_refused_by_name() {
    let sim = gemini_sim::start().await;
    let (gateway, key) = over(&sim).await;
    let mut body = ask("hello");
    body["tools"] = json!([{"type": "web_search_20250305", "name": "web_search"}]);
    let answer = gateway.call(&Call::messages(&key, &body)).await;
    assert!((400..500).contains(&answer.status), "{}", answer.text());
    assert_eq!(sim.count(), 0);
}
