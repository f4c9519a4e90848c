//! Conversion vectors of Gemini: clients of Messages over `generateContent`.
//!
//! The cases stand in `tests/corpus/vectors/gemini`, whose README says what differs.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tollgate::pipeline::translate::{
    AnswerContext, Outcome, Progress, Rewriter, gemini_json, messages_to_gemini,
};
use tollgate::types::ids::ModelName;

use super::format::case::{Case, load_all};
use super::format::events::{Event, check_grammar, decode};
use super::format::pattern::{Bindings, matches};
use super::format::reduced::{compare, of_events, of_message, of_stream};
use super::format::transcript::{self, Transcript};
use super::run::replay;
use super::splits::{Random, recut};

/// Every case, with what its answer is translated by.
pub fn answers() -> Vec<(Case, AnswerContext)> {
    let cases = load_all(&folder()).unwrap().into_iter();
    let with_context = |case: Case| {
        let (.., context) = translated(&case, &case.request).unwrap();
        (case, context)
    };
    cases.map(with_context).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/vectors/gemini")
}

fn check(what: &str, run: impl Fn(&Case) -> Result<(), String>) {
    let cases = load_all(&folder()).unwrap();
    assert!(cases.len() >= 20, "only {} cases were found", cases.len());
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
        messages_to_gemini(request.to_string().as_bytes(), &model).map_err(|error| error.client_text())?;
    let body = serde_json::from_slice(&sent.body).map_err(|error| error.to_string())?;
    let mut dropped: Vec<_> = sent.dropped.into_iter().map(|dropped| dropped.path).collect();
    dropped.sort();
    Ok((body, dropped, sent.answer))
}

#[test]
fn requests_become_contents() {
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
fn streams_become_messages_however_they_are_cut() {
    check("streams", |case| {
        let (.., context) = translated(case, &case.request)?;
        let judge = |how: &str, transcript: &Transcript| {
            judge(case, &context, transcript).map_err(|problem| format!("{how}: {problem}"))
        };
        judge("as given", &case.transcript)?;
        judge("as a block", &case.transcript.recut(usize::MAX))?;
        judge("byte by byte", &case.transcript.recut(1))?;
        let mut random = Random::new(17);
        (0..20).try_for_each(|_| judge("cut at random", &recut(&case.transcript, &mut random, 90)))
    });
}

pub fn rewrite(context: &AnswerContext, transcript: &Transcript) -> (Vec<u8>, Rewriter, Progress) {
    replay(Rewriter::gemini(context.clone(), "msg_test"), transcript)
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
    echo(case, &accumulated(&events))
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
            gemini_json(body.as_bytes(), &context, "msg_test").map_err(|fault| format!("{fault:?}"))?;
        let told: Value = serde_json::from_slice(&told.0).map_err(|error| error.to_string())?;
        compare(case, &of_message(&case.message), &of_message(&told))?;
        echo(case, &told["content"])
    });
}

/// The content that an SDK accumulates, signatures included.
pub fn accumulated(events: &[Event]) -> Value {
    let mut content: Vec<Value> = Vec::new();
    for Event { data, .. } in events {
        match data["type"].as_str().unwrap() {
            "content_block_start" => content.push(data["content_block"].clone()),
            "content_block_delta" => {
                let block = content.last_mut().unwrap();
                let delta = &data["delta"];
                let (key, piece) = match delta["type"].as_str().unwrap() {
                    "text_delta" => ("text", &delta["text"]),
                    "thinking_delta" => ("thinking", &delta["thinking"]),
                    "signature_delta" => ("signature", &delta["signature"]),
                    _ => ("partial", &delta["partial_json"]),
                };
                let so_far = block[key].as_str().unwrap_or_default().to_owned();
                block[key] = json!(so_far + piece.as_str().unwrap());
            }
            _ => {}
        }
    }
    for block in &mut content {
        if let Some(partial) = block.as_object_mut().unwrap().shift_remove("partial") {
            block["input"] = serde_json::from_str(partial.as_str().unwrap()).unwrap();
        }
    }
    json!(content)
}

