//! Comparing the upstream's request.

use serde_json::{Map, Value};

use super::case::Case;
use super::pattern::{Bindings, matches};

/// Top-level keys that never count.
const IGNORED: [&str; 6] = [
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "metadata",
    "store",
];

/// Top-level keys that count only where the case says so.
const IGNORED_UNLESS_LISTED: [&str; 7] = [
    "thinking",
    "reasoning",
    "reasoning_effort",
    "enable_thinking",
    "thinking_budget",
    "chat_template_kwargs",
    "output_config",
];

/// Compares what the upstream received with what it should have.
pub fn compare(case: &Case, expected: &Value, actual: &Value) -> Result<(), String> {
    if let Some(longest) = case.settings.get("max_tool_id_length").and_then(Value::as_u64) {
        for id in tool_ids(actual) {
            if id.len() as u64 > longest {
                return Err(format!("the tool id {id} is longer than {longest}"));
            }
        }
    }
    let listed = case.list("compare_request_keys");
    let (expected, actual) = (normal(expected, &listed), normal(actual, &listed));
    matches(&expected, &actual, &mut Bindings::default(), "request")
}

fn tool_ids(request: &Value) -> Vec<&str> {
    let messages = request.get("messages").and_then(Value::as_array);
    let messages = messages.into_iter().flatten();
    messages
        .flat_map(|message| {
            let calls = message.get("tool_calls").and_then(Value::as_array);
            let calls = calls
                .into_iter()
                .flatten()
                .filter_map(|call| call.get("id")?.as_str());
            calls.chain(message.get("tool_call_id").and_then(Value::as_str))
        })
        .collect()
}

fn normal(request: &Value, listed: &[&str]) -> Value {
    let mut request = request.clone();
    let Some(members) = request.as_object_mut() else {
        return request;
    };
    members.retain(|key, value| {
        let ignored = IGNORED.contains(&key.as_str())
            || (IGNORED_UNLESS_LISTED.contains(&key.as_str()) && !listed.contains(&key.as_str()))
            || (key == "n" && *value == 1)
            || (key == "parallel_tool_calls" && *value == true)
            || (key == "stream" && *value == false);
        !ignored
    });
    if let Some(options) = members.get_mut("stream_options").and_then(Value::as_object_mut) {
        options.retain(|key, _| key == "include_usage");
    }
    if let Some(tools) = members.get_mut("tools").and_then(Value::as_array_mut) {
        tools.iter_mut().for_each(normalise_tool);
    }
    if let Some(messages) = members.get_mut("messages") {
        let ids: Vec<String> = Vec::new();
        let list = std::mem::take(messages).as_array().cloned().unwrap_or_default();
        *messages = Value::Array(normal_messages(list, ids));
    }
    request
}

fn normalise_tool(tool: &mut Value) {
    let Some(function) = tool.get_mut("function").and_then(Value::as_object_mut) else {
        return;
    };
    function
        .entry("description")
        .or_insert_with(|| Value::String(String::new()));
    if function
        .get("strict")
        .is_some_and(|strict| strict.is_null() || *strict == false)
    {
        function.shift_remove("strict");
    }
    if let Some(schema) = function.get_mut("parameters").and_then(Value::as_object_mut)
        && schema.get("type").and_then(Value::as_str) == Some("object")
    {
        schema
            .entry("properties")
            .or_insert_with(|| Value::Object(Map::new()));
    }
}

fn normal_messages(messages: Vec<Value>, mut ids: Vec<String>) -> Vec<Value> {
    let mut normal: Vec<Map<String, Value>> = Vec::new();
    for message in messages {
        let Value::Object(mut message) = message else {
            continue;
        };
        if message.get("role").and_then(Value::as_str) == Some("developer") {
            message.insert("role".into(), Value::from("system"));
        }
        number_ids(&mut message, &mut ids);
        let parts = parts(message.shift_remove("content"));
        message.insert("content".into(), parts);
        let mergeable = |message: &Map<String, Value>| {
            let role = message.get("role").and_then(Value::as_str);
            message.len() == 2 && matches!(role, Some("user" | "system")) && message["content"].is_array()
        };
        match normal.last_mut() {
            Some(last) if mergeable(last) && mergeable(&message) && last["role"] == message["role"] => {
                let added = message["content"].as_array().cloned().unwrap_or_default();
                last["content"]
                    .as_array_mut()
                    .into_iter()
                    .for_each(|parts| parts.extend(added.clone()));
            }
            _ => normal.push(message),
        }
    }
    for message in &mut normal {
        if let Some(content) = message.get_mut("content") {
            *content = joined(content);
        }
    }
    normal.into_iter().map(Value::Object).collect()
}

