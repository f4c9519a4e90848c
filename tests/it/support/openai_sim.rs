//! A simulated OpenAI-compatible upstream: `/v1/chat/completions`, streaming and not, with tools,
//! `/v1/embeddings`, and the `/v1/responses` of `responses_sim`.
//!
//! The same words in the last user text choose what happens as in the simulated Anthropic.

use serde_json::{Value, json};

use crate::support::anthropic_sim::{content_for, wish};
use crate::support::responses_sim;
use crate::support::upstream::{self, Received, Script, Step, Upstream, chunk, end, stream_head};

/// What the simulated model says by default.
pub const TEXT: &str = "Hello from the simulated OpenAI, mit Grüßen.";

/// Starts one.
pub async fn start() -> Upstream {
    Upstream::start(respond).await
}

/// What the simulation answers to a request.
pub fn respond(request: &Received) -> Script {
    at(request.path(), &request.json())
}

/// What it answers to this body, posted there.
pub fn at(path: &str, body: &Value) -> Script {
    match path {
        "/v1/chat/completions" => completions(body),
        "/v1/responses" => responses_sim::responses(body),
        "/v1/embeddings" => embeddings(body),
        _ => error(404, "invalid_request_error", "Unknown request URL"),
    }
}

fn embeddings(body: &Value) -> Script {
    let texts = body["input"].as_array().map_or(1, Vec::len);
    let embedding = |index| json!({"object": "embedding", "index": index, "embedding": [0.25, -1.0]});
    let data: Vec<Value> = (0..texts).map(embedding).collect();
    upstream::json(
        200,
        &json!({"object": "list", "model": body["model"], "data": data,
            "usage": {"prompt_tokens": 5, "total_tokens": 5}}),
    )
}

fn completions(body: &Value) -> Script {
    let wish = wish(body).unwrap_or_default();
    if let Some(status) = wish.strip_prefix("status-") {
        return refuses(status.parse().expect("sim:status-N names a number"));
    }
    if wish == "hang" {
        return vec![Step::Hang];
    }
    let script = says(body, &content(&wish, after_tools(body)));
    match wish.as_str() {
        "mid-error" => fails(script),
        "die" => dies(script),
        _ => script,
    }
}

fn answers(body: &Value, text: &str, calls: &[Value]) -> Script {
    let finish = if calls.is_empty() { "stop" } else { "tool_calls" };
    if body["stream"] == true {
        let deltas = stream_chunks(&body["model"], text, calls, finish);
        return streamed(&deltas, body["stream_options"]["include_usage"] == true);
    }
    let calls = (!calls.is_empty()).then_some(calls);
    let message = json!({"role": "assistant", "content": text, "refusal": null, "tool_calls": calls});
    let choice = json!({"index": 0, "message": message, "finish_reason": finish, "logprobs": null});
    upstream::json(
        200,
        &json!({"id": "chatcmpl-sim", "object": "chat.completion", "created": 1_760_000_000, "model": body["model"],
            "choices": [choice], "usage": usage()}),
    )
}

/// The answer with these blocks, which are written as Anthropic writes them.
pub fn says(body: &Value, content: &[Value]) -> Script {
    let texts = content.iter().filter_map(|block| block["text"].as_str());
    let tools = content.iter().filter(|block| block["type"] == "tool_use");
    let call = |block: &Value| {
        let function = json!({"name": block["name"], "arguments": block["input"].to_string()});
        json!({"id": block["id"], "type": "function", "function": function})
    };
    answers(
        body,
        &texts.collect::<String>(),
        &tools.map(call).collect::<Vec<_>>(),
    )
}

/// Whether the conversation ends with results of tools, to be answered by text.
fn after_tools(body: &Value) -> bool {
    let messages = body["messages"].as_array();
    messages
        .and_then(|list| list.last())
        .is_some_and(|last| last["role"] == "tool")
}

