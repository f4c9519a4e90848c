//! The Responses API of the simulated OpenAI: items and events, with function calls.

use serde_json::{Value, json};

use crate::support::anthropic_sim::wish;
use crate::support::openai_sim::{content, refuses};
use crate::support::upstream::{self, Script, Step, chunk, end, stream_head};

/// The answer to `POST /v1/responses`.
pub fn responses(body: &Value) -> Script {
    let said = match &body["input"] {
        Value::String(text) => json!([{"role": "user", "content": text}]),
        items => items.clone(),
    };
    if said.to_string().contains("\"encrypted_content\":\"tg") {
        return refuses(400);
    }
    let wish = wish(&json!({"messages": said})).unwrap_or_default();
    if let Some(status) = wish.strip_prefix("status-") {
        return refuses(status.parse().expect("sim:status-N names a number"));
    }
    if wish == "hang" {
        return vec![Step::Hang];
    }
    let outputs = ["function_call_output", "custom_tool_call_output"];
    let newest = said.as_array().and_then(|items| items.last());
    let kind = newest.and_then(|item| item["type"].as_str());
    let after_tools = kind.is_some_and(|kind| outputs.contains(&kind));
    let content = content(&wish, after_tools);
    let items: Vec<Value> = content.iter().enumerate().map(item).collect();
    if body["stream"] != true {
        return upstream::json(200, &response(body, "completed", &json!(items)));
    }
    let mut events =
        vec![json!({"type": "response.created", "response": response(body, "in_progress", &json!([]))})];
    for (index, item) in items.iter().enumerate() {
        events.extend(events_of(index, item));
    }
    match wish.as_str() {
        "mid-error" => {
            let mut failed = response(body, "failed", &json!([]));
            failed["error"] = json!({"code": "server_error", "message": "Overloaded"});
            events.truncate(PLAYED);
            events.push(json!({"type": "response.failed", "response": failed}));
            streamed(events, end())
        }
        "die" => {
            events.truncate(PLAYED);
            streamed(events, Step::Close)
        }
        _ => {
            events.push(
                json!({"type": "response.completed", "response": response(body, "completed", &json!(items))}),
            );
            streamed(events, end())
        }
    }
}

/// How many events are played before a stream breaks.
const PLAYED: usize = 5;

fn streamed(events: Vec<Value>, last: Step) -> Script {
    let mut script = vec![stream_head(&[("x-request-id", "req_of_the_upstream")])];
    for (number, mut event) in events.into_iter().enumerate() {
        event["sequence_number"] = json!(number);
        let kind = event["type"].as_str().expect("events have types");
        script.push(chunk(format!("event: {kind}\ndata: {event}\n\n").as_bytes()));
    }
    script.push(last);
    script
}

fn response(body: &Value, status: &str, output: &Value) -> Value {
    let usage = json!({"input_tokens": 37, "input_tokens_details": {"cached_tokens": 7}, "output_tokens": 15,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 52});
    let usage = if status == "completed" { usage } else { Value::Null };
    json!({"id": "resp_sim", "object": "response", "created_at": 1_760_000_000, "status": status, "error": null,
        "incomplete_details": null, "model": body["model"], "output": output, "usage": usage, "tools": [],
        "parallel_tool_calls": true, "tool_choice": "auto"})
}

/// A block of Anthropic's as an item that is complete.
fn item((index, block): (usize, &Value)) -> Value {
    if block["type"] == "tool_use" {
        return json!({"type": "function_call", "id": format!("fc_sim{index}"), "call_id": block["id"], "status": "completed",
            "name": block["name"], "arguments": block["input"].to_string()});
    }
    let part = json!({"type": "output_text", "text": block["text"], "annotations": []});
    json!({"type": "message", "id": format!("msg_sim{index}"), "role": "assistant", "status": "completed", "content": [part]})
}

/// The events that tell an item.
fn events_of(index: usize, item: &Value) -> Vec<Value> {
    let (mut begun, call) = (item.clone(), item["type"] == "function_call");
    begun["status"] = json!("in_progress");
    begun[if call { "arguments" } else { "content" }] = if call { json!("") } else { json!([]) };
    let at = |kind: &str, mut more: Value| {
        more["type"] = json!(format!("response.{kind}"));
        more["item_id"] = item["id"].clone();
        more["output_index"] = json!(index);
        if !call {
            more["content_index"] = json!(0);
        }
        more
    };
    let mut events =
        vec![json!({"type": "response.output_item.added", "output_index": index, "item": begun})];
    if call {
        let arguments = item["arguments"].as_str().expect("arguments are text");
        let (first, second) = arguments.split_at(arguments.len() / 3);
        events.extend(
            [first, second].map(|piece| at("function_call_arguments.delta", json!({"delta": piece}))),
        );
        events.push(at(
            "function_call_arguments.done",
            json!({"arguments": arguments, "name": item["name"]}),
        ));
    } else {
        let part = &item["content"][0];
        let empty = json!({"type": "output_text", "text": "", "annotations": []});
        events.push(at("content_part.added", json!({"part": empty})));
        let letters: Vec<char> = part["text"].as_str().expect("text").chars().collect();
        for piece in letters.chunks(7.max(letters.len() / 40)) {
            let piece: String = piece.iter().collect();
            events.push(at("output_text.delta", json!({"delta": piece, "logprobs": []})));
        }
        events.push(at(
            "output_text.done",
            json!({"text": part["text"], "logprobs": []}),
        ));
        events.push(at("content_part.done", json!({"part": part})));
    }
    events.push(json!({"type": "response.output_item.done", "output_index": index, "item": item}));
    events
}
