//! Answers of Messages upstreams.

use super::{Run, START};
use crate::pipeline::translate::Outcome;
use crate::pipeline::translate::answer::{Ending, Progress};
use crate::types::ids::ModelName;
use crate::types::usage::Usage;

const TEXT: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"h\\u00e9\"}}\n\n";
const STOP: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":40}}\n\n";
const END: &str = "event: message_stop\r\ndata: {\"type\":\"message_stop\"}\r\n\r\n";

fn usage(output: u64) -> Usage {
    Usage {
        input: 7,
        output,
        cache_read: 3,
        ..Usage::default()
    }
}

#[test]
fn messages_pass_byte_for_byte_at_event_borders() {
    let stream = format!("{START}: ping\n\nevent: brand_new\nid: 4\ndata: {{}}\n\n{TEXT}{STOP}{END}");
    for cut in [1, 7, 100, stream.len()] {
        let (mut run, mut passed) = (Run::messages(None), String::new());
        let mut progress = Progress::More;
        for piece in stream.as_bytes().chunks(cut) {
            progress = run.push(std::str::from_utf8(piece).unwrap());
            let written = run.written();
            passed.push_str(&written);
            assert!(
                passed.is_empty() || passed.ends_with(['\n', '\r']),
                "half an event went out: {passed}"
            );
        }
        // The LF of a final CRLF may come after the end, when nothing is written any more.
        assert_eq!(passed.trim_end(), stream.trim_end(), "cut by {cut}");
        assert_eq!(progress, Progress::Finished);
        let observed = run.observed();
        assert_eq!(
            (observed.usage, observed.usage_estimated),
            (Some(usage(40)), false)
        );
        assert_eq!(observed.outcome, Outcome::Complete);
        assert_eq!(observed.served_model, Some(ModelName::new("claude-x-2026")));
    }
}

#[test]
fn only_the_models_name_is_replaced_in_a_stream() {
    let mut run = Run::messages(Some("my-alias"));
    run.push(START);
    assert_eq!(run.written(), START.replace("\"claude-x-2026\"", "\"my-alias\""));
    run.push(&TEXT.replace("h\\u00e9", "claude-x-2026"));
    assert_eq!(run.written(), TEXT.replace("h\\u00e9", "claude-x-2026"));
    assert_eq!(run.observed().served_model, Some(ModelName::new("claude-x-2026")));
}

#[test]
fn output_is_estimated_until_the_upstream_tells() {
    let mut run = Run::messages(None);
    run.push(START);
    assert_eq!(
        (run.observed().usage, run.observed().usage_estimated),
        (Some(usage(1)), true)
    );
    run.push(&TEXT.replace("h\\u00e9", &"x".repeat(350)));
    let counted = run.observed().usage.unwrap().output;
    assert!((100..120).contains(&counted), "{counted}");
    run.push(STOP);
    assert_eq!(
        (run.observed().usage, run.observed().usage_estimated),
        (Some(usage(40)), false)
    );
    assert!(!run.rewriter.awaiting_tail());
}

/// What a stream is, how its body ends; what the client's stream ends with, and the outcome.
fn check_end(stream: &str, ending: Ending, written_end: &str, outcome: fn(&Outcome) -> bool) {
    let mut run = Run::messages(None);
    let mut progress = run.push(stream);
    if progress == Progress::More {
        progress = run.end(ending);
    }
    let written = run.written();
    assert!(written.ends_with(written_end), "{stream} gives {written}");
    assert!(
        outcome(&run.observed().outcome),
        "{stream} gives {:?}",
        run.observed().outcome
    );
    assert_ne!(progress, Progress::More);
    assert_eq!(run.end(Ending::Eof), progress);
    assert_eq!(run.written(), "", "nothing is written after the end");
}

const MESSAGE_STOP: &str = "{\"type\":\"message_stop\"}\n\n";

fn is_failed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(_))
}

#[test]
fn a_stream_that_is_cut_ends_with_an_error() {
    let broken: fn(&Outcome) -> bool = |outcome| *outcome == Outcome::Broken;
    let cut = "\"message\":\"the upstream broke off before its answer was complete\"}}\n\n";
    check_end(&format!("{START}{TEXT}"), Ending::Eof, cut, broken);
    check_end(&format!("{START}{TEXT}"), Ending::Reset, cut, broken);
    check_end(&format!("{START}{STOP}"), Ending::Eof, cut, broken);
    check_end(&format!("{START}{STOP}"), Ending::Reset, cut, broken);
    check_end(
        &format!("{START}{TEXT}event: message_stop\ndata: {{\"ty"),
        Ending::Eof,
        cut,
        broken,
    );
}

#[test]
fn a_stream_that_is_complete_ends_properly() {
    let complete: fn(&Outcome) -> bool = |outcome| *outcome == Outcome::Complete;
    check_end(&format!("{START}{STOP}{END}"), Ending::Eof, END, complete);
    // Only the blank line is missing.
    check_end(
        &format!("{START}{STOP}{}", END.trim_end()),
        Ending::Eof,
        MESSAGE_STOP,
        complete,
    );
}

#[test]
fn errors_inside_a_stream_are_relayed_unless_they_speak_of_our_key() {
    let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"},\"x\":1}\n\n";
    check_end(&format!("{START}{error}{TEXT}"), Ending::Eof, error, is_failed);
    let key = error.replace("overloaded_error", "authentication_error");
    check_end(
        &format!("{START}{key}"),
        Ending::Eof,
        "the operator must renew it\"}}\n\n",
        is_failed,
    );
}

#[test]
fn a_body_that_is_no_stream_is_a_failure() {
    let error = "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}";
    check_end(
        error,
        Ending::Eof,
        "\"type\":\"overloaded_error\",\"message\":\"m\"}}\n\n",
        is_failed,
    );
    check_end(
        "{\"type\":\"message\"}",
        Ending::Eof,
        "without a stream\"}}\n\n",
        is_failed,
    );
    check_end("<html>", Ending::Eof, "without a stream\"}}\n\n", is_failed);
}

#[test]
fn an_error_that_cannot_be_read_ends_the_stream_and_is_not_shown() {
    for data in [
        "{\"type\":\"error\",\"error\":{\"mess",
        "invalid x-api-key sk-ant-1",
    ] {
        let mut run = Run::messages(None);
        run.push(START);
        run.written();
        let Progress::Failed(fault) = run.push(&format!("event: error\ndata: {data}\n\n{TEXT}")) else {
            panic!("{data} ends the stream");
        };
        assert_eq!(fault.status, 502);
        let written = run.written();
        assert!(
            written.starts_with("event: error\ndata: {\"type\":\"error\""),
            "{written}"
        );
        assert!(
            !written.contains(data) && !written.contains("content_block"),
            "{written}"
        );
        assert!(matches!(run.observed().outcome, Outcome::Failed(_)));
    }
}
