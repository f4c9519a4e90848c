//! Bodies that are no request.

use serde_json::json;

use crate::refusals::{Table, Wanted, invalid};
use crate::support::client::Call;
use crate::support::prompt::ask;
use crate::support::setup::MODEL;

/// A case: its name, the body, words that the answer must contain.
type Case = (&'static str, Vec<u8>, &'static [&'static str]);

async fn check(cases: Vec<Case>) {
    let mut table = Table::new(|setup| setup).await;
    for (name, body, words) in cases {
        let call = Call::post_bytes("/v1/messages", body).key(&table.key);
        table.refuses(name, &call, invalid(words)).await;
    }
    table.finish().await;
}

fn text(body: &str) -> Vec<u8> {
    body.replace("MODEL", MODEL).into_bytes()
}

/// A good body with one piece exchanged.
fn with(from: &str, to: &[u8]) -> Vec<u8> {
    let good = ask("hello").to_string();
    let (front, back) = good.split_once(from).expect("the piece stands in a good body");
    [front.as_bytes(), to, back.as_bytes()].concat()
}

#[tokio::test]
async fn malformed_json() {
    check(vec![
        ("empty", Vec::new(), &["empty"]),
        ("white space", b" \r\n\t ".to_vec(), &["empty"]),
        ("cut short", text(r#"{"model":"MODEL","messages":["#), &["JSON"]),
        ("a bare word", text(r#"{"model":MODEL}"#), &["JSON"]),
        ("single quotes", b"{'model':'x'}".to_vec(), &["JSON"]),
        (
            "a trailing comma",
            text(r#"{"model":"MODEL","messages":[],}"#),
            &["JSON"],
        ),
        ("a comment", with(",", b",/* hi */"), &["JSON"]),
        (
            "trailing bytes",
            [ask("hello").to_string().as_bytes(), b"{}"].concat(),
            &["end"],
        ),
        (
            "a trailing nul",
            [ask("hello").to_string().as_bytes(), b"\0"].concat(),
            &["end"],
        ),
        (
            "a byte order mark",
            [b"\xef\xbb\xbf", ask("hello").to_string().as_bytes()].concat(),
            &["byte order mark"],
        ),
        (
            "UTF-16",
            ask("hello")
                .to_string()
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect(),
            &[],
        ),
        ("a raw control character", with("hello", b"hel\nlo"), &["control"]),
        ("an unknown escape", with("hello", b"\\x41"), &["escape"]),
        ("NaN", with("64", b"NaN"), &["JSON"]),
        ("a leading zero", with("64", b"064"), &["number"]),
        ("form encoding", b"model=x&messages=y".to_vec(), &["JSON"]),
    ])
    .await;
}

#[tokio::test]
async fn text_that_is_no_text() {
    check(vec![
        ("invalid UTF-8", with("hello", b"hel\xfflo"), &["UTF-8"]),
        ("an overlong slash", with("hello", b"\xc0\xaf"), &["UTF-8"]),
        ("a surrogate in UTF-8", with("hello", b"\xed\xa0\x80"), &["UTF-8"]),
        ("a cut character", with("hello", b"\xe2\x82"), &["UTF-8"]),
        ("a lone high surrogate", with("hello", b"\\ud83d"), &["surrogate"]),
        ("a lone low surrogate", with("hello", b"\\ude00"), &["surrogate"]),
        (
            "a lone surrogate in a key",
            with("max_tokens\":64", b"max_tokens\":64,\"\\udead\":1"),
            &["surrogate"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn deep_nesting() {
    let nest = |open: &str, close: &str, depth: usize| open.repeat(depth) + "1" + &close.repeat(depth);
    let in_unknown = |value: String| {
        with(
            "\"max_tokens\"",
            format!("\"x\":{value},\"max_tokens\"").as_bytes(),
        )
    };
    let in_content = |value: String| with("\"hello\"", value.as_bytes());
    check(vec![
        (
            "100,000 lists as content",
            in_content(nest("[", "]", 100_000)),
            &["deep"],
        ),
        (
            "100,000 lists in an unknown field",
            in_unknown(nest("[", "]", 100_000)),
            &["deep"],
        ),
        (
            "100,000 objects in an unknown field",
            in_unknown(nest("{\"a\":", "}", 100_000)),
            &["deep"],
        ),
        ("a million opening brackets", vec![b'['; 1_000_000], &["object"]),
    ])
    .await;
}

#[tokio::test]
async fn keys_that_stand_twice() {
    let twice = |field: &str| with("\"max_tokens\"", format!("{field},\"max_tokens\"").as_bytes());
    let block = |fields: &str| with("\"hello\"", format!("[{{{fields}}}]").as_bytes());
    check(vec![
        ("model", twice(r#""model":"other""#), &["model", "twice"]),
        (
            "model, once escaped",
            twice(r#""mod\u0065l":"other""#),
            &["model", "twice"],
        ),
        ("messages", twice(r#""messages":[]"#), &["messages", "twice"]),
        (
            "messages, once escaped",
            twice(r#""\u006dessages":[]"#),
            &["messages", "twice"],
        ),
        ("max_tokens", twice(r#""max_tokens":1"#), &["max_tokens", "twice"]),
        (
            "stream",
            twice(r#""stream":false,"stream":true"#),
            &["stream", "twice"],
        ),
        ("tools", twice(r#""tools":[],"tools":[]"#), &["tools", "twice"]),
        (
            "system",
            twice(r#""system":"a","system":"b""#),
            &["system", "twice"],
        ),
        (
            "the text of a block",
            block(r#""type":"text","text":"a","text":"b""#),
            &["text", "twice"],
        ),
        (
            "the type of a block",
            block(r#""type":"text","type":"image","text":"b""#),
            &["type", "twice"],
        ),
        (
            "model in another case",
            twice(r#""Model":"other""#),
            &["model", "case"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn missing_fields() {
    let without = |field: &str| {
        let mut body = ask("hello");
        body.as_object_mut().unwrap().remove(field);
        body.to_string().into_bytes()
    };
    check(vec![
        ("a list", b"[]".to_vec(), &["object"]),
        ("a string", b"\"hello\"".to_vec(), &["object"]),
        ("null", b"null".to_vec(), &["object"]),
        ("no model", without("model"), &["model", "missing"]),
        ("no messages", without("messages"), &["messages", "missing"]),
        ("no max_tokens", without("max_tokens"), &["max_tokens", "missing"]),
    ])
    .await;
}

#[tokio::test]
async fn fields_of_wrong_types() {
    let cases: [(&str, &str, &[&str]); 13] = [
        ("model", "4", &["model", "string"]),
        ("model", "null", &["model", "string"]),
        ("model", r#"["claude"]"#, &["model", "string"]),
        ("messages", r#""hello""#, &["messages", "list"]),
        ("messages", "{}", &["messages", "list"]),
        ("messages", r#"["hello"]"#, &["messages", "object"]),
        (
            "messages",
            r#"[{"role":1,"content":"x"}]"#,
            &["role", "user or assistant"],
        ),
        ("messages", r#"[{"role":"user","content":1}]"#, &["content"]),
        ("max_tokens", r#""64""#, &["max_tokens", "integer"]),
        ("max_tokens", "-1", &["max_tokens"]),
        ("stream", r#""yes""#, &["stream"]),
        ("system", "1", &["system"]),
        ("tools", "{}", &["tools", "list"]),
    ];
    let with_value = |(field, value, words): (&'static str, &'static str, &'static [&'static str])| {
        let mut body = ask("hello");
        body[field] = serde_json::from_str(value).unwrap();
        (value, body.to_string().into_bytes(), words)
    };
    check(cases.into_iter().map(with_value).collect()).await;
}

#[tokio::test]
async fn an_escaped_key_alone_is_the_key() {
    let mut table = Table::new(|setup| setup).await;
    let escaped = |model: &str| {
        let body = format!(
            r#"{{"mod\u0065l":"{model}","max_tokens":4,"messages":[{{"role":"user","content":"hello"}}]}}"#
        );
        Call::post_bytes("/v1/messages", body.into_bytes()).key(&table.key)
    };
    let known = table.gateway.call(&escaped(MODEL)).await;
    assert_eq!(known.status, 200, "{}", known.text());
    let unknown = escaped("nobody-has-this");
    let wanted = Wanted {
        status: 404,
        kind: "not_found_error",
        words: &["nobody-has-this"],
    };
    table
        .refuses("an unknown model under an escaped key", &unknown, wanted)
        .await;
    table.finish().await;
}

#[tokio::test]
async fn count_tokens_is_governed_alike() {
    let mut table = Table::new(|setup| setup).await;
    let body = json!({"model": MODEL, "messages": [{"role": "user", "content": "hello"}]});
    let counted = table
        .gateway
        .call(&Call::post("/v1/messages/count_tokens", &body).key(&table.key))
        .await;
    assert_eq!(
        (counted.status, counted.json()),
        (200, json!({"input_tokens": 42}))
    );
    let twice = br#"{"model":"a","model":"b","messages":[]}"#.to_vec();
    let call = Call::post_bytes("/v1/messages/count_tokens", twice).key(&table.key);
    table.refuses("twice", &call, invalid(&["model", "twice"])).await;
    table.finish().await;
}