/// What a word asks for, in Anthropic's blocks: as the simulated Anthropic says it, in this one's own name.
pub fn content(wish: &str, after_tools: bool) -> Vec<Value> {
    match wish {
        "tool" | "parallel" | "think-tool" | "bash" | "exec" if !after_tools => {
            let mut content = content_for(wish);
            content.retain(|block| block["type"] != "thinking");
            content
        }
        "long" => content_for(wish),
        _ => vec![json!({"type": "text", "text": TEXT})],
    }
}

fn usage() -> Value {
    json!({"prompt_tokens": 37, "completion_tokens": 15, "total_tokens": 52,
        "prompt_tokens_details": {"cached_tokens": 7}, "completion_tokens_details": {"reasoning_tokens": 0}})
}

fn write(data: &Value) -> Step {
    chunk(format!("data: {data}\n\n").as_bytes())
}

fn streamed(chunks: &[Value], with_usage: bool) -> Script {
    let mut script = vec![stream_head(&[("x-request-id", "req_of_the_upstream")])];
    script.extend(chunks.iter().map(write));
    if with_usage {
        let mut last = chunks[0].clone();
        last["choices"] = json!([]);
        last["usage"] = usage();
        script.push(write(&last));
    }
    script.extend([chunk(b"data: [DONE]\n\n"), end()]);
    script
}

/// How many steps of a stream are played before it breaks: its head and three chunks.
const PLAYED: usize = 4;

/// The beginning of a streamed answer, then an error in place of a chunk.
pub fn fails(mut script: Script) -> Script {
    script.truncate(PLAYED);
    let overloaded = json!({"error": {"message": "Overloaded", "type": "overloaded", "code": "overloaded"}});
    script.extend([write(&overloaded), end()]);
    script
}

/// The beginning of a streamed answer, then the end of the connection inside a chunk.
pub fn dies(mut script: Script) -> Script {
    script.truncate(PLAYED);
    script.extend([chunk(b"data: {\"id\":\"chatcmpl-si"), Step::Close]);
    script
}

fn stream_chunks(model: &Value, text: &str, calls: &[Value], finish: &str) -> Vec<Value> {
    let delta_chunk = |delta: Value, finish: Option<&str>| {
        json!({"id": "chatcmpl-sim", "object": "chat.completion.chunk", "created": 1_760_000_000, "model": model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": null}], "usage": null})
    };
    let mut chunks = vec![delta_chunk(json!({"role": "assistant", "content": ""}), None)];
    let letters: Vec<char> = text.chars().collect();
    for piece in letters.chunks(7.max(letters.len() / 40)) {
        chunks.push(delta_chunk(
            json!({"content": piece.iter().collect::<String>()}),
            None,
        ));
    }
    for (index, call) in calls.iter().enumerate() {
        let mut opening = call.clone();
        opening["index"] = json!(index);
        let arguments = opening["function"]["arguments"].take();
        opening["function"]["arguments"] = json!("");
        chunks.push(delta_chunk(json!({"tool_calls": [opening]}), None));
        let (first, second) = arguments.as_str().unwrap_or_default().split_at(5);
        for part in [first, second] {
            let growing = json!({"index": index, "function": {"arguments": part}});
            chunks.push(delta_chunk(json!({"tool_calls": [growing]}), None));
        }
    }
    chunks.push(delta_chunk(json!({}), Some(finish)));
    chunks
}

/// An error of this status, with the type that belongs to it.
pub fn refuses(status: u16) -> Script {
    error(status, kind_of(status), &format!("simulated {status}"))
}

fn kind_of(status: u16) -> &'static str {
    match status {
        401 => "invalid_api_key",
        429 => "rate_limit_exceeded",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

fn error(status: u16, kind: &str, message: &str) -> Script {
    let body = json!({"error": {"message": message, "type": kind, "param": null, "code": null}});
    let mut headers = vec![
        ("content-type", "application/json"),
        ("x-request-id", "req_of_the_upstream"),
    ];
    if status == 429 {
        headers.push(("retry-after", "1"));
    }
    upstream::answer(status, &headers, body.to_string().as_bytes())
}
