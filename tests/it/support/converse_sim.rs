//! The part of the simulated Bedrock that is not Claude: `Converse` and `ConverseStream`.
//!
//! Requests that the real service would refuse are refused: roles that do not alternate, blank texts, results
//! without their calls, ids, names and documents that do not fit, reasoning that was not signed here.

use serde_json::{Value, json};

use crate::fuzzed::properties::frames::frame;
use crate::support::anthropic_sim;
use crate::support::bedrock_sim::{error, framed};
use crate::support::upstream::{self, Script, Step};

/// What the simulated model says by default.
pub const TEXT: &str = "Hello from the simulated Nova, mit Grüßen.";

/// The signature of its reasoning, which must come back with it.
pub const SIGNATURE: &str = "U2ltdWxhdGVkIE5vdmEvKz0=";

/// What it thinks.
const THOUGHT: &str = "First I think.";

/// What the simulation answers to a request for an answer.
pub fn answers(body: &Value, stream: bool) -> Script {
    if let Some(problem) = problem(body) {
        return error(400, "ValidationException", &problem);
    }
    let wish = wish(body).unwrap_or_default();
    if let Some(status) = wish.strip_prefix("status-") {
        let status = status.parse().expect("sim:status-N names a number");
        return error(status, "SimulatedException", &format!("simulated {status}"));
    }
    let (content, reason) = match wish.as_str() {
        "hang" => return vec![Step::Hang],
        "quota" => return error(400, "ServiceQuotaExceededException", "Too many requests today"),
        "guarded" => (vec![json!({"text": "No."})], "guardrail_intervened"),
        "malformed" => (Vec::new(), "malformed_tool_use"),
        wish => {
            let blocks = anthropic_sim::content_for(wish);
            let calls = blocks.iter().any(|block| block["type"] == "tool_use");
            let content = blocks.iter().map(block).collect();
            (content, if calls { "tool_use" } else { "end_turn" })
        }
    };
    if stream {
        return framed(&wish, events(&content, reason));
    }
    let answer = json!({"output": {"message": {"role": "assistant", "content": content}}, "stopReason": reason,
        "usage": usage(), "metrics": {"latencyMs": 100}});
    upstream::json(200, &answer)
}

/// A block of the simulated Anthropic, as Converse has it.
fn block(block: &Value) -> Value {
    match block["type"].as_str() {
        Some("tool_use") => {
            json!({"toolUse": {"toolUseId": block["id"], "name": block["name"], "input": block["input"]}})
        }
        Some("thinking") => {
            json!({"reasoningContent": {"reasoningText": {"text": THOUGHT, "signature": SIGNATURE}}})
        }
        _ if block["text"] == anthropic_sim::TEXT => json!({"text": TEXT}),
        _ => json!({"text": block["text"]}),
    }
}

fn usage() -> Value {
    json!({"inputTokens": 25, "outputTokens": 15, "totalTokens": 52, "cacheReadInputTokens": 7,
        "cacheWriteInputTokens": 5, "cacheDetails": [{"ttl": "5m", "inputTokens": 5}]})
}

/// The frames of a stream: only calls have a beginning, and usage comes behind the end.
fn events(content: &[Value], reason: &str) -> Vec<Vec<u8>> {
    let event = |name: &str, payload: Value| frame("event", name, payload.to_string().as_bytes());
    let mut frames = vec![event("messageStart", json!({"role": "assistant", "p": "abc"}))];
    for (index, block) in content.iter().enumerate() {
        let delta = |delta: Value| {
            let payload = json!({"contentBlockIndex": index, "delta": delta, "p": "abcdef"});
            event("contentBlockDelta", payload)
        };
        if let Some(call) = block.get("toolUse") {
            let start = json!({"toolUse": {"toolUseId": call["toolUseId"], "name": call["name"]}});
            let start = json!({"contentBlockIndex": index, "start": start});
            frames.push(event("contentBlockStart", start));
            let input = pieces(&call["input"].to_string());
            frames.extend(
                input
                    .iter()
                    .map(|piece| delta(json!({"toolUse": {"input": piece}}))),
            );
        } else if block.get("reasoningContent").is_some() {
            frames.push(delta(json!({"reasoningContent": {"text": THOUGHT}})));
            frames.push(delta(json!({"reasoningContent": {"signature": SIGNATURE}})));
        } else {
            let text = pieces(block["text"].as_str().unwrap_or_default());
            frames.extend(text.iter().map(|piece| delta(json!({"text": piece}))));
        }
        frames.push(event("contentBlockStop", json!({"contentBlockIndex": index})));
    }
    frames.push(event("messageStop", json!({"stopReason": reason})));
    frames.push(event(
        "metadata",
        json!({"usage": usage(), "metrics": {"latencyMs": 100}}),
    ));
    frames
}

