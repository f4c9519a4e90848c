//! Conversion vectors of Bedrock's Converse: clients of Messages over models that are not Claude.
//!
//! The cases stand in `tests/corpus/vectors/converse`, whose README says what differs.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tollgate::pipeline::translate::{
    AnswerContext, Outcome, Progress, Rewriter, converse_json, messages_to_converse,
};
use tollgate::types::ids::ModelName;

use super::format::case::{Case, load_all};
use super::format::events::{Event, check_grammar, decode};
use super::format::pattern::{Bindings, matches};
use super::format::reduced::{compare, of_events, of_message, of_stream};
use super::format::transcript::{self, Transcript};
use super::frames::{framed, unframed};
use super::gemini::accumulated;
use super::run::replay;
use super::splits::{Random, recut};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/vectors/converse")
}

fn check(what: &str, run: impl Fn(&Case) -> Result<(), String>) {
    let cases = load_all(&folder()).unwrap();
    assert!(cases.len() >= 37, "only {} cases were found", cases.len());
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| Some(format!("{}: {}", case.name, run(case).err()?)))
        .collect();
    assert!(failures.is_empty(), "{what}:\n{}", failures.join("\n"));
}

/// The body that goes upstream, the places of losses, and what the way back needs.
fn translated(case: &Case, request: &Value) -> Result<(Value, Vec<String>, AnswerContext), String> {
    let model = ModelName::new(case.upstream_model());
    let sent =
        messages_to_converse(request.to_string().as_bytes(), &model).map_err(|error| error.client_text())?;
    let body = serde_json::from_slice(&sent.body).map_err(|error| error.to_string())?;
    let mut dropped: Vec<_> = sent.dropped.into_iter().map(|dropped| dropped.path).collect();
    dropped.sort();
    Ok((body, dropped, sent.answer))
}

#[test]
fn requests_become_conversations() {
    check("requests", |case| {
        for request in [case.request.clone(), case.unstreamed_request()] {
            let (sent, dropped, _) = translated(case, &request)?;
            matches(&case.upstream_request, &sent, &mut Bindings::default(), "request")?;
            let mut expected = case.list("reported_drops");
            expected.sort_unstable();
            if dropped != expected {
                return Err(format!("reported {dropped:?} instead of {expected:?}"));
            }
        }
        Ok(())
    });
}

#[test]
fn frames_become_messages_however_they_are_cut() {
    check("streams", |case| {
        let (sent, _, context) = translated(case, &case.request)?;
        let given = framed(&case.transcript.clone().filled(&sent)?);
        let judge = |how: &str, transcript: &Transcript| {
            judge(case, &context, transcript).map_err(|problem| format!("{how}: {problem}"))
        };
        judge("as given", &given)?;
        judge("as a block", &given.recut(usize::MAX))?;
        judge("byte by byte", &given.recut(1))?;
        let mut random = Random::new(23);
        (0..20).try_for_each(|_| judge("cut at random", &recut(&given, &mut random, 90)))
    });
}

pub fn rewrite(context: &AnswerContext, transcript: &Transcript) -> (Vec<u8>, Rewriter, Progress) {
    let rewriter = Rewriter::converse(context.clone(), "msg_test");
    replay(rewriter, &unframed(transcript))
}

fn judge(case: &Case, context: &AnswerContext, transcript: &Transcript) -> Result<(), String> {
    let (stream, rewriter, progress) = rewrite(context, transcript);
    let events: Vec<Event> = decode(&stream)?;
    check_grammar(&events)?;
    let told = of_stream(&events);
    compare(case, &of_events(&case.events), &told)?;
    compare(case, &of_message(&case.message), &told)?;
    let is_error = case.message.get("error").is_some();
    let fits = match (&progress, &rewriter.observed().outcome) {
        (Progress::Finished, Outcome::Complete) => !is_error,
        (Progress::Failed(_), Outcome::Failed(_) | Outcome::Broken) => is_error,
        _ => false,
    };
    if !fits {
        return Err(format!("ended with {progress:?}"));
    }
    echo(case, &events)
}

#[test]
fn whole_answers_become_messages() {
    check("whole answers", |case| {
        let Some(response) = &case.upstream_response else {
            return Ok(());
        };
        let (.., context) = translated(case, &case.unstreamed_request())?;
        let body = response.to_string();
        let told =
            converse_json(body.as_bytes(), &context, "msg_test").map_err(|fault| format!("{fault:?}"))?;
        let told: Value = serde_json::from_slice(&told.0).map_err(|error| error.to_string())?;
        compare(case, &of_message(&case.message), &of_message(&told))?;
        echo_content(case, &told["content"])
    });
}

fn echo(case: &Case, events: &[Event]) -> Result<(), String> {
    if folder().join(&case.name).join("echo.json").exists() {
        return echo_content(case, &accumulated(events));
    }
    Ok(())
}

