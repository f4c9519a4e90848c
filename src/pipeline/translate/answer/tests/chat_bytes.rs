//! Chat completions on both sides.

use super::Run;
use crate::pipeline::translate::answer::{Ending, Progress};
use crate::pipeline::translate::{ChatBytes, ErrorKind, Outcome, Rewriter};
use crate::types::ids::ModelName;
use crate::types::usage::Usage;

const FIRST: &str = "data: {\"id\":\"chatcmpl-1\",\"model\" : \"gpt-x-2026\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"h\\u00e9 gpt-x-2026\"},\"finish_reason\":null}],\"usage\":null}\r\n\r\n";
const LAST: &str = "data: {\"id\":\"chatcmpl-1\",\"model\":\"gpt-x-2026\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"id\":\"chatcmpl-1\",\"model\":\"gpt-x-2026\",\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":4,\"prompt_tokens_details\":{\"cached_tokens\":7}}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

fn run(alias: Option<&str>, withhold_usage: bool) -> Run {
    Run {
        rewriter: Rewriter::chat_bytes(ChatBytes {
            alias: alias.map(ModelName::from),
            withhold_usage,
            choices: 1,
            input_tokens: 11,
        }),
        out: bytes::BytesMut::new(),
    }
}

/// What goes out for this stream, cut into pieces of so many bytes.
fn passed(mut run: Run, stream: &str, cut: usize) -> (String, Run, Progress) {
    let (mut passed, mut progress) = (String::new(), Progress::More);
    for piece in stream.as_bytes().chunks(cut) {
        progress = run.push(std::str::from_utf8(piece).unwrap());
        passed.push_str(&run.written());
    }
    (passed, run, progress)
}

#[test]
fn chunks_pass_byte_for_byte_however_they_are_cut() {
    let stream = format!(": OPENROUTER PROCESSING\n\n{FIRST}{LAST}{USAGE}{DONE}");
    for cut in [1, 7, 100, stream.len()] {
        let (passed, run, progress) = passed(run(None, false), &stream, cut);
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
        assert_eq!(observed.stop_reason.as_deref(), Some("end_turn"));
    }
}

#[test]
fn usage_that_nobody_asked_for_stays_here() {
    let stream = format!("{FIRST}{LAST}{USAGE}{DONE}");
    for cut in [1, 13, stream.len()] {
        let (passed, run, _) = passed(run(None, true), &stream, cut);
        assert_eq!(passed, format!("{FIRST}{LAST}{DONE}"), "cut by {cut}");
        assert_eq!(run.observed().usage.map(|usage| usage.output), Some(4));
    }
    // Usage beside an answer, as some vendors send it, goes with it.
    let both = LAST.replace(
        "}\n\n",
        ",\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n",
    );
    let (passed, run, _) = passed(run(None, true), &both, both.len());
    assert_eq!(passed, both);
    assert_eq!(run.observed().usage.map(|usage| usage.output), Some(2));
}

#[test]
fn the_alias_stands_in_every_chunk() {
    let stream = format!("{FIRST}{LAST}{USAGE}{DONE}");
    let renamed = |chunk: &str| chunk.replacen("\"gpt-x-2026\"", "\"fast\"", 1);
    let expected = [renamed(FIRST), renamed(LAST), renamed(USAGE), DONE.to_owned()].concat();
    for cut in [1, stream.len()] {
        let (passed, run, _) = passed(run(Some("fast"), false), &stream, cut);
        assert_eq!(passed, expected, "cut by {cut}");
        assert_eq!(run.observed().served_model, Some(ModelName::new("gpt-x-2026")));
    }
}

#[test]
fn a_finished_answer_without_an_end_mark_gets_one() {
    let (passed, mut run, progress) = passed(run(None, false), &format!("{FIRST}{LAST}"), 1000);
    assert_eq!((passed, progress), (format!("{FIRST}{LAST}"), Progress::More));
    assert!(run.rewriter.awaiting_tail());
    assert_eq!(run.end(Ending::Reset), Progress::Finished);
    assert_eq!(run.written(), DONE);
    assert!(run.observed().usage_estimated, "nobody told the usage");
}

#[test]
fn a_broken_stream_ends_in_an_error_and_no_end_mark() {
    for ending in [Ending::Eof, Ending::Reset] {
        let (_, mut run, _) = passed(run(None, false), &format!("{FIRST}data: {{\"id\":\"chat"), 1000);
        assert!(matches!(run.end(ending), Progress::Failed(_)));
        let written = run.written();
        assert!(
            written.starts_with("data: {\"error\":{\"message\":\"the upstream broke off"),
            "{written}"
        );
        assert!(!written.contains("DONE") && written.ends_with("}}\n\n"));
        let observed = run.observed();
        assert_eq!(observed.outcome, Outcome::Broken);
        let usage = observed.usage.unwrap();
        assert!(
            observed.usage_estimated && usage.input == 11 && usage.output > 0,
            "{usage:?}"
        );
    }
}

#[test]
fn errors_of_the_upstream_end_the_stream() {
    let error = "data: {\"error\":{\"message\":\"m\",\"type\":\"server_error\",\"code\":\"rate_limit_exceeded\"}}\n\n";
    let (passed, run, progress) = passed(run(None, false), &format!("{FIRST}{error}{LAST}"), 1000);
    assert_eq!(passed, format!("{FIRST}{error}"));
    assert!(matches!(progress, Progress::Failed(fault) if fault.kind == ErrorKind::RateLimit));
    assert!(matches!(run.observed().outcome, Outcome::Failed(_)));
}

#[test]
fn errors_about_our_credential_are_concealed() {
    let error =
        "data: {\"error\":{\"message\":\"Incorrect API key: sk-1\",\"code\":\"invalid_api_key\"}}\n\n";
    let (passed, ..) = passed(run(None, false), &format!("{FIRST}{error}"), 1000);
    assert!(
        !passed.contains("sk-1") && passed.contains("the operator must renew it"),
        "{passed}"
    );
}

#[test]
fn several_choices_end_when_all_have() {
    let mut several = run(None, false);
    several.rewriter = Rewriter::chat_bytes(ChatBytes {
        alias: None,
        withhold_usage: false,
        choices: 2,
        input_tokens: 0,
    });
    several.push(LAST);
    assert!(!several.rewriter.awaiting_tail());
    several.push(&LAST.replace("\"index\":0", "\"index\":1"));
    assert!(several.rewriter.awaiting_tail());
}
