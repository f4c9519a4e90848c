//! Requests that the conversion vectors do not hold: refusals above all.

use serde_json::{Value, json};

use crate::pipeline::translate::dropped::DroppedKind;
use crate::pipeline::translate::request::messages_to_chat;
use crate::pipeline::translate::{ChatProfile, TranslatedRequest};
use crate::types::ids::ModelName;

fn translate(changes: &Value) -> Result<TranslatedRequest, String> {
    let mut request = json!({"model": "c", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]});
    for (key, value) in changes.as_object().unwrap() {
        request[key] = value.clone();
    }
    translate_text(&request.to_string())
}

fn translate_text(body: &str) -> Result<TranslatedRequest, String> {
    let outcome = messages_to_chat(body.as_bytes(), &ModelName::new("up"), &ChatProfile::default());
    outcome.map_err(|error| error.client_text())
}

/// Checks that the request is refused, and how the message begins.
fn refused(changes: &Value, beginning: &str) {
    let error = translate(changes).map(|chat| chat.body).unwrap_err();
    assert!(error.starts_with(beginning), "{error}");
}

#[test]
fn tools_that_only_anthropic_runs_are_refused_by_name() {
    let search = json!({"type": "web_search_20250305", "name": "web_search", "max_uses": 8});
    let named = "tools[0].type: `web_search_20250305` tools are run or defined by Anthropic";
    refused(&json!({"tools": [search]}), named);
    refused(
        &json!({"tools": [{"type": "computer_20250124", "name": "computer"}]}),
        "tools[0].type: ",
    );
    refused(
        &json!({"tools": [{"type": "surprise", "name": "x", "input_schema": {}}]}),
        "tools[0].type: ",
    );
    refused(
        &json!({"tools": [{"name": "x"}]}),
        "tools[0].input_schema: an object is wanted",
    );
    refused(&json!({"tools": [{"input_schema": {}}]}), "tools[0].name: ");
    let choice = json!({"tools": [{"name": "f", "input_schema": {}}], "tool_choice": {"type": "best"}});
    refused(&choice, "tool_choice.type: ");
}

#[test]
fn parameters_that_would_change_their_meaning_are_refused() {
    refused(&json!({"mcp_servers": [{"url": "https://x"}]}), "mcp_servers: ");
    refused(&json!({"container": "c1"}), "container: ");
    refused(&json!({"thread": {"id": "t"}}), "thread: ");
    refused(
        &json!({"safeguards": [{"type": "x"}]}),
        "safeguards: Extra inputs are not permitted",
    );
    refused(&json!({"max_tokens": 0}), "max_tokens: 0 only warms");
    refused(
        &json!({"max_tokens": "9"}),
        "max_tokens: a whole number is wanted",
    );
    refused(&json!({"stream": "yes"}), "stream: true or false is wanted");
    refused(&json!({"model": 5}), "model: a string is wanted");
    let many: Vec<String> = (0..65).map(|n| n.to_string()).collect();
    refused(&json!({"stop_sequences": many}), "stop_sequences[64]: at most 64");
    for (body, beginning) in [("[]", "body: "), ("{", "body: "), ("{} {}", "body: ")] {
        assert!(
            translate_text(body)
                .map(|chat| chat.body)
                .unwrap_err()
                .starts_with(beginning)
        );
    }
    let latin = messages_to_chat(
        b"{\"model\":\"\xff\"}",
        &ModelName::new("up"),
        &ChatProfile::default(),
    );
    assert_eq!(latin.unwrap_err().client_text(), "body: is not UTF-8");
}

#[test]
fn messages_that_are_none_are_refused() {
    refused(&json!({"messages": []}), "messages: at least one message");
    refused(
        &json!({"messages": [{"role": "user", "content": " "}]}),
        "messages: at least one message",
    );
    refused(&json!({"messages": "x"}), "messages: a list is wanted");
    refused(
        &json!({"messages": [{"role": "tool", "content": "x"}]}),
        "messages[0].role: ",
    );
    refused(&json!({"messages": [{"role": "user"}]}), "messages[0].content: ");
    refused(&json!({"messages": [7]}), "messages[0]: an object is wanted");
    refused(
        &json!({"system": [{"type": "image"}]}),
        "system[0].type: `image` content",
    );
}

#[test]
fn content_that_cannot_be_told_is_refused() {
    let sent = |role: &str, block: Value, beginning: &str| {
        refused(
            &json!({"messages": [{"role": role, "content": [block]}]}),
            &format!("messages[0].content[0].{beginning}"),
        );
    };
    sent(
        "user",
        json!({"type": "container_upload", "file_id": "f"}),
        "type: `container_upload`",
    );
    sent(
        "user",
        json!({"type": "hologram", "data": "x"}),
        "type: `hologram`",
    );
    sent("user", json!({"text": "x"}), "type: a string is wanted");
    sent("user", json!({"type": "text"}), "text: a string is wanted");
    sent(
        "user",
        json!({"type": "image", "source": {"type": "file", "file_id": "f"}}),
        "source.type: ",
    );
    sent(
        "user",
        json!({"type": "document", "source": {"type": "url", "url": "https://x"}}),
        "source.type: ",
    );
    let page = json!({"type": "base64", "media_type": "text/html", "data": ""});
    sent(
        "user",
        json!({"type": "document", "source": page}),
        "source.media_type: application/pdf",
    );
    sent("assistant", json!({"type": "oracle"}), "type: `oracle`");
    sent(
        "assistant",
        json!({"type": "tool_use", "name": "f", "input": {}}),
        "id: ",
    );
}

