//! Answers for clients of OpenAI's API.

use serde_json::Value;

use crate::vectors::case::Case;
use crate::vectors::http::Message;
use crate::vectors::pattern::{Bindings, matches};
use crate::vectors::{chunks, responses};

/// Compares a stream with what the case expects. A failure before the first event is an answer of its own.
pub fn compare_stream(case: &Case, answer: &Message) -> Result<(), String> {
    if answer.status() != 200 {
        return compare_refusal(case, answer);
    }
    let kind = answer.header("content-type").unwrap_or_default();
    if !kind.starts_with("text/event-stream") {
        return Err(format!("the answer is {kind}"));
    }
    let told = match case.client() {
        "responses" => responses::of_stream(&answer.body)?,
        _ => chunks::accumulated(&answer.body)?,
    };
    matches(&case.message, &told, &mut Bindings::default(), "message")
}

/// Compares a whole answer with what the case expects.
pub fn compare_whole(case: &Case, answer: &Message) -> Result<(), String> {
    if answer.status() != 200 {
        return compare_refusal(case, answer);
    }
    let body: Value = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
    let told = match case.client() {
        "responses" => responses::of_response(&body)?,
        _ => chunks::of_completion(&body)?,
    };
    matches(&case.message, &told, &mut Bindings::default(), "message")
}

fn compare_refusal(case: &Case, answer: &Message) -> Result<(), String> {
    let text = String::from_utf8_lossy(&answer.body);
    let is_error = serde_json::from_str(&text).is_ok_and(|body: Value| body["error"]["message"].is_string());
    if is_error && case.message.get("error").is_some() {
        Ok(())
    } else {
        Err(format!("status {}: {text}", answer.status()))
    }
}
