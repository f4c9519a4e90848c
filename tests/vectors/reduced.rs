//! What a stream, or a message, comes to: the form in which answers are compared.

use serde_json::{Value, json};

use super::case::Case;
use super::events::Event;
use super::pattern::{Bindings, matches};

/// An answer without what does not count.
#[derive(Clone, Debug, PartialEq)]
pub struct Reduced {
    pub blocks: Vec<Block>,
    /// `{stop_reason, stop_sequence, usage}` of a proper end, or `{error: {type}}`.
    pub end: Value,
}

/// One content block.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    pub kind: String,
    /// Text, thinking, or the arguments as they came.
    pub text: String,
    /// Tool calls: `{name, input}`.
    pub call: Value,
}

/// The counters that count.
const COUNTERS: [&str; 4] = [
    "input_tokens",
    "output_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
];

/// What a list of events comes to.
pub fn of_events<'e>(events: impl IntoIterator<Item = &'e Value>) -> Reduced {
    let mut reduced = Reduced {
        blocks: Vec::new(),
        end: Value::Null,
    };
    for data in events {
        match data["type"].as_str().unwrap_or_default() {
            "content_block_start" => {
                let block = &data["content_block"];
                reduced.blocks.push(Block {
                    kind: block["type"].as_str().unwrap_or_default().to_owned(),
                    text: String::new(),
                    call: json!({"name": block["name"], "input": null}),
                });
            }
            "content_block_delta" => {
                let delta = &data["delta"];
                let piece = ["text", "thinking", "partial_json"]
                    .iter()
                    .find_map(|key| delta[*key].as_str());
                if let (Some(block), Some(piece)) = (reduced.blocks.last_mut(), piece) {
                    block.text.push_str(piece);
                }
            }
            "message_delta" => reduced.end = end(&data["delta"], &data["usage"]),
            "error" => reduced.end = json!({"error": {"type": data["error"]["type"]}}),
            _ => {}
        }
    }
    for block in reduced.blocks.iter_mut().filter(|block| block.kind == "tool_use") {
        let text = if block.text.is_empty() { "{}" } else { &block.text };
        // Incomplete JSON is compared as it is.
        block.call["input"] = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
    }
    reduced
        .blocks
        .retain(|block| block.kind != "text" || !block.text.trim().is_empty());
    reduced
}

/// What decoded events come to.
pub fn of_stream(events: &[Event]) -> Reduced {
    of_events(events.iter().map(|event| &event.data))
}

/// What a message comes to; also one of the form `{error, partial_content}`.
pub fn of_message(message: &Value) -> Reduced {
    let content = if message.get("error").is_some() {
        &message["partial_content"]
    } else {
        &message["content"]
    };
    let blocks = content.as_array().into_iter().flatten().map(|block| {
        let text = ["text", "thinking"]
            .iter()
            .find_map(|key| block[*key].as_str())
            .unwrap_or_default();
        Block {
            kind: block["type"].as_str().unwrap_or_default().to_owned(),
            text: text.to_owned(),
            call: json!({"name": block["name"], "input": block["input"]}),
        }
    });
    let blocks = blocks
        .filter(|block| block.kind != "text" || !block.text.trim().is_empty())
        .collect();
    let end = match message.get("error") {
        Some(error) => json!({"error": {"type": error["type"]}}),
        None => end(message, &message["usage"]),
    };
    Reduced { blocks, end }
}

fn end(delta: &Value, usage: &Value) -> Value {
    let counters = COUNTERS.iter().map(|name| {
        let count = usage.get(*name).cloned().unwrap_or(json!(0));
        ((*name).to_owned(), count)
    });
    let mut counted: serde_json::Map<_, _> = counters.collect();
    if let Some(thinking) = usage["output_tokens_details"].get("thinking_tokens") {
        counted.insert("thinking_tokens".to_owned(), thinking.clone());
    }
    json!({"stop_reason": delta["stop_reason"], "stop_sequence": delta["stop_sequence"], "usage": counted})
}

/// Compares two answers.
pub fn compare(case: &Case, expected: &Reduced, actual: &Reduced) -> Result<(), String> {
    let kinds = |reduced: &Reduced| {
        reduced
            .blocks
            .iter()
            .map(|block| block.kind.clone())
            .collect::<Vec<_>>()
    };
    if kinds(expected) != kinds(actual) {
        return Err(format!(
            "expected the blocks {:?}, found {:?}",
            kinds(expected),
            kinds(actual)
        ));
    }
    for (index, (expected, actual)) in expected.blocks.iter().zip(&actual.blocks).enumerate() {
        let at = format!("block {index}");
        let text = |block: &Block| {
            let text = if case.switch("trim_text") {
                block.text.trim()
            } else {
                block.text.as_str()
            };
            text.to_owned()
        };
        if expected.kind == "tool_use" {
            matches(&expected.call, &actual.call, &mut Bindings::default(), &at)?;
        } else if text(expected) != text(actual) {
            return Err(format!(
                "{at}: expected {:?}, found {:?}",
                text(expected),
                text(actual)
            ));
        }
    }
    let (mut expected, mut actual) = (expected.end.clone(), actual.end.clone());
    let has_thinking = |end: &Value| end["usage"].get("thinking_tokens").is_some();
    if !has_thinking(&expected) || !has_thinking(&actual) {
        for end in [&mut expected, &mut actual] {
            if let Some(usage) = end.get_mut("usage").and_then(Value::as_object_mut) {
                usage.remove("thinking_tokens");
            }
        }
    }
    matches(&expected, &actual, &mut Bindings::default(), "end")
}
