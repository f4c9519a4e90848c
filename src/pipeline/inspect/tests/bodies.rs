//! What is read of a body, and what is refused.

use super::*;

#[test]
fn reads_the_fields_that_governance_needs() {
    let body = r#" {"messages":[{"role":"user","content":"hello you"}],"x":{"model":"no"},"max_tokens":0,
        "mod\u0065l":"cl\u0061ude","stream":true,"tools":[{"name":"Read","input_schema":{"type":"object"}}]}"#;
    let index = indexed(body).unwrap();
    assert_eq!(index.model().as_str(), "claude");
    assert_eq!(
        (index.stream(), index.max_tokens(), index.messages()),
        (true, Some(0), 1)
    );
    assert_eq!(
        (index.tools().count(), index.tools().names()),
        (1, &["Read".into()][..])
    );
    let edited = splice::apply(index.body(), &[index.model_splice(&"a \"b\"".into())]).unwrap();
    assert_eq!(edited, body.replace(r#""cl\u0061ude""#, r#""a \"b\"""#));
}

#[test]
fn counting_tokens_needs_no_limit() {
    let body = Bytes::from_static(br#"{"model":"m","messages":[]}"#);
    assert_eq!(index(&body, Operation::CountTokens).unwrap().max_tokens(), None);
    assert!(index(&body, Operation::Messages).is_err());
}

/// A body and a part of the answer to it, a line each. `…` stands for the rest of a good request,
/// `«…»` for a content block in one.
const REFUSED: &str = r#"
=> it is empty
[] => the request is a list; send one JSON object
{} => messages is missing
{"messages":[],"max_tokens":1} => model is missing
{"messages":[],"model":"m"} => max_tokens is missing
{"model":1,"messages":[]} => model is a number; send a non-empty string
{"model":" ","messages":[]} => model is empty
{"model":"a\nb","messages":[]} => control characters
{"model":null,"messages":[]} => model is null
{"model":"m","messages":{}} => messages is an object; send a list
{"model":"m","max_tokens":-1} => max_tokens is a number that is negative
{"model":"m","max_tokens":1.0} => max_tokens is a number that is negative
{"model":"m","max_tokens":1e3} => max_tokens is a number that is negative
{"model":"m","max_tokens":99999999999999999999} => too large
{"model":"m","max_tokens":"5"} => max_tokens is a string; send an integer
{…,"stream":"true"} => stream is a string; send true or false
{…,"stream":null} => stream is null
{…,"tools":{}} => tools is an object; send a list
{…,"tools":[1]} => tools[0] is a number; send an object
{…,"tools":[{"type":1}]} => tools[0].type is a number
{…,"tools":[{"type":"custom","type":"web_search_20250305"}]} => tools[0].type stands twice
{…,"mcp_servers":"x"} => mcp_servers is a string
{…,"system":1} => system is a number
{…,"model":"n"} => model stands twice in one object (again at byte 43)
{…,"mod\u0065l":"n"} => model stands twice
{…,"stream":true,"stream":true} => stream stands twice
{…,"Model":"n"} => differs from model only in case
{"model":"m","messages":[1]} => messages[0] is a number
{"model":"m","messages":[{"content":"x"}]} => messages[0].role is missing
{"model":"m","messages":[{"role":"user"}]} => messages[0].content is missing
{"model":"m","messages":[{"role":1}]} => messages[0].role is a number
{"model":"m","messages":[{"role":"user","content":1}]} => messages[0].content is a number
{"model":"m","messages":[{"role":"user","role":"user"}]} => messages[0].role stands twice
«"type":"text","text":"a","text":"b"» => messages[0].content[0].text stands twice
«"type":"text","t\u0079pe":"image"» => messages[0].content[0].type stands twice
«"type":7» => messages[0].content[0].type is a number
«"type":"image","source":{"type":"base64","type":"url"}» => messages[0].content[0].type stands twice
«"type":"tool_result","content":[{"type":"text","text":"","text":""}]» => content[0].text stands twice
{…} x => bytes follow the end
"#;

#[test]
fn refuses_with_field_shape_and_fix() {
    let rest = r#""model":"m","max_tokens":1,"messages":[]"#;
    let (open, close) = (r#"{"model":"m","messages":[{"role":"user","content":[{"#, "}]}]}");
    for line in REFUSED.lines().filter(|line| !line.is_empty()) {
        let (body, expected) = line.split_once("=> ").unwrap();
        let body = body
            .trim()
            .replace('…', rest)
            .replace('«', open)
            .replace('»', close);
        let error = indexed(&body).unwrap_err().client_text();
        assert!(error.contains(expected), "{body}: {error}");
    }
    let long = format!(r#"{{"model":"{}","messages":[]}}"#, "m".repeat(257));
    assert!(
        indexed(&long)
            .unwrap_err()
            .client_text()
            .contains("model is too long")
    );
}

#[test]
fn duplicates_of_keys_that_nobody_governs_pass() {
    let body = r#"{"model":"m","max_tokens":1,"messages":[{"role":"assistant","content":[{"type":"tool_use","input":
        {"type":1,"type":2,"text":3,"text":4}}]}],"metadata":{"a":1,"a":2},"future":1,"future":2}"#;
    indexed(body).unwrap();
}

