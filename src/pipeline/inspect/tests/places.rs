//! Where texts stand.

use super::*;

#[test]
fn texts_stand_in_their_places() {
    let body = json!({
        "model": "m", "max_tokens": 1,
        "system": [{ "type": "text", "text": "system text" }],
        "tools": [{ "name": "long_tool_name", "description": "tool description" }],
        "metadata": { "user_id": "metadata text" },
        "mcp_servers": [{ "url": "https://example.com", "authorization_token": "connector token" }],
        "messages": [
            { "role": "user", "content": "first question" },
            { "role": "assistant", "content": [
                { "type": "thinking", "thinking": "deep thought", "signature": "signature text" },
                { "type": "redacted_thinking", "data": "sealed thought" },
                { "text": "answer text", "type": "text" },
                { "input": { "argument_name": "argument text" }, "id": "identifier", "type": "tool_use" },
            ] },
            { "content": [
                { "content": [{ "type": "text", "text": "result text" }], "type": "tool_result", "tool_use_id": "identifier" },
                { "type": "image", "source": { "data": "aW1hZ2UgZGF0YQ==", "type": "base64" } },
                { "type": "document", "source": { "type": "text", "data": "document text" } },
                { "type": "web_search_tool_result", "content": [{ "title": "page title", "encrypted_content": "sealed page" }] },
            ], "role": "user" },
            { "role": "system", "content": "later system text" },
            { "role": "user", "content": "second question" },
        ],
    });
    let expected = [
        (Place::SystemText, "system text"),
        (Place::ToolDefinition, "long_tool_name"),
        (Place::ToolDefinition, "tool description"),
        (Place::OtherField, "metadata text"),
        (Place::EarlierTurn, "first question"),
        (Place::EarlierTurn, "answer text"),
        (Place::ToolArguments, "argument_name"),
        (Place::ToolArguments, "argument text"),
        (Place::EarlierTurn, "identifier"),
        (Place::ToolResult, "result text"),
        (Place::ToolResult, "identifier"),
        (Place::NewestUserText, "document text"),
        (Place::ToolResult, "page title"),
        (Place::SystemText, "later system text"),
        (Place::NewestUserText, "second question"),
    ];
    assert_eq!(
        places(&body),
        expected.map(|(place, text)| (place, text.to_owned()))
    );
}

#[test]
fn the_newest_turn_is_the_last_run_of_user_messages() {
    let check = |turns: &[(&str, &str)], newest: &[&str]| {
        let messages: Vec<Value> = turns
            .iter()
            .map(|(role, text)| json!({ "role": role, "content": text }))
            .collect();
        let found = places(&request(messages.into()));
        let found: Vec<&str> = found
            .iter()
            .filter(|(place, _)| *place == Place::NewestUserText)
            .map(|(_, text)| &**text)
            .collect();
        assert_eq!(found, newest);
    };
    check(&[("user", "question one")], &["question one"]);
    check(
        &[("user", "question one"), ("assistant", "prefilled answer")],
        &["question one"],
    );
    check(
        &[
            ("user", "question one"),
            ("assistant", "answer one"),
            ("user", "question two"),
            ("user", "question three"),
        ],
        &["question two", "question three"],
    );
    check(
        &[("user", "question one"), ("system", "environment")],
        &["question one"],
    );
    check(&[("assistant", "only answers")], &[]);
}
