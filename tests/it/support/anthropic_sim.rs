//! A simulated Anthropic: the wire formats of `/v1/messages`, `count_tokens` and `models`, exactly.
//!
//! The last user text chooses what happens: `sim:tool`, `sim:parallel`, `sim:status-529`, `sim:mid-error`,
//! `sim:die`, `sim:thinking`, `sim:think-tool`, `sim:long`, `sim:hang`, and `sim:bash` and `sim:exec`, which call the shell as
//! Claude Code and Codex offer it; without such a word it is a short friendly text.

use serde_json::{Value, json};

use crate::support::sse::anthropic_event;
use crate::support::upstream::{Received, Script, Step, Upstream, answer, chunk, end, stream_head};

/// What the simulated model says by default.
pub const TEXT: &str = "Hello from the simulated Anthropic, mit Grüßen.";

/// The signature of its thinking.
const SIGNATURE: &str = "c2lnbmF0dXJl/+==";

/// Headers of the real service that a gateway must not pass on.
pub const FOREIGN_HEADERS: &[(&str, &str)] = &[
    ("request-id", "req_of_the_upstream"),
    ("anthropic-organization-id", "org-of-the-operator"),
    ("anthropic-ratelimit-requests-remaining", "41"),
    ("set-cookie", "upstream_session=1"),
];

/// Starts one.
pub async fn start() -> Upstream {
    Upstream::start(respond).await
}

/// What the simulation answers to a request.
pub fn respond(request: &Received) -> Script {
    match (request.method(), request.path()) {
        ("POST", "/v1/messages") => messages(&request.json()),
        ("POST", "/v1/messages/count_tokens") => counts(),
        ("GET", "/v1/models") => send_json(
            200,
            &json!({"data": [], "has_more": false, "first_id": null, "last_id": null}),
        ),
        _ => refuses(404),
    }
}

/// What it counts, whatever it is asked.
pub fn counts() -> Script {
    send_json(200, &json!({"input_tokens": 42}))
}

/// The word after `sim:` in the last text of the conversation.
pub fn wish(body: &Value) -> Option<String> {
    let last = body["messages"]
        .as_array()?
        .iter()
        .rev()
        .find(|message| message["role"] == "user")?;
    let text = last["content"].to_string();
    let word = text.split("sim:").nth(1)?;
    let end = word
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .unwrap_or(word.len());
    Some(word[..end].to_owned())
}

/// What it answers to a request for an answer.
pub fn messages(body: &Value) -> Script {
    if has_foreign_thinking(body) {
        let message = "messages: Invalid `signature` in `thinking` block";
        return error(400, "invalid_request_error", message);
    }
    let wish = wish(body).unwrap_or_default();
    if let Some(status) = wish.strip_prefix("status-") {
        return refuses(status.parse().expect("sim:status-N names a number"));
    }
    if wish == "hang" {
        return vec![Step::Hang];
    }
    let script = says(body, &content_for(&wish));
    match wish.as_str() {
        "mid-error" => fails(script),
        "die" => dies(script),
        _ => script,
    }
}

/// Whether the conversation holds thinking that this model did not sign, which the real service refuses.
fn has_foreign_thinking(body: &Value) -> bool {
    let messages = body["messages"].as_array().into_iter().flatten();
    let mut blocks = messages.flat_map(|message| message["content"].as_array().into_iter().flatten());
    blocks.any(|block| block["type"] == "thinking" && block["signature"] != SIGNATURE)
}

/// The answer with these blocks, streamed or whole as the request wants it.
pub fn says(body: &Value, content: &[Value]) -> Script {
    let calls = content.iter().any(|block| block["type"] == "tool_use");
    let reason = if calls { "tool_use" } else { "end_turn" };
    if body["stream"] != true {
        return send_json(200, &message(&body["model"], &json!(content), Some(reason)));
    }
    let mut script = vec![stream_head(FOREIGN_HEADERS)];
    let events = stream_events(&body["model"], content, reason);
    script.extend(events.iter().map(|event| chunk(event)));
    script.push(end());
    script
}

/// How many steps of a stream are played before it breaks: its head and four events.
const PLAYED: usize = 5;

/// The beginning of a streamed answer, then an error event.
pub fn fails(mut script: Script) -> Script {
    script.truncate(PLAYED);
    let overloaded = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    script.extend([chunk(&anthropic_event(&overloaded)), end()]);
    script
}

/// The beginning of a streamed answer, then the end of the connection inside an event.
pub fn dies(mut script: Script) -> Script {
    script.truncate(PLAYED);
    script.extend([
        chunk(b"event: content_block_delta\ndata: {\"type\":\"content_"),
        Step::Close,
    ]);
    script
}

