//! One case through the pure functions.

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use tollgate::dialect::openai::profile::{ChatProfile, MaxTokensField, ReasoningIn, SystemMessages};
use tollgate::pipeline::translate::{
    AnswerContext, Ending, Outcome, Progress, Rewriter, TranslatedRequest, chat_json, messages_to_chat,
};
use tollgate::provider::registry::Registry;
use tollgate::types::ids::ModelName;

use super::format::case::Case;
use super::format::events::{Event, check_grammar, decode};
use super::format::reduced::{compare, of_events, of_message, of_stream};
use super::format::request;
use super::format::transcript::{self, Transcript};

/// The profile that the case's provider has.
pub fn profile(case: &Case) -> ChatProfile {
    let text = |key| case.provider(key).and_then(Value::as_str);
    let strings = |key| {
        let list = case.provider(key).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let length = case.settings.get("max_tool_id_length").and_then(Value::as_u64);
    if let Some(label) = text("declared") {
        let registry = Registry::collect().unwrap();
        let declared = registry
            .find(label)
            .unwrap_or_else(|| panic!("no provider {label}"));
        return declared.chat.of(&ModelName::from(case.upstream_model())).clone();
    }
    ChatProfile {
        max_tokens_field: match text("max_tokens_field") {
            Some("max_completion_tokens") => MaxTokensField::MaxCompletionTokens,
            _ => MaxTokensField::MaxTokens,
        },
        reasoning_in: text("reasoning_in").map(|place| match place {
            "reasoning_content" => ReasoningIn::ReasoningContent,
            "reasoning" => ReasoningIn::Reasoning,
            "think_tags" => ReasoningIn::ThinkTags,
            other => panic!("unknown reasoning_in {other}"),
        }),
        reasoning_out: text("reasoning_out").map(str::to_owned),
        system_messages: match text("system_messages") {
            Some("single_leading") => SystemMessages::SingleLeading,
            _ => SystemMessages::Anywhere,
        },
        drop_params: strings("drop_params"),
        effort: case.provider("effort").and_then(Value::as_bool).unwrap_or(false),
        max_tool_id_bytes: length.map_or(40, |length| usize::try_from(length).unwrap()),
        ..ChatProfile::default()
    }
}

fn translated(case: &Case, body: &[u8]) -> Result<TranslatedRequest, String> {
    let model = ModelName::new(case.upstream_model());
    messages_to_chat(body, &model, &profile(case)).map_err(|error| error.client_text())
}

/// The request, with and without streaming.
pub fn request(case: &Case) -> Result<(), String> {
    let chat = translated(case, case.request_text.as_bytes())?;
    let sent: Value = serde_json::from_slice(&chat.body).map_err(|error| error.to_string())?;
    request::compare(case, &case.upstream_request, &sent)?;
    for path in case.list("reported_drops") {
        if !chat.dropped.iter().any(|dropped| dropped.path == path) {
            return Err(format!("the loss of {path} is not reported: {:?}", chat.dropped));
        }
    }
    let unstreamed = translated(case, case.unstreamed_request().to_string().as_bytes())?;
    let sent: Value = serde_json::from_slice(&unstreamed.body).map_err(|error| error.to_string())?;
    request::compare(case, &case.unstreamed_upstream_request(), &sent)
}

/// The client's stream for this transcript, and how it ended.
pub fn rewrite(context: &AnswerContext, transcript: &Transcript) -> (Vec<u8>, Rewriter, Progress) {
    replay(Rewriter::chat(context.clone(), "msg_test"), transcript)
}

/// What a rewriter makes of this transcript: its stream, itself, and how it ended.
pub fn replay(mut rewriter: Rewriter, transcript: &Transcript) -> (Vec<u8>, Rewriter, Progress) {
    let mut out = BytesMut::new();
    let mut progress = Progress::More;
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
    (out.to_vec(), rewriter, progress)
}

/// The stream: as given, in one block, byte by byte and cut at random.
pub fn stream(case: &Case) -> Result<(), String> {
    let chat = translated(case, case.request_text.as_bytes())?;
    let sent: Value = serde_json::from_slice(&chat.body).map_err(|error| error.to_string())?;
    let given = case.transcript.clone().filled(&sent)?;
    judge(case, &chat.answer, &given).map_err(|problem| format!("as given: {problem}"))?;
    judge(case, &chat.answer, &given.recut(usize::MAX))
        .map_err(|problem| format!("as a block: {problem}"))?;
    judge(case, &chat.answer, &given.recut(1)).map_err(|problem| format!("byte by byte: {problem}"))?;
    let mut random = super::splits::Random::new(7);
    for round in 0..20 {
        let cut = super::splits::recut(&given, &mut random, 90);
        judge(case, &chat.answer, &cut).map_err(|problem| format!("random cut {round}: {problem}"))?;
    }
    Ok(())
}

fn judge(case: &Case, context: &AnswerContext, transcript: &Transcript) -> Result<(), String> {
    let (stream, rewriter, progress) = rewrite(context, transcript);
    let events: Vec<Event> = decode(&stream)?;
    check_grammar(&events)?;
    let expected = of_events(&case.events);
    compare(case, &expected, &of_stream(&events))?;
    compare(case, &of_message(&case.message), &of_stream(&events))?;
    let failed = expected.end.get("error").is_some();
    let told = match (&progress, &rewriter.observed().outcome) {
        (Progress::Finished, Outcome::Complete) => !failed,
        (Progress::Failed(_), Outcome::Failed(_) | Outcome::Broken) => failed,
        _ => false,
    };
    if told {
        Ok(())
    } else {
        Err(format!("ended with {progress:?} and {:?}", rewriter.observed()))
    }
}

/// The whole answer, where the case has one.
pub fn whole(case: &Case) -> Result<(), String> {
    let Some(response) = &case.upstream_response else {
        return Ok(());
    };
    let chat = translated(case, case.unstreamed_request().to_string().as_bytes())?;
    let answer = chat_json(response.to_string().as_bytes(), &chat.answer, "msg_test");
    let (body, observed) = match answer {
        Ok(answer) => answer,
        Err(fault) if case.message.get("error").is_some() => {
            let error = serde_json::json!({"error": {"type": fault.kind.as_str()}, "partial_content": []});
            return compare(case, &of_message(&case.message), &of_message(&error));
        }
        Err(fault) => return Err(format!("{fault:?}")),
    };
    let message: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    compare(case, &of_message(&case.message), &of_message(&message))?;
    // A whole answer to a request for a stream comes out as events, with the same content.
    let json = Transcript {
        chunks: vec![response.to_string().into_bytes()],
        ..case.transcript.clone()
    };
    let json = Transcript {
        ending: transcript::Ending::Eof,
        ..json
    };
    for size in [usize::MAX, 1] {
        judge_json(case, &chat.answer, &json.recut(size))?;
    }
    if observed.outcome == Outcome::Complete {
        Ok(())
    } else {
        Err(format!("{observed:?}"))
    }
}

fn judge_json(case: &Case, context: &AnswerContext, json: &Transcript) -> Result<(), String> {
    let (stream, ..) = rewrite(context, json);
    let events = decode(&stream)?;
    check_grammar(&events)?;
    compare(case, &of_message(&case.message), &of_stream(&events))
}