#[test]
fn names_the_powers_that_a_request_asks_for() {
    let with = |key: &str, value: Value| {
        let mut body = request(json!([]));
        body[key] = value;
        powers(&body)
    };
    let tools = json!([
        { "name": "Read", "input_schema": {} },
        { "type": "custom", "name": "x" },
        { "type": "bash_20250124", "name": "bash" },
        { "type": "web_search_20250305", "name": "web_search" },
        { "type": "code_execution_20250825", "name": "code_execution" },
        { "type": "shiny_new_tool_20270101", "name": "x" },
    ]);
    let expected = [
        "server_tool/code_execution",
        "server_tool/unknown",
        "server_tool/web_search",
    ];
    assert_eq!(with("tools", tools), expected);
    let servers = json!([{ "type": "url", "url": "https://MCP.example.com/sse?token=x", "name": "m" }, { "name": "n" }]);
    assert_eq!(
        with("mcp_servers", servers),
        ["mcp_connector/invalid", "mcp_connector/mcp.example.com"]
    );
    assert_eq!(
        with("container", json!("container_01")),
        ["upstream_state/container"]
    );
    assert_eq!(
        with("container", json!({ "skills": [] })),
        ["upstream_state/container"]
    );
    assert_eq!(with("container", Value::Null), [""; 0]);
    assert_eq!(
        with("previous_response_id", json!("resp_1")),
        ["upstream_state/response"]
    );
    assert_eq!(
        with("fallbacks", json!([{ "model": "other" }])),
        ["upstream_choice/fallbacks"]
    );
    assert_eq!(with("fallbacks", json!([])), [""; 0]);
}

#[test]
fn names_the_powers_of_content_wherever_it_stands() {
    let check = |block: Value, expected: &[&str]| {
        assert_eq!(
            powers(&request(json!([{ "role": "user", "content": [block] }]))),
            expected,
            "{block}"
        );
        let nested = json!({ "type": "tool_result", "tool_use_id": "t", "content": [block] });
        assert_eq!(
            powers(&request(json!([{ "role": "user", "content": [nested] }]))),
            expected
        );
        let unknown = json!({ "type": "future", "inner": { "parts": [block] } });
        assert_eq!(
            powers(&request(json!([{ "role": "user", "content": [unknown] }]))),
            expected
        );
    };
    let source = |source: Value| json!({ "type": "document", "source": source });
    check(
        source(json!({ "type": "base64", "data": "AAAA", "media_type": "application/pdf" })),
        &[],
    );
    check(source(json!({ "type": "text", "data": "hello there" })), &[]);
    check(
        source(json!({ "type": "url", "url": "https://example.com/a.pdf" })),
        &["url_source/example.com"],
    );
    check(
        source(json!({ "url": "https://a.example@b.example/" })),
        &["source/unknown", "url_source/invalid"],
    );
    check(source(json!({ "type": "url" })), &["url_source/invalid"]);
    check(
        source(json!({ "type": "file", "file_id": "file_1" })),
        &["upstream_state/file"],
    );
    check(
        source(json!({ "type": "s3", "bucket": "b" })),
        &["source/unknown"],
    );
    check(
        json!({ "type": "container_upload", "file_id": "file_1" }),
        &["upstream_state/file"],
    );
    let search =
        json!({ "type": "search_result", "source": "https://example.com", "title": "t", "content": [] });
    check(search, &[]);
    let call = json!([{ "role": "assistant", "content": [
        { "type": "tool_use", "id": "t", "name": "n", "input": { "source": { "type": "url", "url": "https://x.example" },
          "file_id": "f" } }] }]);
    assert_eq!(powers(&request(call)), [""; 0]);
}

#[test]
fn too_many_different_powers_are_refused() {
    let images: Vec<Value> = (0..65)
        .map(|n| json!({ "type": "image", "source": { "type": "url", "url": format!("https://h{n}.example/") } }))
        .collect();
    let body = request(json!([{ "role": "user", "content": images }]));
    assert!(matches!(
        indexed(&body.to_string()),
        Err(BadBody::TooMany { limit: 64, .. })
    ));
}
