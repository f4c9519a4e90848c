//! Messages streams that bend the rules of their grammar, told to clients of chat completions.

use super::{Run, START};
use crate::pipeline::translate::answer::Progress;
use crate::pipeline::translate::{CompletionName, Outcome, Reader, Rewriter, Telling, chat_to_messages};
use crate::types::ids::ModelName;

fn told() -> Run {
    let request = r#"{"model":"m","messages":[{"role":"user","content":"hello"}]}"#;
    let request =
        chat_to_messages(request.as_bytes(), Reader::Upstream(&ModelName::new("claude-x"))).unwrap();
    let name = CompletionName {
        id: "chatcmpl-1".to_owned(),
        created: 7,
    };
    let mut run = Run::messages(None);
    run.rewriter = Rewriter::messages(None).told(Telling::completion(request.answer, &name));
    run
}

fn event(name: &str, members: &str) -> String {
    format!("event: {name}\ndata: {{\"type\":\"{name}\",{members}}}\n\n")
}

fn call(index: u32) -> String {
    let block = format!(r#"{{"type":"tool_use","id":"t{index}","name":"set","input":{{}}}}"#);
    event(
        "content_block_start",
        &format!("\"index\":{index},\"content_block\":{block}"),
    )
}

fn fragment(index: u32, json: &str) -> String {
    let delta = format!(r#"{{"type":"input_json_delta","partial_json":"{json}"}}"#);
    event(
        "content_block_delta",
        &format!("\"index\":{index},\"delta\":{delta}"),
    )
}

/// As llama.cpp does it: every block is ended at the end.
#[test]
fn a_block_ends_where_the_next_begins() {
    let stop = |index: u32| event("content_block_stop", &format!("\"index\":{index}"));
    let mut run = told();
    let blocks = [
        call(0),
        fragment(0, "{}"),
        call(1),
        fragment(1, "[]"),
        stop(0),
        stop(1),
    ]
    .concat();
    let progress = run.push(&format!("{START}{blocks}"));
    assert_eq!(progress, Progress::More);
    let written = run.written();
    for piece in [
        r#"{"index":0,"id":"t0""#,
        r#"{"index":0,"function":{"arguments":"{}"}}"#,
        r#"{"index":1,"id":"t1""#,
        r#"{"index":1,"function":{"arguments":"[]"}}"#,
    ] {
        assert!(written.contains(piece), "{piece} in {written}");
    }
}

#[test]
fn pieces_that_cannot_be_told_in_order_end_the_stream() {
    for late in [fragment(0, "1"), fragment(7, "1")] {
        let mut run = told();
        run.push(&format!("{START}{}{}", call(0), call(1)));
        let Progress::Failed(fault) = run.push(&late) else {
            panic!("{late} is refused");
        };
        assert_eq!(fault.status, 502);
        let written = run.written();
        assert_eq!(written.matches("\"error\"").count(), 1, "{written}");
        assert!(matches!(run.observed().outcome, Outcome::Failed(_)));
        assert!(matches!(run.push(&fragment(1, "2")), Progress::Failed(_)));
        run.rewriter.ping(&mut run.out);
        assert_eq!(run.written(), "", "nothing follows an error");
    }
}