fn pieces(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    let size = 7.max(letters.len() / 40);
    letters.chunks(size).map(|piece| piece.iter().collect()).collect()
}

/// The wish in the last texts of a user.
fn wish(body: &Value) -> Option<String> {
    let messages = body["messages"].as_array()?.iter().map(|message| {
        let texts = texts(&message["content"]).join(" ");
        json!({"role": message["role"], "content": texts})
    });
    anthropic_sim::wish(&json!({"messages": messages.collect::<Vec<_>>()}))
}

fn texts(content: &Value) -> Vec<&str> {
    let blocks = content.as_array().into_iter().flatten();
    blocks.filter_map(|block| block["text"].as_str()).collect()
}

/// Why the real service would refuse this body.
fn problem(body: &Value) -> Option<String> {
    const KNOWN: [&str; 6] = [
        "messages",
        "system",
        "inferenceConfig",
        "toolConfig",
        "additionalModelRequestFields",
        "outputConfig",
    ];
    if let Some(unknown) = unknown(body, &KNOWN) {
        return Some(format!("{unknown}: extraneous key is not permitted"));
    }
    let config = &body["inferenceConfig"];
    if let Some(unknown) = unknown(config, &["maxTokens", "temperature", "topP", "stopSequences"]) {
        return Some(format!(
            "inferenceConfig.{unknown}: extraneous key is not permitted"
        ));
    }
    let reasoning = &body["additionalModelRequestFields"]["reasoningConfig"];
    if reasoning["maxReasoningEffort"] == "high" && config.get("maxTokens").is_some() {
        return Some("maxTokens cannot be set when the reasoning effort is high".to_owned());
    }
    let blank = |text: &&str| text.trim().is_empty();
    if texts(&body["system"]).iter().any(blank) {
        return Some("The text field in the system block is blank.".to_owned());
    }
    tools_problem(body).or_else(|| messages_problem(body["messages"].as_array()?))
}

fn unknown<'v>(value: &'v Value, known: &[&str]) -> Option<&'v String> {
    let mut keys = value.as_object()?.keys();
    keys.find(|key| !known.contains(&key.as_str()))
}

fn tools_problem(body: &Value) -> Option<String> {
    let needed = body["messages"].to_string();
    let has_blocks = ["\"toolUse\":", "\"toolResult\":"]
        .iter()
        .any(|key| needed.contains(key));
    let Some(config) = body.get("toolConfig") else {
        let problem =
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.";
        return has_blocks.then(|| problem.to_owned());
    };
    let tools = config["tools"].as_array().filter(|tools| !tools.is_empty());
    let Some(tools) = tools else {
        return Some("toolConfig.tools: at least one tool is wanted".to_owned());
    };
    for tool in tools {
        let spec = &tool["toolSpec"];
        let name = spec["name"].as_str().unwrap_or_default();
        if !fits(name, "_-") {
            return Some(format!("toolSpec.name `{name}` does not match [a-zA-Z0-9_-]+"));
        }
        let described = spec
            .get("description")
            .map(|text| text.as_str().unwrap_or_default());
        if described == Some("") || spec["inputSchema"]["json"]["type"] != "object" {
            return Some(format!("toolSpec `{name}`: invalid length or schema"));
        }
    }
    let wanted = config["toolChoice"]["tool"]["name"].as_str();
    let is_there = |name: &str| tools.iter().any(|tool| tool["toolSpec"]["name"] == name);
    wanted
        .filter(|name| !is_there(name))
        .map(|name| format!("toolChoice names `{name}`, which is no tool"))
}

