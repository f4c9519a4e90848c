//! Requests, place by place; whole conversations stand in `tests/corpus/vectors/gemini`.

use serde_json::{Value, json};

use super::*;
use crate::dialect::anthropic::signature::Carried;

fn sent_to(model: &str, more: &Value) -> Result<(Value, Vec<String>), Untranslatable> {
    let mut request =
        json!({"model": "c", "max_tokens": 100, "messages": [{"role": "user", "content": "x"}]});
    for (key, value) in more.as_object().unwrap() {
        request[key] = value.clone();
    }
    let sent = messages_to_gemini(request.to_string().as_bytes(), &ModelName::from(model))?;
    let body = serde_json::from_slice(&sent.body).unwrap();
    Ok((body, sent.dropped.into_iter().map(|lost| lost.path).collect()))
}

fn sent(more: &Value) -> (Value, Vec<String>) {
    sent_to("gemini-3-pro", more).unwrap()
}

fn refused(more: &Value) -> String {
    sent_to("gemini-3-pro", more).unwrap_err().client_text()
}

/// Checks `thinkingConfig` and the losses of a request with these members.
fn steered(model: &str, asked: &str, config: &str, lost: &[&str]) {
    let asked: Value = serde_json::from_str(asked).unwrap();
    let config: Value = serde_json::from_str(config).unwrap();
    let (body, dropped) = sent_to(model, &asked).unwrap();
    let found = body["generationConfig"].get("thinkingConfig").cloned();
    assert_eq!(found.unwrap_or(Value::Null), config, "{model} {asked}");
    assert_eq!(dropped, lost, "{model} {asked}");
}

