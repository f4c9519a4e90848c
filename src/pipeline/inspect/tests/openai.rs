//! Requests of OpenAI's API: what they ask for, where their texts stand, the edit for usage.

use super::*;

fn read(body: &str, operation: Operation) -> Result<Index, BadBody> {
    index(&Bytes::copy_from_slice(body.as_bytes()), operation)
}

fn chat(more: &Value) -> Index {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hello there"}]});
    let more = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(more);
    read(&body.to_string(), Operation::ChatCompletions).unwrap()
}

fn powers_of(more: &Value) -> Vec<String> {
    chat(more).powers().iter().map(ToString::to_string).collect()
}

fn placed(messages: &Value) -> Vec<(Place, String)> {
    let index = chat(&json!({"messages": messages}));
    let texts = index.texts().iter();
    texts
        .map(|placed| (placed.place, placed.text.to_str(index.body()).into_owned()))
        .collect()
}

#[test]
fn what_the_vendor_runs_or_keeps_is_a_power() {
    let check = |more: Value, expected: &[&str]| assert_eq!(powers_of(&more), expected, "{more}");
    check(json!({}), &[]);
    let function = json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}});
    check(
        json!({"tools": [function, {"type": "custom", "custom": {"name": "c"}}]}),
        &[],
    );
    check(
        json!({"tools": [{"type": "web_search"}]}),
        &["server_tool/web_search"],
    );
    check(
        json!({"tools": [{"type": "of_tomorrow"}]}),
        &["server_tool/unknown"],
    );
    check(
        json!({"tools": [{"google_search": {}}]}),
        &["server_tool/unknown"],
    );
    check(
        json!({"tools": [{"type": "mcp", "server_url": "https://mcp.example/sse", "authorization": "secret"}]}),
        &["mcp_connector/mcp.example"],
    );
    check(
        json!({"tools": [{"type": "mcp", "connector_id": "x"}]}),
        &["mcp_connector/invalid"],
    );
    check(
        json!({"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "code_interpreter"}]}]}),
        &["server_tool/code_interpreter"],
    );
    check(json!({"web_search_options": {}}), &["server_tool/web_search"]);
    check(json!({"store": true}), &["upstream_state/store"]);
    check(
        json!({"store": false, "background": false, "enable_search": false, "models": []}),
        &[],
    );
    check(
        json!({"store": null, "tools": null, "n": null, "stream": null, "max_tokens": null}),
        &[],
    );
    check(json!({"background": true}), &["upstream_state/background"]);
    check(
        json!({"previous_response_id": "resp_1"}),
        &["upstream_state/response"],
    );
    check(json!({"models": ["a", "b"]}), &["upstream_choice/fallbacks"]);
    check(json!({"plugins": [{"id": "web"}]}), &["server_tool/unknown"]);
}

#[test]
fn addresses_and_files_in_parts_are_powers() {
    let check = |part: Value, expected: &[&str]| {
        let messages = json!([{"role": "user", "content": [part]}]);
        assert_eq!(powers_of(&json!({"messages": messages})), expected, "{part}");
    };
    let image = |url: &str| json!({"type": "image_url", "image_url": {"url": url}});
    check(image("data:image/png;base64,iVBORw0KGgo="), &[]);
    check(
        image("https://pictures.example/a.png"),
        &["url_source/pictures.example"],
    );
    check(image("file:///etc/passwd"), &["url_source/invalid"]);
    check(
        json!({"type": "image_url", "image_url": "http://h.example/"}),
        &["url_source/h.example"],
    );
    check(
        json!({"type": "file", "file": {"file_id": "file_1"}}),
        &["upstream_state/file"],
    );
    check(
        json!({"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}}),
        &[],
    );
    check(
        json!({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}),
        &[],
    );
    check(
        json!({"type": "of_tomorrow", "thing": {"file_id": "x"}}),
        &["upstream_state/file"],
    );
    let spoken =
        json!([{"role": "assistant", "audio": {"id": "audio_1"}}, {"role": "user", "content": "and then?"}]);
    assert_eq!(powers_of(&json!({"messages": spoken})), ["upstream_state/audio"]);
}

#[test]
fn texts_stand_where_their_turn_says() {
    let messages = json!([
        {"role": "developer", "content": "the system text"},
        {"role": "user", "content": "the first question"},
        {"role": "assistant", "content": null, "reasoning_content": "thinking of it",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"key\":1}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "the tool's answer"}]},
        {"content": "the newest question", "role": "user"},
    ]);
    let placed = placed(&messages);
    let check = |text: &str, place: Place| {
        let found = placed.iter().find(|(_, found)| found == text);
        assert_eq!(
            found.map(|(place, _)| *place),
            Some(place),
            "{text} in {placed:?}"
        );
    };
    check("the system text", Place::SystemText);
    check("the first question", Place::EarlierTurn);
    check("thinking of it", Place::EarlierTurn);
    check("{\"key\":1}", Place::ToolArguments);
    check("the tool's answer", Place::ToolResult);
    check("the newest question", Place::NewestUserText);
}

#[test]
fn a_question_behind_which_tools_have_answered_is_earlier() {
    let messages = json!([
        {"role": "user", "content": "the first question"},
        {"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "the tool's answer"},
    ]);
    assert_eq!(
        placed(&messages),
        [
            (Place::EarlierTurn, "the first question".to_owned()),
            (Place::ToolArguments, "function".to_owned()),
            (Place::ToolArguments, "arguments".to_owned()),
            (Place::ToolResult, "the tool's answer".to_owned()),
        ]
    );
}

#[test]
fn what_is_embedded_is_new_text() {
    let check = |input: Value| {
        let body = json!({"model": "m", "input": input}).to_string();
        let index = read(&body, Operation::Embeddings).unwrap();
        let places: Vec<_> = index.texts().iter().map(|text| text.place).collect();
        assert_eq!(places, [Place::NewestUserText], "{body}");
    };
    check(json!("a text to embed"));
    check(json!(["short", "a text to embed"]));
    assert!(read(r#"{"model":"m"}"#, Operation::Embeddings).is_err());
    assert!(read(r#"{"model":"m","input":[[1,2],[3]]}"#, Operation::Embeddings).is_ok());
}

/// The body after the edit for usage.
fn with_usage(body: &str) -> String {
    let index = read(body, Operation::ChatCompletions).unwrap();
    let edits: Vec<_> = index.usage_edit().cloned().into_iter().collect();
    let edited = splice::apply(index.body(), &edits).unwrap();
    String::from_utf8(edited.to_vec()).unwrap()
}

#[test]
fn a_stream_is_made_to_tell_its_usage() {
    let check = |fields: &str, expected: Option<&str>| {
        let body = |fields: &str| format!(r#" {{ {fields}"model":"m","messages":[]}}"#);
        let edited = with_usage(&body(fields));
        match expected {
            Some(expected) => assert!(edited.contains(expected), "{edited}"),
            None => assert_eq!(edited, body(fields)),
        }
        let again = read(&edited, Operation::ChatCompletions).unwrap();
        assert_eq!(again.usage_edit(), None, "{edited}");
    };
    check("", None);
    check(
        r#""stream":false,"stream_options":{"include_usage":false},"#,
        None,
    );
    check(r#""stream":true,"stream_options":{"include_usage":true},"#, None);
    check(
        r#""stream":true,"#,
        Some(r#"{"stream_options":{"include_usage":true}, "stream""#),
    );
    check(
        r#""stream":true,"stream_options":null,"#,
        Some(r#""stream_options":{"include_usage":true},"#),
    );
    check(
        r#""stream":true,"stream_options":{ },"#,
        Some(r#"{"include_usage":true }"#),
    );
    check(
        r#""stream":true,"stream_options":{"include_obfuscation":false},"#,
        Some(r#"{"include_usage":true,"include_obfuscation":false}"#),
    );
    check(
        r#""stream":true,"stream_options":{"include_usage" : false},"#,
        Some(r#"{"include_usage" : true}"#),
    );
}

#[test]
fn what_cannot_be_governed_is_refused() {
    let check = |body: &str, says: &str| {
        let text = read(body, Operation::ChatCompletions).unwrap_err().client_text();
        assert!(text.contains(says), "{body}: {text}");
    };
    check(r#"{"model":"m"}"#, "messages is missing");
    check(r#"{"messages":[]}"#, "model is missing");
    check(r#"{"model":"m","messages":null}"#, "messages is null");
    check(r#"{"model":"m","messages":[],"messages":[]}"#, "twice");
    check(r#"{"model":"m","messages":[],"Store":true}"#, "case");
    check(r#"{"model":"m","messages":[{"content":"x"}]}"#, "role is missing");
    check(
        r#"{"model":"m","messages":[{"role":"user","content":7}]}"#,
        "content is a number",
    );
    check(
        r#"{"model":"m","messages":[],"stream":"yes"}"#,
        "stream is a string",
    );
    check(r#"{"model":"m","messages":[],"n":-1}"#, "n is");
    check(r#"{"model":"m","messages":[],"tools":{}}"#, "tools is an object");
    check(
        r#"{"model":"m","messages":[],"stream_options":[]}"#,
        "stream_options is a list",
    );
    let twice =
        r#"{"model":"m","messages":[{"role":"user","content":[{"type":"x","file_id":null,"file_id":"f"}]}]}"#;
    check(twice, "twice");
}
