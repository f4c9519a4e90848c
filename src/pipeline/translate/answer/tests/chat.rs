//! Answers of chat-completions upstreams.

use serde_json::{Value, json};

use super::{Run, context};
use crate::pipeline::translate::answer::{Ending, Progress};
use crate::pipeline::translate::names::invented_id;
use crate::pipeline::translate::{ErrorKind, chat_json};
use crate::types::ids::ModelName;
use crate::types::usage::Usage;

#[test]
fn chat_text_goes_out_as_it_comes() {
    let mut run = Run::chat();
    run.push("data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n");
    assert!(run.written().contains("message_start"));
    for text in ["a", " b", "\\n\\n", "c"] {
        run.push(&format!(
            "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n"
        ));
        assert!(
            run.written().contains(&format!("\"text\":\"{text}\"")),
            "{text} was held back"
        );
    }
    // An event that is not complete is no event.
    run.push("data: {\"choices\":[{\"delta\":{\"content\":\"d\"}}]}\n");
    assert_eq!(run.written(), "");
}

#[test]
fn the_tail_of_a_chat_answer_is_waited_for_and_not_needed() {
    let mut run = Run::chat();
    run.push("data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n");
    assert!(!run.rewriter.awaiting_tail());
    assert_eq!(
        run.push("data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"),
        Progress::More
    );
    assert!(run.rewriter.awaiting_tail());
    assert!(!run.written().contains("message_delta"), "usage may still come");
    assert_eq!(run.end(Ending::Eof), Progress::Finished);
    assert!(!run.rewriter.awaiting_tail());
    assert!(
        run.written()
            .ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")
    );
    assert!(run.observed().usage_estimated);
    assert_eq!(run.observed().stop_reason.as_deref(), Some("end_turn"));
}

#[test]
fn a_chat_answer_is_counted_while_it_runs() {
    let mut run = Run::chat();
    assert_eq!(run.observed().usage, None);
    run.push(
        "data: {\"id\":\"up-1\",\"model\":\"m-1\",\"choices\":[{\"delta\":{\"content\":\"1234567\"}}]}\n\n",
    );
    let estimated = run.observed().clone();
    assert!(estimated.usage_estimated && estimated.usage.unwrap().input > 0);
    assert_eq!(estimated.usage.unwrap().output, 2);
    assert_eq!(estimated.upstream_id.as_deref(), Some("up-1"));
    assert_eq!(estimated.served_model, Some(ModelName::new("m-1")));
    run.push(
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":9}}\n\ndata: [DONE]\n\n",
    );
    assert!(!run.observed().usage_estimated);
    assert_eq!(
        run.observed().usage,
        Some(Usage {
            input: 5,
            output: 9,
            ..Usage::default()
        })
    );
}

#[test]
fn an_error_before_any_output_comes_with_its_status() {
    let check = |body: &str, kind, status| {
        let mut run = Run::chat();
        let mut progress = run.push(body);
        if progress == Progress::More {
            progress = run.end(Ending::Eof);
        }
        let Progress::Failed(fault) = progress else {
            panic!("{body}: {progress:?}")
        };
        assert_eq!((fault.kind, fault.status), (kind, status), "{body}");
        assert!(run.written().starts_with("event: error\n"), "{body}");
    };
    check(
        "data: {\"error\":{\"code\":503,\"message\":\"m\"}}\n\n",
        ErrorKind::Overloaded,
        529,
    );
    check(
        "event: error\ndata: {\"message\":\"m\",\"type\":\"rate_limit\"}\n\n",
        ErrorKind::RateLimit,
        429,
    );
    check(
        "{\"error\":{\"code\":\"context_length_exceeded\",\"message\":\"\"}}",
        ErrorKind::InvalidRequest,
        400,
    );
    check(
        "\u{feff} [{\"error\":{\"code\":429,\"message\":\"m\"}}]",
        ErrorKind::RateLimit,
        429,
    );
    check("<html>", ErrorKind::Api, 502);
    check("", ErrorKind::Api, 502);
    check("{\"choices\":[]}", ErrorKind::Api, 502);
    check("{\"choices\":[{\"message\":", ErrorKind::Api, 502);
    check("data: {\"choices\":\n\n", ErrorKind::Api, 502);
    check("upstream connect error", ErrorKind::Api, 502);
}

#[test]
fn unusual_chat_messages_are_translated() {
    let check = |message: &str, finish: &str, content: Value, stop: &str| {
        let body = format!(r#"{{"choices":[{{"message":{message},"finish_reason":{finish}}}]}}"#);
        let (answer, _) = chat_json(body.as_bytes(), &context(), "msg_1").unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(answer["content"], content, "{body}");
        assert_eq!(answer["stop_reason"], stop, "{body}");
    };
    let text = || json!([{"type": "text", "text": "x"}]);
    check("{}", "\"stop\"", json!([]), "end_turn");
    check(r#"{"content":null}"#, "\"model_length\"", json!([]), "max_tokens");
    check(
        r#"{"content":"x"}"#,
        "\"context_length\"",
        text(),
        "model_context_window_exceeded",
    );
    check(r#"{"content":"x"}"#, "\"eos\"", text(), "end_turn");
    check(r#"{"content":"x"}"#, "null", text(), "end_turn");
    check(r#"{"content":"x"}"#, "\"sensitive\"", text(), "refusal");
    let called = json!([{"type": "tool_use", "id": invented_id("msg_1", 0), "name": "f", "input": {}}]);
    let legacy = r#"{"function_call":{"name":"f","arguments":"{}"}}"#;
    check(legacy, "\"function_call\"", called, "tool_use");
    for broken in [
        "[]",
        "x",
        "{\"choices\":null}",
        "<html>",
        "{\"choices\":[{\"finish_reason\":\"error\"}]}",
    ] {
        assert!(
            chat_json(broken.as_bytes(), &context(), "msg_1").is_err(),
            "{broken}"
        );
    }
}

#[test]
fn arguments_become_an_object_whatever_the_model_wrote() {
    let check = |arguments: &str, finish: &str, input: Value, stop: &str| {
        let call = format!(r#"{{"id":"c","function":{{"name":"f","arguments":{arguments}}}}}"#);
        let body =
            format!(r#"{{"choices":[{{"message":{{"tool_calls":[{call}]}},"finish_reason":"{finish}"}}]}}"#);
        let (answer, _) = chat_json(body.as_bytes(), &context(), "msg_1").unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(
            answer["content"],
            json!([{"type": "tool_use", "id": "c", "name": "f", "input": input}])
        );
        assert_eq!(answer["stop_reason"], stop, "{body}");
    };
    check(r#""""#, "stop", json!({}), "tool_use");
    check("null", "stop", json!({}), "tool_use");
    check(r#"{"a":1.5}"#, "stop", json!({"a": 1.5}), "tool_use");
    check(
        r#""{\"a\": tru""#,
        "length",
        json!({"_raw_arguments": "{\"a\": tru"}),
        "max_tokens",
    );
    check(r#""[1]""#, "stop", json!({"_raw_arguments": "[1]"}), "tool_use");
}