/// What goes upstream when the client sends the answer back.
fn echo(case: &Case, content: &Value) -> Result<(), String> {
    let path = folder().join(&case.name).join("echo.json");
    if !path.exists() {
        return Ok(());
    }
    let expected: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
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
    let parts = &sent["contents"][turn]["parts"];
    matches(&expected, parts, &mut Bindings::default(), "echo")
}

/// A stream of plausible and implausible events.
fn invent(random: &mut Random) -> Transcript {
    const PARTS: [&str; 16] = [
        r#"{"text":"a"}"#,
        r#"{"text":"\n "}"#,
        r#"{"text":"EN"}"#,
        r#"{"text":"D\u00fc"}"#,
        r#"{"text":"","thoughtSignature":"s1"}"#,
        r#"{"text":"b","thoughtSignature":"s2"}"#,
        r#"{"text":"t","thought":true}"#,
        r#"{"text":"u","thought":true,"thoughtSignature":"s3"}"#,
        r#"{"text":"","thought":true,"thoughtSignature":"s4"}"#,
        r#"{"thoughtSignature":"s5"}"#,
        r#"{"functionCall":{"name":"f","args":{"x":[1.50]}}}"#,
        r#"{"functionCall":{"id":"a.b","name":"f","args":{}},"thoughtSignature":"s6"}"#,
        r#"{"functionCall":{"id":"a.b","name":"g"}}"#,
        r#"{"functionCall":{"args":{"lost":1}}}"#,
        r#"{"executableCode":{"code":"x"}}"#,
        "7",
    ];
    const ENDS: [&str; 7] = [
        r#"{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3}}"#,
        r#"{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"z"}]},"finishReason":"MAX_TOKENS"}]}"#,
        r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#,
        r#"{"error":{"code":503,"status":"UNAVAILABLE","message":"m"}}"#,
        r#"{"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":2}}"#,
        "{\"cand",
    ];
    let mut stream = String::new();
    for _ in 0..random.below(12) {
        let parts: Vec<&str> = (0..random.below(4)).map(|_| random.pick(&PARTS)).collect();
        let parts = parts.join(",");
        let end = random.pick(&["\n\n", "\r\n\r\n", "\r\r"]);
        stream.push_str(&format!(
            r#"data: {{"candidates":[{{"content":{{"parts":[{parts}]}}}}]}}{end}"#
        ));
    }
    for _ in 0..random.below(3) {
        stream.push_str(&format!("data: {}\r\n\r\n", random.pick(&ENDS)));
    }
    Transcript {
        status: 200,
        headers: Vec::new(),
        chunks: vec![stream.into_bytes()],
        ending: transcript::Ending::Eof,
    }
}

#[test]
fn the_cut_of_a_stream_does_not_matter() {
    let watching = json!({"model": "c", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}],
        "stop_sequences": ["1", "2", "3", "4", "5", "END", "ü"]});
    let plain = json!({"model": "c", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]});
    let contexts = [watching, plain].map(|request| {
        let sent = messages_to_gemini(request.to_string().as_bytes(), &ModelName::new("gemini-3-pro"));
        sent.unwrap().answer
    });
    let mut random = Random::new(5);
    for round in 0..3000 {
        let transcript = invent(&mut random);
        let shown = || String::from_utf8_lossy(&transcript.chunks.concat()).into_owned();
        let reduce = |transcript: &Transcript| {
            let (stream, rewriter, progress) = rewrite(&contexts[round % 2], transcript);
            let events = decode(&stream).unwrap_or_else(|error| panic!("{error}\n{}", shown()));
            check_grammar(&events).unwrap_or_else(|error| panic!("{error}\n{}", shown()));
            (accumulated(&events), rewriter.observed().clone(), progress)
        };
        let whole = reduce(&transcript);
        assert_eq!(reduce(&transcript.recut(1)), whole, "{}", shown());
        let cut = recut(&transcript, &mut random, 60);
        assert_eq!(reduce(&cut), whole, "{}", shown());
    }
}
