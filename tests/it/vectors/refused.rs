//! Requests that would lose their meaning in a translation are refused, and the refusal names the place.

use serde_json::{Value, json};
use tollgate::pipeline::translate::{Reader, chat_to_messages, responses_to_messages};
use tollgate::types::ids::ModelName;

#[test]
fn chat_that_would_change_its_meaning_is_refused() {
    let refused = |more: Value| {
        let mut request = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]});
        request
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let model = ModelName::new("claude-sonnet-4-5");
        let sent = chat_to_messages(request.to_string().as_bytes(), Reader::Upstream(&model));
        sent.err().map(|error| error.client_text()).unwrap_or_default()
    };
    let part = |part: Value| refused(json!({"messages": [{"role": "user", "content": [part]}]}));
    for (text, place) in [
        (refused(json!({"n": 2})), "n: "),
        (refused(json!({"modalities": ["text", "audio"]})), "modalities: "),
        (refused(json!({"web_search_options": {}})), "web_search_options: "),
        (
            refused(json!({"tools": [{"type": "web_search"}]})),
            "tools[0]: `web_search`",
        ),
        (
            refused(json!({"tools": [{"type": "custom", "custom": {"name": "c"}}]})),
            "tools[0]: `custom`",
        ),
        (refused(json!({"tool_choice": "sometimes"})), "tool_choice: "),
        (refused(json!({"messages": []})), "messages: "),
        (
            refused(json!({"messages": [{"role": "robot", "content": "x"}]})),
            "messages[0].role: ",
        ),
        (
            part(json!({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}})),
            "`input_audio`",
        ),
        (
            part(json!({"type": "file", "file": {"file_id": "f"}})),
            "messages[0].content[0].file: ",
        ),
        (
            part(json!({"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AA=="}})),
            "JPEG",
        ),
    ] {
        assert!(text.contains(place), "{place} in {text:?}");
    }
    assert_eq!(
        refused(json!({"n": 1, "modalities": ["text"], "tool_choice": "none"})),
        ""
    );
}

/// Why a request of the Responses API with these fields is refused; empty where it is not.
fn refused_response(more: &Value) -> String {
    let mut request = json!({"model": "m", "input": "x"});
    request
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let model = ModelName::new("claude-sonnet-4-5");
    let sent = responses_to_messages(request.to_string().as_bytes(), Reader::Upstream(&model));
    sent.err().map(|error| error.client_text()).unwrap_or_default()
}

#[test]
fn responses_that_would_change_their_meaning_are_refused() {
    let refused = |more: Value| refused_response(&more);
    let item = |item: Value| refused(json!({"input": [item]}));
    let part = |part: Value| item(json!({"role": "user", "content": [part]}));
    for (text, place) in [
        (refused(json!({"background": true})), "background: "),
        (
            refused(json!({"tools": [{"type": "web_search"}]})),
            "tools[0]: `web_search`",
        ),
        (
            refused(json!({"tools": [{"type": "function"}]})),
            "tools[0].name: ",
        ),
        (
            refused(json!({"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "mcp"}]}]})),
            "tools[0].tools[0]: `mcp`",
        ),
        (
            refused(json!({"tool_choice": {"type": "web_search"}})),
            "tool_choice: ",
        ),
        (
            refused(json!({"text": {"format": {"type": "json_schema", "name": "n"}}})),
            "text.format.schema: ",
        ),
        (refused(json!({"input": []})), "input: "),
        (refused(json!({"input": " "})), "input: "),
        (refused(json!({"input": 7})), "input: "),
        (refused(json!({"instructions": []})), "instructions: "),
        (item(json!({"role": "robot", "content": "x"})), "input[0].role: "),
        (
            item(json!({"type": "function_call", "name": "f", "arguments": "{}"})),
            "input[0].call_id: ",
        ),
        (
            item(json!({"type": "function_call", "call_id": "c"})),
            "input[0].name: ",
        ),
        (
            item(json!({"type": "computer_call", "call_id": "c"})),
            "`computer_call`",
        ),
        (
            item(json!({"type": "compaction", "encrypted_content": "c"})),
            "`compaction`",
        ),
        (part(json!({"type": "input_audio", "data": ""})), "`input_audio`"),
        (
            part(json!({"type": "input_file", "file_id": "f"})),
            "input[0].content[0].file_id: ",
        ),
        (
            part(json!({"type": "input_image", "file_id": "f"})),
            "input[0].content[0].file_id: ",
        ),
        (
            part(json!({"type": "input_image", "image_url": "data:image/tiff;base64,AA=="})),
            "JPEG",
        ),
    ] {
        assert!(text.contains(place), "{place} in {text:?}");
    }
    assert_eq!(refused(json!({"tool_choice": "none", "store": false})), "");
}