/// What the shell is asked to print where an agent is told to use it.
const PRINTED: &str = "printf 'Gr\\303\\266\\303\\237e 18'";

/// The blocks of the answer that a word asks for.
pub fn content_for(wish: &str) -> Vec<Value> {
    let call = |id: &str, name: &str, input: Value| json!({"type": "tool_use", "id": id, "name": name, "input": input});
    let tool = |id: &str, city: &str| call(id, "get_weather", json!({"city": city}));
    let thinking = json!({"type": "thinking", "thinking": "First I think.", "signature": SIGNATURE});
    match wish {
        "bash" => vec![call(
            "toolu_01A",
            "Bash",
            json!({"command": PRINTED, "description": "Print"}),
        )],
        "exec" => vec![call("toolu_01A", "exec_command", json!({"cmd": PRINTED}))],
        "tool" => vec![
            json!({"type": "text", "text": "Let me look."}),
            tool("toolu_01A", "Paris"),
        ],
        "parallel" => vec![tool("toolu_01A", "Paris"), tool("toolu_01B", "Köln")],
        "think-tool" => vec![thinking, tool("toolu_01A", "Paris")],
        "thinking" => vec![thinking, json!({"type": "text", "text": TEXT})],
        "long" => vec![json!({"type": "text", "text": "many words ".repeat(2_000)})],
        _ => vec![json!({"type": "text", "text": TEXT})],
    }
}

fn message(model: &Value, content: &Value, stop_reason: Option<&str>) -> Value {
    json!({
        "id": "msg_01Sim", "type": "message", "role": "assistant", "model": model, "content": content,
        "stop_reason": stop_reason, "stop_sequence": null,
        "usage": {
            "input_tokens": 25, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 7,
            "output_tokens": if stop_reason.is_some() { 15 } else { 1 }, "service_tier": "standard",
        },
    })
}

/// The events of a streamed answer, one byte string each.
pub fn stream_events(model: &Value, content: &[Value], stop_reason: &str) -> Vec<Vec<u8>> {
    let mut events = vec![json!({"type": "message_start", "message": message(model, &json!([]), None)})];
    events.push(json!({"type": "ping"}));
    for (index, block) in content.iter().enumerate() {
        let (start, deltas) = opened(block);
        events.push(json!({"type": "content_block_start", "index": index, "content_block": start}));
        let delta_event = |delta| json!({"type": "content_block_delta", "index": index, "delta": delta});
        events.extend(deltas.into_iter().map(delta_event));
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    let delta = json!({"stop_reason": stop_reason, "stop_sequence": null});
    events.push(json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 15}}));
    events.push(json!({"type": "message_stop"}));
    events.iter().map(anthropic_event).collect()
}

/// A block as its start event shows it, and the deltas that fill it.
fn opened(block: &Value) -> (Value, Vec<Value>) {
    let pieces = |text: &str| -> Vec<String> {
        let letters: Vec<char> = text.chars().collect();
        letters
            .chunks(7.max(letters.len() / 40))
            .map(|piece| piece.iter().collect())
            .collect()
    };
    let mut start = block.clone();
    match block["type"].as_str() {
        Some("text") => {
            start["text"] = json!("");
            let text = block["text"].as_str().unwrap_or_default();
            let deltas = pieces(text)
                .into_iter()
                .map(|piece| json!({"type": "text_delta", "text": piece}));
            (start, deltas.collect())
        }
        Some("tool_use") => {
            start["input"] = json!({});
            let arguments = block["input"].to_string();
            let delta = |piece| json!({"type": "input_json_delta", "partial_json": piece});
            (start, pieces(&arguments).into_iter().map(delta).collect())
        }
        Some("thinking") => {
            start["thinking"] = json!("");
            start["signature"] = json!("");
            let thought = json!({"type": "thinking_delta", "thinking": block["thinking"]});
            let signature = json!({"type": "signature_delta", "signature": block["signature"]});
            (start, vec![thought, signature])
        }
        other => panic!("the simulation has no block {other:?}"),
    }
}

/// An error of this status, with the type that belongs to it.
pub fn refuses(status: u16) -> Script {
    let kind = match status {
        400 => "invalid_request_error",
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        _ => "api_error",
    };
    error(status, kind, &format!("simulated {status}"))
}

fn error(status: u16, kind: &str, message: &str) -> Script {
    let body = json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_of_the_upstream"});
    send_json(status, &body)
}

fn send_json(status: u16, body: &Value) -> Script {
    let mut headers = vec![("content-type", "application/json")];
    if status == 429 {
        headers.push(("retry-after", "1"));
    }
    headers.extend_from_slice(FOREIGN_HEADERS);
    answer(status, &headers, body.to_string().as_bytes())
}