fn number_ids(message: &mut Map<String, Value>, ids: &mut Vec<String>) {
    let mut number = |id: &mut Value| {
        let Some(text) = id.as_str().map(str::to_owned) else {
            return;
        };
        let position = ids.iter().position(|known| *known == text).unwrap_or_else(|| {
            ids.push(text);
            ids.len() - 1
        });
        *id = Value::String(format!("ID{}", position + 1));
    };
    for call in message
        .get_mut("tool_calls")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        call.get_mut("id").into_iter().for_each(&mut number);
    }
    message.get_mut("tool_call_id").into_iter().for_each(number);
}

/// The content as a list of parts; a matcher stays what it is.
fn parts(content: Option<Value>) -> Value {
    let text = |text: String| serde_json::json!({"type": "text", "text": text});
    match content {
        None | Some(Value::Null) => Value::Array(Vec::new()),
        Some(Value::String(empty)) if empty.is_empty() => Value::Array(Vec::new()),
        Some(Value::String(string)) => Value::Array(vec![text(string)]),
        Some(Value::Array(mut list)) => {
            for part in &mut list {
                if let Some(url) = part.get_mut("image_url").and_then(Value::as_object_mut) {
                    url.shift_remove("detail");
                }
                if let Some(file) = part.get_mut("file").and_then(Value::as_object_mut) {
                    file.shift_remove("filename");
                }
            }
            Value::Array(list)
        }
        Some(matcher) => matcher,
    }
}

/// The content with line ends collapsed; text alone becomes one string.
fn joined(content: &Value) -> Value {
    let Some(list) = content.as_array() else {
        return collapsed(content);
    };
    let texts: Option<Vec<&str>> = list
        .iter()
        .map(|part| {
            part.get("text")
                .and_then(Value::as_str)
                .filter(|_| part["type"] == "text")
        })
        .collect();
    match texts {
        Some(texts) => collapsed(&Value::String(texts.join("\n"))),
        None => collapsed(content),
    }
}

/// Any run of CR and LF in any text becomes one LF.
fn collapsed(value: &Value) -> Value {
    match value {
        Value::String(text) => {
            let mut out = String::new();
            for c in text.chars() {
                match c {
                    '\r' | '\n' if out.ends_with('\n') => {}
                    '\r' => out.push('\n'),
                    c => out.push(c),
                }
            }
            Value::String(out)
        }
        Value::Array(list) => Value::Array(list.iter().map(collapsed).collect()),
        Value::Object(members) => Value::Object(
            members
                .iter()
                .map(|(key, value)| (key.clone(), collapsed(value)))
                .collect(),
        ),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(expected: &Value, actual: &Value, fits: bool) {
        let outcome = matches(
            &normal(expected, &[]),
            &normal(actual, &[]),
            &mut Bindings::default(),
            "$",
        );
        assert_eq!(outcome.is_ok(), fits, "{expected} {actual} {outcome:?}");
    }

    #[test]
    fn what_means_the_same_is_the_same() {
        let messages = |messages: Value| json!({"messages": messages});
        check(
            &messages(json!([{"role": "user", "content": "a\nb"}])),
            &messages(
                json!([{"role": "user", "content": [{"type": "text", "text": "a"}]},
                {"role": "user", "content": "b"}]),
            ),
            true,
        );
        check(
            &messages(
                json!([{"role": "assistant", "content": null, "tool_calls": [{"id": "x"}]},
                {"role": "tool", "tool_call_id": "x", "content": "r"}]),
            ),
            &messages(json!([{"role": "assistant", "tool_calls": [{"id": "y"}]},
                {"role": "tool", "tool_call_id": "y", "content": "r"}])),
            true,
        );
        check(
            &messages(json!([{"role": "tool", "tool_call_id": "x", "content": "r"},
                {"role": "tool", "tool_call_id": "y", "content": "r"}])),
            &messages(json!([{"role": "tool", "tool_call_id": "y", "content": "r"},
                {"role": "tool", "tool_call_id": "y", "content": "r"}])),
            false,
        );
        check(
            &json!({"user": "u", "n": 1}),
            &json!({"parallel_tool_calls": true, "store": false}),
            true,
        );
        check(&json!({}), &json!({"top_k": 1}), false);
        check(
            &json!({"tools": [{"function": {"name": "f", "parameters": {"type": "object"}}}]}),
            &json!({"tools": [{"function": {"name": "f", "description": "", "strict": null,
                "parameters": {"type": "object", "properties": {}}}}]}),
            true,
        );
    }
}