#[test]
fn models_with_levels_get_levels() {
    let check = |asked: &str, config: &str, lost: &[&str]| steered("gemini-3-pro", asked, config, lost);
    let off = r#"{"thinking":{"type":"disabled"}}"#;
    check("{}", "null", &[]);
    check(off, r#"{"thinkingLevel":"LOW"}"#, &["thinking"]);
    steered(
        "gemini-3-flash",
        off,
        r#"{"thinkingLevel":"MINIMAL"}"#,
        &["thinking"],
    );
    for (effort, level) in [
        ("low", "LOW"),
        ("medium", "MEDIUM"),
        ("high", "HIGH"),
        ("max", "XHIGH"),
    ] {
        let asked = format!(r#"{{"output_config":{{"effort":"{effort}"}}}}"#);
        check(&asked, &format!(r#"{{"thinkingLevel":"{level}"}}"#), &[]);
    }
    let shown = r#"{"thinking":{"type":"adaptive"}}"#;
    check(shown, r#"{"includeThoughts":true}"#, &[]);
    let hidden = r#"{"thinking":{"type":"adaptive","display":"omitted"}}"#;
    check(hidden, "{}", &[]);
}

#[test]
fn models_with_budgets_get_budgets_and_others_nothing() {
    let enabled = |tokens: u64| format!(r#"{{"thinking":{{"type":"enabled","budget_tokens":{tokens}}}}}"#);
    let off = r#"{"thinking":{"type":"disabled"}}"#;
    let (flash, pro, old) = ("gemini-2.5-flash", "gemini-2.5-pro", "gemini-2.0-flash");
    steered(flash, off, r#"{"thinkingBudget":0}"#, &[]);
    steered(pro, off, r#"{"thinkingBudget":128}"#, &["thinking"]);
    steered(old, off, "null", &[]);
    steered(old, &enabled(2000), "null", &["thinking"]);
    let fits = r#"{"thinkingBudget":2000,"includeThoughts":true}"#;
    steered(flash, &enabled(2000), fits, &[]);
    let most = r#"{"thinkingBudget":24576,"includeThoughts":true}"#;
    steered(flash, &enabled(30_000), most, &["thinking.budget_tokens"]);
    let effort = r#"{"output_config":{"effort":"medium"}}"#;
    steered(
        pro,
        effort,
        r#"{"thinkingBudget":8192}"#,
        &["output_config.effort"],
    );
}

#[test]
fn what_gemini_cannot_do_is_refused_by_name() {
    let block = |block: Value| json!({"messages": [{"role": "user", "content": [block]}]});
    for (asked, told) in [
        (json!({"mcp_servers": [{"url": "x"}]}), "mcp_servers: "),
        (json!({"container": "c"}), "container: "),
        (json!({"max_tokens": 0}), "max_tokens: "),
        (
            json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
            "tools[0].type: `web_search_20250305`",
        ),
        (
            json!({"tools": [{"name": "f", "input_schema": {}}], "tool_choice": {"type": "x"}}),
            "tool_choice.type: ",
        ),
        (
            block(json!({"type": "image", "source": {"type": "url", "url": "https://x.example/i.png"}})),
            "messages[0].content[0].source: ",
        ),
        (
            block(json!({"type": "image", "source": {"type": "file", "file_id": "f"}})),
            "messages[0].content[0].source.type: ",
        ),
        (
            block(
                json!({"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": "AA"}}),
            ),
            "PNG",
        ),
        (
            block(json!({"type": "container_upload", "file_id": "f"})),
            "`container_upload`",
        ),
        (json!({"messages": []}), "messages: "),
        (
            json!({"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "i", "name": "f", "input": []}]}]}),
            "messages[0].content[0].input: ",
        ),
    ] {
        let text = refused(&asked);
        assert!(text.contains(told), "{told} in {text:?}");
    }
}

#[test]
fn parameters_have_their_counterparts() {
    let asked = json!({"temperature": 0.50, "top_p": 0.9, "top_k": 7, "stop_sequences": ["1", "2", " ", "3", "4", "5", "6"],
        "metadata": {"user_id": "u"}, "service_tier": "standard_only", "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "tool_choice": {"type": "auto"}});
    let (body, dropped) = sent(&asked);
    let config = json!({"maxOutputTokens": 100, "temperature": 0.5, "topP": 0.9, "topK": 7, "stopSequences": ["1", "2", "3", "4", "5"]});
    assert_eq!(body["generationConfig"], config);
    assert_eq!(body["systemInstruction"], json!({"parts": [{"text": "s"}]}));
    let lost = [
        "stop_sequences[2]",
        "stop_sequences[5]",
        "metadata",
        "service_tier",
        "system[0].cache_control",
        "tool_choice",
    ];
    assert_eq!(dropped, lost);
    assert!(body.get("model").is_none() && body.get("stream").is_none());
}

#[test]
fn signatures_return_to_the_parts_that_they_came_with() {
    let some = |text: &str| Some(text.to_owned());
    let sealed = |own: Option<String>, prior: Option<String>, next: Option<String>| {
        let carried = Carried {
            own,
            prior,
            next,
            ..Carried::default()
        };
        carried.seal()
    };
    let thinking =
        |text: &str, signature: String| json!({"type": "thinking", "thinking": text, "signature": signature});
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "f", "input": {"a": 1}});
    let text = |text: &str| json!({"type": "text", "text": text});
    let parts = |model: &str, blocks: Vec<Value>| {
        let messages =
            json!({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": blocks}]});
        sent_to(model, &messages).unwrap().0["contents"][1]["parts"].clone()
    };
    let blocks = vec![
        thinking("why", sealed(some("A"), None, some("B"))),
        text("so"),
        thinking("", sealed(None, some("ignored"), some("C"))),
        call("i1"),
        call("i2"),
    ];
    let expected = json!([
        {"text": "why", "thought": true, "thoughtSignature": "A"},
        {"text": "so", "thoughtSignature": "B"},
        {"functionCall": {"id": "i1", "name": "f", "args": {"a": 1}}, "thoughtSignature": "C"},
        {"functionCall": {"id": "i2", "name": "f", "args": {"a": 1}}},
    ]);
    assert_eq!(parts("gemini-3-pro", blocks), expected);
    // Of another model: no thoughts, and the first call says that it is unsigned, where that counts.
    let blocks = || {
        vec![
            thinking("why", "EqQB".to_owned()),
            text("so"),
            call("i1"),
            call("i2"),
        ]
    };
    let unsigned = parts("gemini-3-pro", blocks());
    assert_eq!(
        unsigned[1]["thoughtSignature"],
        "skip_thought_signature_validator"
    );
    assert_eq!(unsigned[2].get("thoughtSignature"), None);
    assert_eq!(parts("gemini-2.5-pro", blocks())[1].get("thoughtSignature"), None);
}

#[test]
fn results_stand_in_the_order_of_their_calls() {
    let call = |id: &str, name: &str| json!({"type": "tool_use", "id": id, "name": name, "input": {}});
    let picture =
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}});
    let messages = json!({"messages": [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": [call("a", "f"), call("b", "g"), call("c", "f")]},
        {"role": "user", "content": [
            {"type": "text", "text": "and"},
            {"type": "tool_result", "tool_use_id": "b", "content": "no", "is_error": true},
            {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "yes"}, picture]},
            {"type": "tool_result", "tool_use_id": "zz", "content": "who"}]}]});
    let (body, dropped) = sent(&messages);
    let inline = json!({"inlineData": {"mimeType": "image/png", "data": "AAAA"}});
    let response = |id: &str, name: &str, response: Value| json!({"functionResponse": {"id": id, "name": name, "response": response}});
    let mut first = response("a", "f", json!({"result": "yes"}));
    first["functionResponse"]["parts"] = json!([inline]);
    let rest = json!({"text": "[result of a tool call]\n\nwho"});
    let second = response("b", "g", json!({"error": "no"}));
    let third = response("c", "f", json!({"result": "(no result)"}));
    assert_eq!(
        body["contents"][2]["parts"],
        json!([first, second, third, {"text": "and"}, rest])
    );
    assert_eq!(dropped, ["messages[1].content[2]", "messages[2].content[3]"]);
    let (body, _) = sent_to("gemini-2.5-pro", &messages).unwrap();
    let parts = &body["contents"][2]["parts"];
    assert_eq!(
        (&parts[3]["text"], &parts[4]),
        (&json!("[from the result of f]"), &inline)
    );
}

#[test]
fn a_count_asks_for_the_whole_request() {
    let request = json!({"model": "c", "system": "s", "messages": [{"role": "user", "content": "x"}],
        "tools": [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]});
    let (body, dropped) =
        count_to_gemini(request.to_string().as_bytes(), &ModelName::from("gemini-3-pro")).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let expected = json!({"generateContentRequest": {"model": "models/gemini-3-pro",
        "systemInstruction": {"parts": [{"text": "s"}]}, "tools": [{"functionDeclarations": [{"name": "f"}]}],
        "contents": [{"role": "user", "parts": [{"text": "x"}]}]}});
    assert_eq!((body, dropped.len()), (expected, 0));
}

#[test]
fn turns_of_the_user_around_nothing_become_one() {
    let messages = json!({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": " "},
        {"role": "user", "content": "b"}]});
    let expected = json!([{"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}]);
    assert_eq!(sent(&messages).0["contents"], expected);
}
