//! Conversion vectors of the other direction: clients of chat completions over Messages upstreams.
//!
//! The cases stand in `tests/corpus/vectors/chat-over-messages`, whose README says what differs.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use tollgate::pipeline::translate::{
    CompletionContext, CompletionName, Ending, Outcome, Progress, Reader, Rewriter, Telling,
    chat_to_messages, completion_chunks, completion_json,
};
use tollgate::types::ids::ModelName;

use super::format::pattern::{Bindings, matches};
use super::format::transcript::{self, Transcript};
use super::splits::{Random, recut};

/// One case.
pub(super) struct Case {
    pub(super) name: String,
    settings: Value,
    pub(super) request: Value,
    upstream_request: Value,
    pub(super) transcript: Transcript,
    message: Value,
    upstream_response: Option<Value>,
}

pub(super) fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/vectors/chat-over-messages");
    let entries = fs::read_dir(&folder).unwrap();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    assert!(folders.len() >= 12, "only {} cases were found", folders.len());
    folders.iter().map(|folder| load(folder)).collect()
}

fn load(folder: &Path) -> Case {
    let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let parsed = |name: &str| -> Value {
        serde_json::from_str(&text(name))
            .unwrap_or_else(|error| panic!("{}/{name}: {error}", folder.display()))
    };
    Case {
        name: folder.file_name().unwrap().to_string_lossy().into_owned(),
        settings: parsed("case.json"),
        request: parsed("request.json"),
        upstream_request: parsed("upstream_request.json"),
        transcript: Transcript::read(&text("upstream_stream.txt")).unwrap(),
        message: parsed("expected_message.json"),
        upstream_response: folder
            .join("upstream_response.json")
            .exists()
            .then(|| parsed("upstream_response.json")),
    }
}

fn check(what: &str, run: impl Fn(&Case) -> Result<(), String>) {
    let failures: Vec<String> = cases()
        .iter()
        .filter_map(|case| Some(format!("{}: {}", case.name, run(case).err()?)))
        .collect();
    assert!(failures.is_empty(), "{what}:\n{}", failures.join("\n"));
}

fn translated(case: &Case, request: &Value) -> Result<(Value, Vec<String>, CompletionContext), String> {
    let model = ModelName::new(case.settings["upstream_model"].as_str().unwrap());
    let sent = chat_to_messages(request.to_string().as_bytes(), Reader::Upstream(&model))
        .map_err(|error| error.client_text())?;
    let body = serde_json::from_slice(&sent.body).map_err(|error| error.to_string())?;
    let dropped = sent.dropped.into_iter().map(|dropped| dropped.path).collect();
    Ok((body, dropped, sent.answer))
}

fn unstreamed(request: &Value) -> Value {
    let mut request = request.clone();
    for key in ["stream", "stream_options"] {
        request.as_object_mut().unwrap().shift_remove(key);
    }
    request
}

#[test]
fn requests_become_messages() {
    check("requests", |case| {
        let (sent, dropped, _) = translated(case, &case.request)?;
        matches(&case.upstream_request, &sent, &mut Bindings::default(), "request")?;
        let expected: Vec<_> = case.settings["reported_drops"]
            .as_array()
            .into_iter()
            .flatten()
            .collect();
        let expected: Vec<_> = expected.iter().filter_map(|path| path.as_str()).collect();
        if dropped != expected {
            return Err(format!("reported {dropped:?} instead of {expected:?}"));
        }
        let (sent, ..) = translated(case, &unstreamed(&case.request))?;
        matches(
            &unstreamed(&case.upstream_request),
            &sent,
            &mut Bindings::default(),
            "unstreamed",
        )
    });
}

#[test]
fn streams_become_chunks_however_they_are_cut() {
    check("streams", |case| {
        let (.., context) = translated(case, &case.request)?;
        let judge = |how: &str, transcript: &Transcript| {
            judge(case, &context, transcript).map_err(|problem| format!("{how}: {problem}"))
        };
        judge("as given", &case.transcript)?;
        judge("as a block", &case.transcript.recut(usize::MAX))?;
        judge("byte by byte", &case.transcript.recut(1))?;
        let mut random = Random::new(11);
        (0..20).try_for_each(|_| judge("cut at random", &recut(&case.transcript, &mut random, 90)))
    });
}

