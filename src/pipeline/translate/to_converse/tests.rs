//! Requests, place by place; whole conversations stand in `tests/corpus/vectors/converse`.

use serde_json::{Value, json};

use super::*;
use crate::dialect::anthropic::signature::{Carried, Signer};

fn sent_to(model: &str, more: &Value) -> Result<(Value, Vec<String>), Untranslatable> {
    let mut request =
        json!({"model": "c", "max_tokens": 100, "messages": [{"role": "user", "content": "x"}]});
    for (key, value) in more.as_object().unwrap() {
        request[key] = value.clone();
    }
    let sent = messages_to_converse(request.to_string().as_bytes(), &ModelName::from(model))?;
    let body = serde_json::from_slice(&sent.body).unwrap();
    Ok((body, sent.dropped.into_iter().map(|lost| lost.path).collect()))
}

fn refused(more: &Value) -> String {
    sent_to("amazon.nova-pro-v1:0", more).unwrap_err().client_text()
}

/// Checks the fields of one maker and the losses of a request with these members.
fn additional(model: &str, asked: &str, fields: &str, lost: &[&str]) {
    let asked: Value = serde_json::from_str(asked).unwrap();
    let fields: Value = serde_json::from_str(fields).unwrap();
    let (body, dropped) = sent_to(model, &asked).unwrap();
    let found = body.get("additionalModelRequestFields").cloned();
    assert_eq!(found.unwrap_or(Value::Null), fields, "{model} {asked}");
    assert_eq!(dropped, lost, "{model} {asked}");
}

