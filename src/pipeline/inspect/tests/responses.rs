//! Requests of the Responses API: items, what the upstream would keep, references to it.

use super::*;

fn read(body: &Value) -> Result<Index, BadBody> {
    let body = Bytes::from(body.to_string());
    index(&body, Operation::Responses)
}

fn with(more: &Value) -> Value {
    let mut body = json!({"model": "m", "input": "hello there"});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    body
}

fn powers_of(more: &Value) -> Vec<String> {
    let index = read(&with(more)).unwrap();
    index.powers().iter().map(ToString::to_string).collect()
}

#[test]
fn texts_stand_where_their_item_says() {
    let input = json!([
        {"role": "developer", "content": "the system text"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "the first question"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "a summary of it"}],
            "encrypted_content": "sealed by the vendor"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{\"key\":\"value\"}"},
        {"type": "function_call_output", "call_id": "c", "output": "the tool's answer"},
        {"type": "custom_tool_call", "call_id": "d", "name": "patch", "input": "*** Begin Patch"},
        {"type": "custom_tool_call_output", "call_id": "d", "output": [{"type": "input_text", "text": "patched it"}]},
        {"type": "message", "role": "user", "content": "the newest question"},
    ]);
    let index = read(&with(
        &json!({"input": input, "instructions": "the instructions"}),
    ))
    .unwrap();
    let check = |text: &str, expected: Option<Place>| {
        let found = index
            .texts()
            .iter()
            .find(|placed| placed.text.to_str(index.body()) == text);
        assert_eq!(found.map(|placed| placed.place), expected, "{text}");
    };
    check("the instructions", Some(Place::SystemText));
    check("the system text", Some(Place::SystemText));
    check("the first question", Some(Place::EarlierTurn));
    check("a summary of it", Some(Place::EarlierTurn));
    check("sealed by the vendor", None);
    check("{\"key\":\"value\"}", Some(Place::ToolArguments));
    check("the tool's answer", Some(Place::ToolResult));
    check("*** Begin Patch", Some(Place::ToolArguments));
    check("patched it", Some(Place::ToolResult));
    check("the newest question", Some(Place::NewestUserText));
    let alone = read(&with(&json!({}))).unwrap();
    let places: Vec<_> = alone.texts().iter().map(|placed| placed.place).collect();
    assert_eq!(places, [Place::NewestUserText]);
}

#[test]
fn what_the_vendor_runs_or_keeps_is_a_power() {
    let check = |more: Value, expected: &[&str]| assert_eq!(powers_of(&more), expected, "{more}");
    check(json!({}), &[]);
    check(json!({"store": false, "background": false}), &[]);
    check(json!({"store": true}), &["upstream_state/store"]);
    check(json!({"background": true}), &["upstream_state/background"]);
    check(
        json!({"tools": [{"type": "function", "name": "f", "parameters": {}, "strict": false}]}),
        &[],
    );
    check(
        json!({"tools": [{"type": "custom", "name": "apply_patch"}, {"type": "local_shell"}]}),
        &[],
    );
    check(
        json!({"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}),
        &["server_tool/file_search"],
    );
    let image = json!([{"role": "user", "content": [{"type": "input_image", "image_url": "https://h.example/a.png"}]}]);
    check(json!({"input": image}), &["url_source/h.example"]);
    let file = json!([{"role": "user", "content": [{"type": "input_file", "file_url": "https://f.example/a.pdf"},
        {"type": "input_file", "file_id": "file_1"}]}]);
    check(
        json!({"input": file}),
        &["upstream_state/file", "url_source/f.example"],
    );
}

#[test]
fn nothing_is_kept_of_which_nobody_said_so() {
    let stored = |more: &Value| -> Value {
        let index = read(&with(more)).unwrap();
        let edits: Vec<_> = index.store_edit().cloned().into_iter().collect();
        let edited = splice::apply(index.body(), &edits).unwrap();
        serde_json::from_slice::<Value>(&edited).unwrap()["store"].clone()
    };
    assert_eq!(stored(&json!({})), json!(false));
    assert_eq!(stored(&json!({"store": null})), json!(false));
    assert_eq!(stored(&json!({"store": false})), json!(false));
    assert_eq!(
        stored(&json!({"store": true})),
        json!(true),
        "a policy may permit it"
    );
    let chat = json!({"model": "m", "messages": []}).to_string();
    let chat = index(&Bytes::from(chat), Operation::ChatCompletions).unwrap();
    assert_eq!(chat.store_edit(), None);
}

#[test]
fn references_to_what_the_upstream_keeps_are_refused() {
    let check = |more: Value, says: &str| {
        let text = read(&with(&more)).unwrap_err().client_text();
        assert!(text.contains(says), "{more}: {text}");
    };
    check(
        json!({"previous_response_id": "resp_1"}),
        "previous_response_id is a reference",
    );
    check(json!({"conversation": "conv_1"}), "conversation is a reference");
    check(json!({"prompt": {"id": "pmpt_1"}}), "prompt is a reference");
    check(
        json!({"input": [{"type": "item_reference", "id": "msg_1"}]}),
        "input[0].type is a reference",
    );
    // A role does not make a message of it.
    check(
        json!({"input": [{"type": "item_reference", "id": "msg_1", "role": "user"}]}),
        "input[0].type is a reference",
    );
    check(json!({"input": [{"content": "x"}]}), "input[0].role is missing");
    check(json!({"input": 7}), "input is a number");
    assert_eq!(
        powers_of(&json!({"previous_response_id": null, "conversation": null})),
        [] as [&str; 0]
    );
    assert!(index(&Bytes::from_static(br#"{"model":"m"}"#), Operation::Responses).is_err());
}