pub(super) fn name() -> CompletionName {
    CompletionName {
        id: "chatcmpl-test".to_owned(),
        created: 1_760_000_000,
    }
}

fn judge(case: &Case, context: &CompletionContext, transcript: &Transcript) -> Result<(), String> {
    let mut rewriter = Rewriter::messages(None).told(Telling::completion(context.clone(), &name()));
    let (mut out, mut progress) = (BytesMut::new(), Progress::More);
    for chunk in &transcript.chunks {
        progress = rewriter.push(&Bytes::copy_from_slice(chunk), &mut out);
        if progress != Progress::More {
            break;
        }
    }
    if progress == Progress::More {
        let ending = match transcript.ending {
            transcript::Ending::Eof => Ending::Eof,
            transcript::Ending::Reset => Ending::Reset,
        };
        progress = rewriter.end(ending, &mut out);
    }
    let told = accumulated(&out)?;
    matches(&case.message, &told, &mut Bindings::default(), "message")?;
    let fits = match (&progress, &rewriter.observed().outcome) {
        (Progress::Finished, Outcome::Complete) => told.get("error").is_none(),
        (Progress::Failed(_), Outcome::Failed(_) | Outcome::Broken) => told.get("error").is_some(),
        _ => false,
    };
    if fits {
        Ok(())
    } else {
        Err(format!("ended with {progress:?}"))
    }
}