/// What goes upstream when the client sends the answer back.
fn echo_content(case: &Case, content: &Value) -> Result<(), String> {
    let Ok(expected) = fs::read_to_string(folder().join(&case.name).join("echo.json")) else {
        return Ok(());
    };
    let expected: Value = serde_json::from_str(&expected).unwrap();
    let mut request = case.request.clone();
    let messages = request["messages"].as_array_mut().unwrap();
    let turn = messages.len();
    messages.push(json!({"role": "assistant", "content": content}));
    let calls = content.as_array().unwrap().iter();
    let results: Vec<_> = calls
        .filter(|block| block["type"] == "tool_use")
        .map(|block| json!({"type": "tool_result", "tool_use_id": block["id"], "content": "r"}))
        .chain([json!({"type": "text", "text": "go on"})])
        .collect();
    messages.push(json!({"role": "user", "content": results}));
    let (sent, ..) = translated(case, &request)?;
    let blocks = &sent["messages"][turn]["content"];
    matches(&expected, blocks, &mut Bindings::default(), "echo")
}

/// A stream of plausible and implausible events.
fn invent(random: &mut Random) -> Transcript {
    const EVENTS: [&str; 22] = [
        r#"messageStart {"role":"assistant"}"#,
        r#"contentBlockDelta {"contentBlockIndex":0,"delta":{"text":"a"}}"#,
        r#"contentBlockDelta {"contentBlockIndex":0,"delta":{"text":"\n "}}"#,
        r#"contentBlockDelta {"contentBlockIndex":1,"delta":{"text":"EN"}}"#,
        r#"contentBlockDelta {"contentBlockIndex":1,"delta":{"text":"D\u00fc"}}"#,
        r#"contentBlockDelta {"contentBlockIndex":2,"delta":{"reasoningContent":{"text":"t"}}}"#,
        r#"contentBlockDelta {"contentBlockIndex":2,"delta":{"reasoningContent":{"signature":"s1"}}}"#,
        r#"contentBlockDelta {"contentBlockIndex":3,"delta":{"reasoningContent":{"redactedContent":"QQ=="}}}"#,
        r#"contentBlockStart {"contentBlockIndex":4,"start":{"toolUse":{"toolUseId":"a.b","name":"f"}}}"#,
        r#"contentBlockDelta {"contentBlockIndex":4,"delta":{"toolUse":{"input":"{\"x\":"}}}"#,
        r#"contentBlockDelta {"contentBlockIndex":4,"delta":{"toolUse":{"input":"[1.50]}"}}}"#,
        r#"contentBlockStart {"contentBlockIndex":5,"start":{"toolUse":{"toolUseId":"a.b","name":"g"}}}"#,
        r#"contentBlockDelta {"contentBlockIndex":5,"delta":{"toolUse":{"input":"{}"}}}"#,
        r#"contentBlockDelta {"contentBlockIndex":9,"delta":{"toolUse":{"input":"{\"lost\":1}"}}}"#,
        r#"contentBlockDelta {"delta":{"citation":{}}}"#,
        r#"contentBlockStart {"contentBlockIndex":6,"start":{"image":{}}}"#,
        r#"contentBlockStop {"contentBlockIndex":0}"#,
        r#"contentBlockStop {"contentBlockIndex":4}"#,
        r"contentBlockDelta 7",
        r#"somethingNew {"a":1}"#,
        "contentBlockDelta {\"contentBlockIndex\":0,\n\"delta\":{\"text\":\"b\"}}",
        r#"metadata {"usage":{"inputTokens":3}}"#,
    ];
    const ENDS: [&str; 7] = [
        r#"messageStop {"stopReason":"end_turn"}"#,
        r#"messageStop {"stopReason":"malformed_tool_use"}"#,
        r#"messageStop {"stopReason":"max_tokens"}"#,
        r#"messageStop {}"#,
        r#"metadata {"usage":{"inputTokens":5,"outputTokens":2},"metrics":{}}"#,
        r#"serviceUnavailableException {"message":"m"}"#,
        r#"half messageStop {"stopReason":"end_turn"}"#,
    ];
    let mut chunks: Vec<Vec<u8>> = Vec::new();
    for _ in 0..random.below(14) {
        chunks.push(random.pick(&EVENTS).as_bytes().to_vec());
    }
    for _ in 0..random.below(3) {
        chunks.push(random.pick(&ENDS).as_bytes().to_vec());
    }
    let kind = "application/vnd.amazon.eventstream".to_owned();
    framed(&Transcript {
        status: 200,
        headers: vec![("content-type".to_owned(), kind)],
        chunks,
        ending: transcript::Ending::Eof,
    })
}

#[test]
fn the_cut_of_a_stream_does_not_matter() {
    let contexts = ["meta.llama3-v1:0", "amazon.nova-pro-v1:0"].map(|model| {
        let request = json!({"model": "c", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}],
            "stop_sequences": ["END", "ü"]});
        let sent = messages_to_converse(request.to_string().as_bytes(), &ModelName::new(model));
        sent.unwrap().answer
    });
    let mut random = Random::new(5);
    for round in 0..2000 {
        let transcript = invent(&mut random);
        let shown = || String::from_utf8_lossy(&transcript.chunks.concat()).into_owned();
        let reduce = |transcript: &Transcript| {
            let (stream, rewriter, progress) = rewrite(&contexts[round % 2], transcript);
            let events = decode(&stream).unwrap_or_else(|error| panic!("{error}\n{}", shown()));
            check_grammar(&events).unwrap_or_else(|error| panic!("{error}\n{}", shown()));
            (of_stream(&events), rewriter.observed().clone(), progress)
        };
        let whole = reduce(&transcript);
        assert_eq!(reduce(&transcript.recut(1)), whole, "{}", shown());
        let cut = recut(&transcript, &mut random, 60);
        assert_eq!(reduce(&cut), whole, "{}", shown());
    }
}
