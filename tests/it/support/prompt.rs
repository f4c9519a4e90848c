//! Request bodies that the tests send.

use serde_json::{Value, json};

use crate::support::setup::MODEL;

/// A question that wants a JSON answer.
pub fn ask(text: &str) -> Value {
    json!({"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": text}]})
}

/// A question that wants a stream.
pub fn ask_stream(text: &str) -> Value {
    let mut body = ask(text);
    body["stream"] = json!(true);
    body
}

/// A valid request of exactly this many bytes: a long conversation, as real ones are.
pub fn ask_of_size(bytes: usize) -> Vec<u8> {
    let text = "A turn of a long conversation, with some code in it: if (a < b) { return; } ".repeat(200);
    let turn = format!(r#"{{"role":"user","content":"{text}"}},"#);
    let start = format!(r#"{{"model":"{MODEL}","max_tokens":64,"messages":["#);
    let padded = |padding: usize| format!(r#"{{"role":"user","content":"{}"}}]}}"#, "p".repeat(padding));
    let fixed = start.len() + padded(0).len();
    let room = bytes.checked_sub(fixed).expect("the size fits a request");
    let turns = room / turn.len();
    let body = start + &turn.repeat(turns) + &padded(room % turn.len());
    assert_eq!(body.len(), bytes, "the size asked for");
    body.into_bytes()
}
