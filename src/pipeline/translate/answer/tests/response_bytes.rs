//! The Responses API on both sides.

use super::Run;
use crate::pipeline::translate::answer::{Ending, Progress};
use crate::pipeline::translate::{ErrorKind, Outcome, ResponseBytes, Rewriter, response_json};
use crate::types::ids::ModelName;
use crate::types::usage::Usage;
use bytes::Bytes;

const CREATED: &str = "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\", \"model\" : \"gpt-x-2026\",\"status\":\"in_progress\",\"error\":null,\"output\":[]}}\n\n";
const DELTA: &str = "event: response.output_text.delta\r\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"item_id\":\"msg_1\",\"delta\":\"h\\u00e9 gpt-x-2026\"}\r\n\r\n";
const CALL: &str = "event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"sequence_number\":2,\"item\":{\"type\":\"function_call\",\"name\":\"f\"}}\n\n";
const COMPLETED: &str = "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":3,\"response\":{\"id\":\"resp_1\",\"model\":\"gpt-x-2026\",\"status\":\"completed\",\"error\":null,\"incomplete_details\":null,\"output\":[],\"usage\":{\"input_tokens\":10,\"input_tokens_details\":{\"cached_tokens\":7},\"output_tokens\":4}}}\n\n";

fn run(alias: Option<&str>) -> Run {
    Run {
        rewriter: Rewriter::response_bytes(ResponseBytes {
            alias: alias.map(ModelName::from),
            input_tokens: 11,
        }),
        out: bytes::BytesMut::new(),
    }
}

fn passed(mut run: Run, stream: &str, cut: usize) -> (String, Run, Progress) {
    let (mut passed, mut progress) = (String::new(), Progress::More);
    for piece in stream.as_bytes().chunks(cut) {
        progress = run.push(std::str::from_utf8(piece).unwrap());
        passed.push_str(&run.written());
    }
    (passed, run, progress)
}

#[test]
fn events_pass_byte_for_byte_however_they_are_cut() {
    let stream = format!("{CREATED}: keep-alive\n\n{DELTA}{CALL}{COMPLETED}");
    for cut in [1, 7, 100, stream.len()] {
        let (passed, run, progress) = passed(run(None), &stream, cut);
        assert_eq!(
            (passed, progress),
            (stream.clone(), Progress::Finished),
            "cut by {cut}"
        );
        let observed = run.observed();
        let usage = Usage {
            input: 3,
            output: 4,
            cache_read: 7,
            ..Usage::default()
        };
        assert_eq!((observed.usage, observed.usage_estimated), (Some(usage), false));
        assert_eq!(observed.outcome, Outcome::Complete);
        assert_eq!(observed.stop_reason.as_deref(), Some("tool_use"));
        assert_eq!(observed.upstream_id.as_deref(), Some("resp_1"));
    }
}

#[test]
fn the_alias_stands_in_every_response() {
    let stream = format!("{CREATED}{DELTA}{COMPLETED}");
    let renamed = |event: &str| event.replacen("\"gpt-x-2026\"", "\"fast\"", 1);
    let expected = [renamed(CREATED), DELTA.to_owned(), renamed(COMPLETED)].concat();
    for cut in [1, stream.len()] {
        assert_eq!(
            passed(run(Some("fast")), &stream, cut).0,
            expected,
            "cut by {cut}"
        );
    }
}

#[test]
fn a_broken_stream_ends_in_an_error_that_sdks_raise() {
    for ending in [Ending::Eof, Ending::Reset] {
        let (_, mut run, _) = passed(run(None), &format!("{CREATED}{DELTA}event: resp"), 1000);
        assert!(matches!(run.end(ending), Progress::Failed(_)));
        let written = run.written();
        let data = written.strip_prefix("event: error\ndata: ").unwrap();
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(
            (&data["type"], &data["sequence_number"]),
            (&"error".into(), &2.into())
        );
        assert!(
            data["error"]["message"].is_string() && data["message"].is_string(),
            "{data}"
        );
        let observed = run.observed();
        let usage = observed.usage.unwrap();
        assert!(
            observed.usage_estimated && usage.input == 11 && usage.output > 0,
            "{usage:?}"
        );
        assert_eq!(observed.outcome, Outcome::Broken);
    }
}

#[test]
fn failures_of_the_upstream_end_the_stream() {
    let failed = COMPLETED.replace("completed", "failed").replace(
        "\"error\":null",
        "\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"m\"}",
    );
    let error = "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"m\",\"param\":null}\n\n";
    for (event, kind) in [(failed.as_str(), ErrorKind::RateLimit), (error, ErrorKind::Api)] {
        let (passed, run, progress) = passed(run(None), &format!("{CREATED}{event}{DELTA}"), 1000);
        assert_eq!(passed, format!("{CREATED}{event}"));
        assert!(
            matches!(progress, Progress::Failed(fault) if fault.kind == kind),
            "{event}"
        );
        assert!(matches!(run.observed().outcome, Outcome::Failed(_)));
    }
    let key = error
        .replace("server_error", "invalid_api_key")
        .replace("\"m\"", "\"sk-1 is wrong\"");
    let (passed, ..) = passed(run(None), &format!("{CREATED}{key}"), 1000);
    assert!(
        !passed.contains("sk-1") && passed.contains("the operator must renew it"),
        "{passed}"
    );
}

#[test]
fn whole_answers_pass_and_are_observed() {
    let body = Bytes::from_static(
        br#"{"id":"resp_1","object":"response","status":"incomplete","error":null,"incomplete_details":{"reason":"max_output_tokens"},"model":"gpt-x","output":[{"type":"message"}],"usage":{"input_tokens":5,"output_tokens":16}}"#,
    );
    let (passed, observed) = response_json(&body, None).unwrap();
    assert_eq!(
        (passed, observed.outcome.clone()),
        (body.clone(), Outcome::Complete)
    );
    assert_eq!(observed.stop_reason.as_deref(), Some("max_tokens"));
    assert_eq!(observed.usage.map(|usage| usage.input), Some(5));
    let (renamed, _) = response_json(&body, Some(&ModelName::new("fast"))).unwrap();
    let expected = String::from_utf8(body.to_vec()).unwrap().replace("gpt-x", "fast");
    assert_eq!(renamed, expected.as_bytes());
    let failed = Bytes::from_static(br#"{"status":"failed","error":{"code":"server_error","message":"m"}}"#);
    assert_eq!(response_json(&failed, None).unwrap_err().kind, ErrorKind::Api);
}