#[test]
fn every_maker_gets_thinking_in_its_own_words() {
    let (nova, nova2) = ("amazon.nova-pro-v1:0", "us.amazon.nova-2-lite-v1:0");
    let (oss, llama) = ("openai.gpt-oss-20b-1:0", "meta.llama3-v1:0");
    let off = r#"{"thinking":{"type":"disabled"}}"#;
    let adaptive = r#"{"thinking":{"type":"adaptive"}}"#;
    let low = r#"{"output_config":{"effort":"low"}}"#;
    for model in [nova, llama, "us.deepseek.r1-v1:0"] {
        additional(model, off, "null", &[]);
        additional(model, adaptive, "null", &["thinking"]);
        additional(model, low, "null", &["output_config.effort"]);
    }
    additional(nova2, "{}", "null", &[]);
    additional(nova2, off, r#"{"reasoningConfig":{"type":"disabled"}}"#, &[]);
    let amount =
        |word: &str| format!(r#"{{"reasoningConfig":{{"type":"enabled","maxReasoningEffort":"{word}"}}}}"#);
    additional(nova2, adaptive, &amount("medium"), &[]);
    additional(nova2, low, &amount("low"), &[]);
    let small = r#"{"thinking":{"type":"enabled","budget_tokens":1024}}"#;
    additional(nova2, small, &amount("low"), &["thinking.budget_tokens"]);
    let high = r#"{"output_config":{"effort":"high"}}"#;
    additional(nova2, high, &amount("medium"), &["thinking"]);
    additional(oss, high, r#"{"reasoning_effort":"high"}"#, &[]);
    additional(oss, off, r#"{"reasoning_effort":"low"}"#, &["thinking"]);
    additional(oss, "{}", "null", &[]);
    let top_k = r#"{"top_k":9}"#;
    additional(nova, top_k, r#"{"inferenceConfig":{"topK":9}}"#, &[]);
    additional(llama, top_k, "null", &["top_k"]);
}

#[test]
fn tools_are_demanded_where_they_can_be() {
    let tools = json!([{"name": "f", "input_schema": {"type": "object"}}]);
    let check = |model: &str, choice: Value, sent: Value, lost: &[&str]| {
        let (body, dropped) = sent_to(model, &json!({"tools": tools, "tool_choice": choice})).unwrap();
        let found = body["toolConfig"].get("toolChoice").cloned();
        assert_eq!(
            (found.unwrap_or(Value::Null), dropped),
            (sent, lost.iter().map(|lost| (*lost).to_owned()).collect())
        );
    };
    let (any, certain) = (json!({"type": "any"}), json!({"type": "tool", "name": "f"}));
    check(
        "amazon.nova-pro-v1:0",
        certain.clone(),
        json!({"tool": {"name": "f"}}),
        &[],
    );
    check(
        "mistral.mistral-large-2407-v1:0",
        any.clone(),
        json!({"any": {}}),
        &[],
    );
    check(
        "mistral.mistral-large-2407-v1:0",
        certain.clone(),
        json!({"any": {}}),
        &["tool_choice.name"],
    );
    check("cohere.command-r-v1:0", any, Value::Null, &["tool_choice"]);
    check(
        "us.deepseek.v3-v1:0",
        json!({"type": "auto"}),
        json!({"auto": {}}),
        &[],
    );
}

#[test]
fn what_would_change_the_meaning_is_refused() {
    let user = |block: Value| json!({"messages": [{"role": "user", "content": [block]}]});
    let image = |kind: &str| json!({"type": "base64", "media_type": kind, "data": "AA=="});
    for (more, place) in [
        (json!({"mcp_servers": [{"name": "m"}]}), "mcp_servers"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"messages": []}), "messages"),
        (
            json!({"messages": [{"role": "assistant", "content": "a"}]}),
            "messages[0]",
        ),
        (
            json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
            "tools[0].type",
        ),
        (
            user(json!({"type": "image", "source": image("image/bmp")})),
            "messages[0].content[0].source",
        ),
        (
            user(json!({"type": "image", "source": {"type": "url", "url": "https://x.example/a.png"}})),
            "messages[0].content[0].source",
        ),
        (
            user(json!({"type": "document", "source": {"type": "file", "file_id": "f"}})),
            "messages[0].content[0].source.type",
        ),
        (
            json!({"system": [{"type": "image", "source": image("image/png")}]}),
            "system[0].type",
        ),
    ] {
        let text = refused(&more);
        assert!(text.starts_with(&format!("{place}: ")), "{text}");
    }
}

#[test]
fn names_of_documents_fit_and_differ() {
    let named = |title: &str| {
        json!({"type": "document", "title": title,
            "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="}})
    };
    let long = "x".repeat(400);
    let titles = ["a/b  c.pdf", "../ü", "", "a/b  c.pdf", "Plan (v2) [new]", &long];
    let blocks: Vec<Value> = titles.iter().map(|title| named(title)).collect();
    let asked = json!({"messages": [{"role": "user", "content": blocks}]});
    let (body, _) = sent_to("amazon.nova-pro-v1:0", &asked).unwrap();
    let blocks = body["messages"][0]["content"].as_array().unwrap();
    let names: Vec<&str> = blocks
        .iter()
        .filter_map(|block| block["document"]["name"].as_str())
        .collect();
    let cut = "x".repeat(190);
    assert_eq!(
        names,
        [
            "a-b c-pdf",
            "document",
            "document (2)",
            "a-b c-pdf (2)",
            "Plan (v2) [new]",
            &cut
        ]
    );
    assert!(blocks.last().unwrap()["text"].is_string(), "a text stands beside");
}

#[test]
fn reasoning_alone_leaves_no_turn_behind() {
    let carried = Carried {
        own: Some("s".to_owned()),
        ..Carried::of(Signer::Converse)
    };
    let asked = json!({"messages": [{"role": "user", "content": "a"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": carried.seal()}]},
        {"role": "user", "content": "b"}]});
    let (body, dropped) = sent_to("amazon.nova-pro-v1:0", &asked).unwrap();
    assert_eq!(
        body["messages"],
        json!([{"role": "user", "content": [{"text": "a"}, {"text": "b"}]}])
    );
    assert_eq!(dropped, ["messages[1]"]);
}
