//! What Gemini answers, event by event or whole, in Messages terms.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

use crate::dialect::anthropic::error::ErrorKind;
use crate::dialect::anthropic::signature::Signer;
use crate::dialect::gemini::answer::{Call, Finish as Reason, PartKind, block_reason, candidate, parts};
use crate::dialect::gemini::usage;
use crate::dialect::openai::answer::ToolDelta;
use crate::dialect::openai::complaint;
use crate::dialect::raw::{Members, Raw, compact, escape};
use crate::pipeline::translate::answer::context::AnswerContext;
use crate::pipeline::translate::answer::fault::Fault;
use crate::pipeline::translate::answer::finish::Finish;
use crate::pipeline::translate::answer::observed::Observed;
use crate::pipeline::translate::answer::reading::Reading;
use crate::pipeline::translate::redaction::cleaned;
use crate::pipeline::translate::upstream_error::fault_in_answer;

/// Translates the body of an answer with status 200.
///
/// # Errors
/// The fault that the body names, or that it is no answer.
pub fn gemini_json(
    body: &[u8],
    context: &AnswerContext,
    message_id: impl Into<String>,
) -> Result<(Bytes, Observed), Fault> {
    let mut reading = Reading::signed(context.clone(), message_id.into(), Signer::Gemini);
    read(body, &mut reading)?;
    let mut message = BytesMut::with_capacity(body.len() + 256);
    reading.put_message(&mut message);
    reading.complete();
    Ok((message.freeze(), reading.observed))
}

/// Reads a whole answer; a stream that was not asked for by events is a list of them.
pub(crate) fn read(body: &[u8], reading: &mut Reading) -> Result<(), Fault> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let text = String::from_utf8_lossy(body);
    if text.trim_start().starts_with('<') {
        return Err(Fault::broken("the upstream answered with a page instead of JSON"));
    }
    let value = Raw::read(&text).ok_or_else(|| Fault::broken("the upstream's answer is not JSON"))?;
    for answer in value.elements().unwrap_or_else(|| vec![value]) {
        take(reading, &answer.members().unwrap_or_default())?;
    }
    if !reading.is_finished() {
        return Err(Fault::broken(
            "the upstream's answer has no candidates, or no end",
        ));
    }
    reading.end()
}

/// Takes an event of a stream, or a whole answer.
pub(crate) fn take(reading: &mut Reading, answer: &Members<'_>) -> Result<(), Fault> {
    if let Some(complaint) = complaint::in_answer(answer) {
        return Err(fault_in_answer(&complaint));
    }
    let (model, id) = (answer.string("modelVersion"), answer.string("responseId"));
    reading.begin(usage::find(answer), model, id);
    let Some(candidate) = candidate(answer) else {
        if block_reason(answer).is_some() {
            reading.finish(Finish::Refused);
        }
        return Ok(());
    };
    for part in parts(&candidate) {
        if reading.is_stopped() {
            return Ok(());
        }
        let signature = part.signature.as_deref();
        match part.kind {
            PartKind::Thought(text) => {
                reading.thinking(text)?;
                if let Some(signature) = signature {
                    reading.blocks.sign_thinking(signature)?;
                }
            }
            PartKind::Text(text) => {
                if let Some(signature) = signature {
                    reading.blocks.sign_text(signature)?;
                }
                if !text.is_empty() {
                    reading.text(text)?;
                }
            }
            PartKind::Call(call) => take_call(reading, &call, signature)?,
            PartKind::Other => {}
        }
    }
    let reason = candidate.string("finishReason").unwrap_or_default();
    match Reason::of(&reason) {
        None => {}
        Some(Reason::Stop) => reading.finish(Finish::Stop),
        Some(Reason::Length) => reading.finish(Finish::Length),
        Some(Reason::Filtered) => reading.finish(Finish::Refused),
        Some(Reason::Malformed) if reading.blocks.has_answer() => reading.finish(Finish::Stop),
        Some(Reason::Malformed) => return Err(malformed(&candidate, &reason)),
    }
    Ok(())
}

fn take_call(reading: &mut Reading, call: &Call<'_>, signature: Option<&str>) -> Result<(), Fault> {
    // What a filter still holds of the text stands before the call and what is signed for it.
    reading.end_prose()?;
    reading.blocks.sign_call(signature)?;
    let arguments = call.arguments.map_or(Cow::Borrowed(""), |arguments| {
        Cow::Owned(escape(&compact(arguments)))
    });
    reading.call(&ToolDelta {
        index: Some(reading.blocks.next_call()),
        id: call.id.clone(),
        name: call.name.clone(),
        arguments,
    })
}

/// The model wrote what nobody can use; asking again may help.
fn malformed(candidate: &Members<'_>, reason: &str) -> Fault {
    let told = candidate.string("finishMessage").unwrap_or_default();
    let told = cleaned(&told);
    let message = if told.is_empty() {
        format!("the model's answer could not be used ({})", cleaned(reason))
    } else {
        told.into_owned()
    };
    Fault::new(ErrorKind::Api, message)
}