/// Whether an id or name has between 1 and 64 letters, digits and these others.
fn fits(name: &str, others: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || others.contains(c);
    (1..=64).contains(&name.len()) && name.chars().all(allowed)
}

fn messages_problem(messages: &[Value]) -> Option<String> {
    let mut calls: Vec<&str> = Vec::new();
    for (number, message) in messages.iter().enumerate() {
        let role = ["user", "assistant"][number % 2];
        if message["role"] != role {
            return Some("Roles must alternate between user and assistant, and begin with user.".to_owned());
        }
        let blocks = message["content"].as_array().filter(|blocks| !blocks.is_empty());
        let Some(blocks) = blocks else {
            return Some(format!("messages.{number}.content: is empty"));
        };
        if let Some(problem) = blocks.iter().find_map(|block| block_problem(block, role)) {
            return Some(format!("messages.{number}: {problem}"));
        }
        let of = |kind: &str| -> Vec<&str> {
            let found = blocks.iter().filter_map(|block| block.get(kind));
            found.filter_map(|block| block["toolUseId"].as_str()).collect()
        };
        if of("toolResult") != calls {
            return Some(format!(
                "messages.{number}: the number of toolResult blocks exceeds or misses the toolUse blocks of the \
                 previous turn"
            ));
        }
        calls = of("toolUse");
        let names: Vec<&Value> = blocks.iter().filter_map(|block| block.get("document")).collect();
        if !names.is_empty() && texts(&message["content"]).is_empty() {
            return Some("A text block must be included when a document is.".to_owned());
        }
    }
    (!calls.is_empty()).then(|| "toolUse without toolResult".to_owned())
}

fn block_problem(block: &Value, role: &str) -> Option<String> {
    let members = block.as_object().filter(|members| members.len() == 1);
    let Some((kind, value)) = members.and_then(|members| members.iter().next()) else {
        return Some("exactly one member must be set in a content block".to_owned());
    };
    match (kind.as_str(), role) {
        ("text", _) if value.as_str().is_none_or(|text| text.trim().is_empty()) => {
            Some("The text field in the ContentBlock object is blank.".to_owned())
        }
        ("text", _) => None,
        ("cachePoint", _) => (value["type"] != "default").then(|| "cachePoint.type".to_owned()),
        ("image", "user") => {
            let formats = ["png", "jpeg", "gif", "webp"];
            let is_good = formats.iter().any(|format| value["format"] == *format) && has_bytes(value);
            (!is_good).then(|| "image: unknown format or no bytes".to_owned())
        }
        ("document", "user") => {
            let name = value["name"].as_str().unwrap_or_default();
            let allowed = |c: char| c.is_ascii_alphanumeric() || " -()[]".contains(c);
            let is_good = (1..=200).contains(&name.len())
                && name.chars().all(allowed)
                && !name.contains("  ")
                && value["format"] == "pdf"
                && has_bytes(value);
            (!is_good).then(|| format!("document: the name `{name}` or its content is invalid"))
        }
        ("toolUse", "assistant") => {
            let names = [value["toolUseId"].as_str(), value["name"].as_str()].map(Option::unwrap_or_default);
            let is_good = fits(names[0], "_.:-") && fits(names[1], "_-") && value["input"].is_object();
            (!is_good).then(|| format!("toolUse: {names:?} or the input is invalid"))
        }
        ("toolResult", "user") => {
            let content = value["content"].as_array().filter(|content| !content.is_empty());
            let Some(content) = content else {
                return Some("toolResult.content: is empty".to_owned());
            };
            content.iter().find_map(|block| block_problem(block, "user"))
        }
        ("reasoningContent", "assistant") => {
            let told = &value["reasoningText"];
            let is_ours = told["text"] == THOUGHT && told["signature"] == SIGNATURE;
            (!is_ours).then(|| "reasoningContent: Invalid `signature`".to_owned())
        }
        (other, role) => Some(format!("`{other}` is not taken from {role}")),
    }
}

fn has_bytes(value: &Value) -> bool {
    value["source"]["bytes"]
        .as_str()
        .is_some_and(|bytes| !bytes.is_empty())
}
