//! Whole chat completions to Messages answers.

use bytes::{Bytes, BytesMut};

use crate::dialect::openai::complaint;
use crate::dialect::raw::{Members, Raw};
use crate::pipeline::translate::answer::context::AnswerContext;
use crate::pipeline::translate::answer::fault::Fault;
use crate::pipeline::translate::answer::observed::Observed;
use crate::pipeline::translate::answer::reading::Reading;
use crate::pipeline::translate::upstream_error::fault_in_answer;

/// Translates the body of an answer with status 200.
///
/// # Errors
/// The fault that the body names, or that it is no completion.
pub fn chat_json(
    body: &[u8],
    context: &AnswerContext,
    message_id: impl Into<String>,
) -> Result<(Bytes, Observed), Fault> {
    let mut reading = Reading::new(context.clone(), message_id.into());
    read_completion(body, &mut reading)?;
    let mut message = BytesMut::with_capacity(body.len() + 256);
    reading.put_message(&mut message);
    reading.complete();
    Ok((message.freeze(), reading.observed))
}

/// Reads a whole completion.
pub(crate) fn read_completion(body: &[u8], reading: &mut Reading) -> Result<(), Fault> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let text = String::from_utf8_lossy(body);
    if text.trim_start().starts_with('<') {
        return Err(Fault::broken("the upstream answered with a page instead of JSON"));
    }
    let value = Raw::read(&text).ok_or_else(|| Fault::broken("the upstream's answer is not JSON"))?;
    // Gemini wraps its error in a list.
    let first = value
        .elements()
        .and_then(|list| list.first().copied())
        .unwrap_or(value);
    let answer = first.members().unwrap_or_default();
    if !has_choice(&answer) {
        let complaint = complaint::in_answer(&answer);
        let nothing = || Fault::broken("the upstream's answer has no choices");
        return Err(complaint.as_ref().map_or_else(nothing, fault_in_answer));
    }
    reading.take(&answer, "message")?;
    reading.end()
}

fn has_choice(answer: &Members<'_>) -> bool {
    answer
        .get("choices")
        .and_then(Raw::elements)
        .is_some_and(|choices| !choices.is_empty())
}