#[test]
fn whole_answers_become_completions() {
    check("whole answers", |case| {
        let Some(response) = &case.upstream_response else {
            return Ok(());
        };
        let body = Bytes::from(response.to_string());
        let (.., context) = translated(case, &unstreamed(&case.request))?;
        let told = completion_json(&body, &context, &name()).map_err(|fault| format!("{fault:?}"))?;
        let told: Value = serde_json::from_slice(&told).map_err(|error| error.to_string())?;
        let choice = &told["choices"][0];
        if told["object"] != "chat.completion"
            || choice["index"] != 0
            || choice["message"]["role"] != "assistant"
        {
            return Err(format!("no completion: {told}"));
        }
        let calls = choice["message"]["tool_calls"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let reduced = reduced(
            &choice["message"],
            &calls,
            &choice["finish_reason"],
            &told["usage"],
        );
        matches(&case.message, &reduced, &mut Bindings::default(), "message")?;
        // A whole answer to a request for a stream comes out as chunks, with the same content.
        let (.., context) = translated(case, &case.request)?;
        let chunks = completion_chunks(&body, &context, &name()).map_err(|fault| format!("{fault:?}"))?;
        matches(
            &case.message,
            &accumulated(&chunks)?,
            &mut Bindings::default(),
            "chunks",
        )
    });
}

/// What matters of an answer.
fn reduced(message: &Value, calls: &[Value], finish: &Value, usage: &Value) -> Value {
    let call = |call: &Value| {
        let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
        let arguments = serde_json::from_str(arguments).unwrap_or_else(|_| json!(arguments));
        json!({"id": call["id"], "name": call["function"]["name"], "arguments": arguments})
    };
    let mut reduced = json!({"content": message["content"], "finish_reason": finish, "usage": usage});
    let more = ["reasoning_content", "reasoning_details", "refusal"];
    for key in more.into_iter().filter(|key| !message[*key].is_null()) {
        reduced[key] = message[key].clone();
    }
    if !calls.is_empty() {
        reduced["tool_calls"] = calls.iter().map(call).collect();
    }
    reduced
}

/// What a client adds up from these chunks; checks their grammar on the way.
fn accumulated(stream: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(stream).map_err(|error| error.to_string())?;
    let mut message = json!({});
    let (mut calls, mut finish, mut usage): (Vec<Value>, _, _) = (Vec::new(), Value::Null, Value::Null);
    let mut is_done = false;
    let events = text
        .split_terminator("\n\n")
        .filter(|event| !event.starts_with(':'));
    for (number, event) in events.enumerate() {
        let data = event
            .strip_prefix("data: ")
            .ok_or_else(|| format!("no data: {event}"))?;
        if is_done {
            return Err(format!("behind the end: {event}"));
        }
        if data == "[DONE]" {
            is_done = true;
            continue;
        }
        let chunk: Value = serde_json::from_str(data).map_err(|error| format!("{error} in {data}"))?;
        if chunk.get("error").is_some() {
            is_done = true;
            message = json!({"error": {"code": chunk["error"]["code"]}, "content": message["content"]});
            continue;
        }
        if chunk["object"] != "chat.completion.chunk" || chunk["id"] != "chatcmpl-test" {
            return Err(format!("no chunk: {chunk}"));
        }
        let Some(choice) = chunk["choices"].get(0) else {
            usage = chunk["usage"].clone();
            continue;
        };
        if !finish.is_null() || (number == 0) != (choice["delta"]["role"] == "assistant") {
            return Err(format!("out of place: {chunk}"));
        }
        add(&mut message, &mut calls, &choice["delta"])?;
        finish = choice["finish_reason"].clone();
    }
    match (is_done, message.get("error").is_some()) {
        (false, _) => Err("the stream has no end".to_owned()),
        (true, true) => Ok(message),
        (true, false) if finish.is_null() => Err("no finish reason".to_owned()),
        (true, false) => Ok(reduced(&message, &calls, &finish, &usage)),
    }
}

fn add(message: &mut Value, calls: &mut Vec<Value>, delta: &Value) -> Result<(), String> {
    for key in ["content", "reasoning_content", "refusal"] {
        if let Some(piece) = delta[key].as_str().filter(|piece| !piece.is_empty()) {
            let so_far = message[key].as_str().unwrap_or_default().to_owned();
            message[key] = json!(so_far + piece);
        }
    }
    for detail in delta["reasoning_details"].as_array().into_iter().flatten() {
        if !message["reasoning_details"].is_array() {
            message["reasoning_details"] = json!([]);
        }
        message["reasoning_details"]
            .as_array_mut()
            .unwrap()
            .push(detail.clone());
    }
    for piece in delta["tool_calls"].as_array().into_iter().flatten() {
        let index = usize::try_from(piece["index"].as_u64().ok_or("no index")?).unwrap();
        if index == calls.len() {
            calls.push(
                json!({"id": piece["id"], "function": {"name": piece["function"]["name"], "arguments": ""}}),
            );
        } else if index + 1 != calls.len() || piece.get("id").is_some() {
            return Err(format!("calls overlap: {piece}"));
        }
        let arguments = &mut calls[index]["function"]["arguments"];
        let so_far = arguments.as_str().unwrap_or_default().to_owned();
        *arguments = json!(so_far + piece["function"]["arguments"].as_str().unwrap_or_default());
    }
    Ok(())
}

/// Requests that lose their meaning are refused, and the refusal names the place.
#[test]
fn what_would_change_the_meaning_is_refused() {
    let refused = |more: Value| {
        let mut request = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]});
        request
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let model = ModelName::new("claude-sonnet-4-5");
        let sent = chat_to_messages(request.to_string().as_bytes(), Reader::Upstream(&model));
        sent.err().map(|error| error.client_text()).unwrap_or_default()
    };
    let part = |part: Value| refused(json!({"messages": [{"role": "user", "content": [part]}]}));
    for (text, place) in [
        (refused(json!({"n": 2})), "n: "),
        (refused(json!({"modalities": ["text", "audio"]})), "modalities: "),
        (refused(json!({"web_search_options": {}})), "web_search_options: "),
        (
            refused(json!({"tools": [{"type": "web_search"}]})),
            "tools[0]: `web_search`",
        ),
        (
            refused(json!({"tools": [{"type": "custom", "custom": {"name": "c"}}]})),
            "tools[0]: `custom`",
        ),
        (refused(json!({"tool_choice": "sometimes"})), "tool_choice: "),
        (refused(json!({"messages": []})), "messages: "),
        (
            refused(json!({"messages": [{"role": "robot", "content": "x"}]})),
            "messages[0].role: ",
        ),
        (
            part(json!({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}})),
            "`input_audio`",
        ),
        (
            part(json!({"type": "file", "file": {"file_id": "f"}})),
            "messages[0].content[0].file: ",
        ),
        (
            part(json!({"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AA=="}})),
            "JPEG",
        ),
    ] {
        assert!(text.contains(place), "{place} in {text:?}");
    }
    assert_eq!(
        refused(json!({"n": 1, "modalities": ["text"], "tool_choice": "none"})),
        ""
    );
}