#[test]
fn what_is_dropped_is_reported() {
    let check = |changes: Value, path: &str, kind: DroppedKind| {
        let chat = translate(&changes).unwrap();
        let found = chat.dropped.iter().find(|dropped| dropped.path == path);
        assert_eq!(
            found.map(|dropped| dropped.kind),
            Some(kind),
            "{path}: {:?}",
            chat.dropped
        );
    };
    check(json!({"top_k": 4}), "top_k", DroppedKind::Loss);
    check(json!({"speed": "fast"}), "speed", DroppedKind::Loss);
    check(json!({"brand_new": {"a": 1}}), "brand_new", DroppedKind::Loss);
    check(
        json!({"metadata": {"user_id": "u"}}),
        "metadata",
        DroppedKind::Hint,
    );
    check(
        json!({"tool_choice": {"type": "auto"}}),
        "tool_choice",
        DroppedKind::Hint,
    );
    check(
        json!({"thinking": {"type": "disabled"}}),
        "thinking",
        DroppedKind::Loss,
    );
    check(
        json!({"output_config": {"effort": "low"}}),
        "output_config.effort",
        DroppedKind::Loss,
    );
    check(
        json!({"output_config": {"task_budget": 5}}),
        "output_config.task_budget",
        DroppedKind::Loss,
    );
    check(
        json!({"output_format": {"type": "grammar"}}),
        "output_format",
        DroppedKind::Loss,
    );
    let prefilled = json!([{"role": "user", "content": "x"}, {"role": "assistant", "content": "{"}]);
    check(json!({"messages": prefilled}), "messages[1]", DroppedKind::Loss);
    let empty = translate(&json!({"mcp_servers": [], "top_k": null, "cache_control": {}})).unwrap();
    assert_eq!(empty.dropped, [], "nothing is lost by what says nothing");
}

#[test]
fn values_keep_their_spelling() {
    let body = r#"{"model":"c","max_tokens":9,"temperature":0.30,"messages":[
        {"role":"user","content":"caf\u00e9 \/ \ud83d\ude00"},
        {"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{ "z" : 1.0e2, "a" : "\u00e9 \" b" }}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"x"}]}],
        "tools":[{"name":"f","input_schema":{ "type": "object", "properties": { "z": {"const": 12345678901234567890123} } }}]}"#;
    let chat = translate_text(body).unwrap();
    let sent = std::str::from_utf8(&chat.body).unwrap();
    for kept in [
        r#""temperature":0.30"#,
        r#""content":"caf\u00e9 \/ \ud83d\ude00""#,
        r#""arguments":"{\"z\":1.0e2,\"a\":\"\\u00e9 \\\" b\"}""#,
        r#""parameters":{ "type": "object", "properties": { "z": {"const": 12345678901234567890123} } }"#,
    ] {
        assert!(sent.contains(kept), "{kept} is not in {sent}");
    }
}

#[test]
fn the_input_is_estimated_without_pictures_as_text() {
    let tokens = |content: Value| {
        translate(&json!({"messages": [{"role": "user", "content": content}]}))
            .unwrap()
            .answer
            .input_tokens_estimate()
    };
    let data = "A".repeat(1 << 20);
    let image =
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}});
    let picture = tokens(json!([image]));
    assert!((1600..1800).contains(&picture), "{picture}");
    let text = tokens(json!("word ".repeat(7000)));
    assert!((10_000..10_100).contains(&text), "{text}");
}

/// Bodies of real clients.
#[test]
fn bodies_of_claude_code_are_translated() {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/corpus/fixtures/claude-code/messages"
    );
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let capture: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        if capture["path"] != "/v1/messages" {
            continue;
        }
        let outcome = translate_text(&capture["body"].to_string());
        if capture["body"].to_string().contains("web_search_20250305") {
            assert!(
                outcome
                    .map(|chat| chat.body)
                    .unwrap_err()
                    .contains("web_search_20250305")
            );
            continue;
        }
        let fault = capture["body"].get("safeguards").is_some();
        match outcome {
            Ok(chat) => {
                let sent: Value = serde_json::from_slice(&chat.body).unwrap();
                assert_eq!(sent["model"], "up", "{}", path.display());
            }
            Err(error) => assert!(
                fault && error.starts_with("safeguards: "),
                "{}: {error}",
                path.display()
            ),
        }
    }
}
