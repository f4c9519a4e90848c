//! Conversion vectors of the other ways in: clients of OpenAI's two APIs over upstreams that speak another
//! dialect.
//!
//! The cases stand in folders named by client and upstream, whose READMEs say what differs.

use std::path::Path;

use bytes::Bytes;
use serde_json::Value;
use tollgate::pipeline::translate::{
    AnswerContext, CompletionContext, CompletionName, Form, Outcome, Progress, Reader, ResponseContext,
    ResponseName, Rewriter, Telling, chat_json, chat_to_messages, completion_chunks, completion_json,
    messages_to_chat, response_of_message, responses_to_messages,
};
use tollgate::types::ids::ModelName;

use super::format::case::{Case, load_all};
use super::format::pattern::{Bindings, matches};
use super::format::transcript::Transcript;
use super::format::{chunks, responses};
use super::run::{profile, replay};
use super::splits::{Random, recut};

const FOLDERS: [(&str, usize); 3] = [
    ("chat-over-messages", 17),
    ("responses-over-messages", 17),
    ("responses-over-chat", 10),
];

/// All cases, each with the name of its folder.
pub(super) fn cases() -> Vec<(&'static str, Case)> {
    let mut all = Vec::new();
    for (folder, least) in FOLDERS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/corpus/vectors")
            .join(folder);
        let cases = load_all(&path).unwrap();
        assert!(cases.len() >= least, "only {} cases in {folder}", cases.len());
        all.extend(cases.into_iter().map(|case| (folder, case)));
    }
    all
}

/// What the answer to a case's request goes through.
pub(super) fn rewriter(case: &Case) -> Rewriter {
    translated(case, &case.request_text).unwrap().rewriter()
}

fn check(what: &str, run: impl Fn(&Case) -> Result<(), String>) {
    let failures: Vec<String> = cases()
        .iter()
        .filter_map(|(folder, case)| Some(format!("{folder}/{}: {}", case.name, run(case).err()?)))
        .collect();
    assert!(failures.is_empty(), "{what}:\n{}", failures.join("\n"));
}

/// A request on its way, and what its answer needs to come back.
struct Sent {
    body: Value,
    dropped: Vec<String>,
    source: Option<AnswerContext>,
    told: Told,
}

#[derive(Clone)]
enum Told {
    Completion(CompletionContext),
    Response(ResponseContext),
}

impl Sent {
    fn rewriter(&self) -> Rewriter {
        let source = match &self.source {
            Some(context) => Rewriter::chat(context.clone(), "msg_test"),
            None => Rewriter::messages(None),
        };
        source.told(match &self.told {
            Told::Completion(context) => Telling::completion(context.clone(), &completion_name()),
            Told::Response(context) => Telling::response(context.clone(), response_name()),
        })
    }
}

fn translated(case: &Case, request: &str) -> Result<Sent, String> {
    let model = ModelName::new(case.upstream_model());
    let is_direct = case.upstream() == "messages";
    let reader = if is_direct {
        Reader::Upstream(&model)
    } else {
        Reader::Translation
    };
    let (body, mut dropped, told) = if case.client() == "responses" {
        let sent = responses_to_messages(request.as_bytes(), reader).map_err(|error| error.client_text())?;
        (sent.body, sent.dropped, Told::Response(sent.answer))
    } else {
        let sent = chat_to_messages(request.as_bytes(), reader).map_err(|error| error.client_text())?;
        (sent.body, sent.dropped, Told::Completion(sent.answer))
    };
    let (body, source) = if is_direct {
        (body, None)
    } else {
        let chat = messages_to_chat(&body, &model, &profile(case)).map_err(|error| error.client_text())?;
        dropped.extend(chat.dropped);
        (chat.body, Some(chat.answer))
    };
    Ok(Sent {
        body: serde_json::from_slice(&body).map_err(|error| error.to_string())?,
        dropped: dropped.into_iter().map(|dropped| dropped.path).collect(),
        source,
        told,
    })
}

fn completion_name() -> CompletionName {
    CompletionName {
        id: "chatcmpl-test".to_owned(),
        created: 1_760_000_000,
    }
}

fn response_name() -> ResponseName {
    ResponseName {
        id: "0123".to_owned(),
        created: 1_760_000_000,
    }
}

#[test]
fn requests_become_what_the_upstream_speaks() {
    check("requests", |case| {
        let sent = translated(case, &case.request_text)?;
        matches(
            &case.upstream_request,
            &sent.body,
            &mut Bindings::default(),
            "request",
        )?;
        let expected = case.list("reported_drops");
        if sent.dropped != expected {
            return Err(format!("reported {:?} instead of {expected:?}", sent.dropped));
        }
        let sent = translated(case, &case.unstreamed_request().to_string())?;
        let expected = case.unstreamed_upstream_request();
        matches(&expected, &sent.body, &mut Bindings::default(), "unstreamed")
    });
}

#[test]
fn streams_are_told_however_they_are_cut() {
    check("streams", |case| {
        let sent = translated(case, &case.request_text)?;
        let judge = |how: &str, transcript: &Transcript| {
            judge(case, &sent, transcript).map_err(|problem| format!("{how}: {problem}"))
        };
        judge("as given", &case.transcript)?;
        judge("as a block", &case.transcript.recut(usize::MAX))?;
        judge("byte by byte", &case.transcript.recut(1))?;
        let mut random = Random::new(11);
        (0..20).try_for_each(|_| judge("cut at random", &recut(&case.transcript, &mut random, 90)))
    });
}

fn judge(case: &Case, sent: &Sent, transcript: &Transcript) -> Result<(), String> {
    let (out, rewriter, progress) = replay(sent.rewriter(), transcript);
    let told = read_stream(case, &out)?;
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

fn read_stream(case: &Case, stream: &[u8]) -> Result<Value, String> {
    if case.client() == "responses" {
        responses::of_stream(stream)
    } else {
        chunks::accumulated(stream)
    }
}

#[test]
fn whole_answers_are_told() {
    check("whole answers", |case| {
        let Some(response) = &case.upstream_response else {
            return Ok(());
        };
        let sent = translated(case, &case.unstreamed_request().to_string())?;
        let message = match &sent.source {
            None => Bytes::from(response.to_string()),
            Some(context) => {
                let told = chat_json(response.to_string().as_bytes(), context, "msg_test");
                told.map_err(|fault| format!("{fault:?}"))?.0
            }
        };
        let whole = match &sent.told {
            Told::Completion(context) => completion_json(&message, context, &completion_name()),
            Told::Response(context) => response_of_message(&message, context, &response_name(), Form::Json),
        };
        let whole = whole.map_err(|fault| format!("{fault:?}"))?;
        let whole: Value = serde_json::from_slice(&whole).map_err(|error| error.to_string())?;
        let reduced = match &sent.told {
            Told::Completion(_) => chunks::of_completion(&whole)?,
            Told::Response(_) => responses::of_response(&whole)?,
        };
        matches(&case.message, &reduced, &mut Bindings::default(), "message")?;
        // A whole answer to a request for a stream comes out as a stream, with the same content.
        let sent = translated(case, &case.request_text)?;
        let events = match &sent.told {
            Told::Completion(context) => completion_chunks(&message, context, &completion_name()),
            Told::Response(context) => response_of_message(&message, context, &response_name(), Form::Events),
        };
        let events = events.map_err(|fault| format!("{fault:?}"))?;
        matches(
            &case.message,
            &read_stream(case, &events)?,
            &mut Bindings::default(),
            "events",
        )
    });
}
