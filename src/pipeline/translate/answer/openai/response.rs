//! Whole Messages answers, told as responses.

use bytes::{Bytes, BytesMut};

use crate::dialect::raw::Raw;
use crate::pipeline::translate::answer::fault::Fault;
use crate::pipeline::translate::answer::openai::completion::read;
use crate::pipeline::translate::answer::openai::context::{ResponseContext, ResponseName};
use crate::pipeline::translate::answer::openai::response_telling::ResponseTelling;
use crate::pipeline::translate::answer::told::MessageEvent;

/// In which form an answer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As one JSON object.
    Json,
    /// As the events of a stream.
    Events,
}

/// Tells a message, the body of an answer with status 200, as a response.
///
/// # Errors
/// The body is no message.
pub fn response_of_message(
    body: &Bytes,
    context: &ResponseContext,
    name: &ResponseName,
    form: Form,
) -> Result<Bytes, Fault> {
    let (message, usage) = read(body)?;
    let mut out = BytesMut::with_capacity(body.len() + 1024);
    let mut telling = ResponseTelling::new(context.clone(), name.clone());
    let mut tell = |event| telling.tell(&event, Some(usage), &mut out);
    tell(MessageEvent::Start);
    let blocks = message.get("content").and_then(Raw::elements).unwrap_or_default();
    for block in blocks.into_iter().filter_map(Raw::members) {
        tell(MessageEvent::BlockStart(block));
        tell(MessageEvent::BlockStop);
    }
    // A whole message has what the last delta of a stream says.
    tell(MessageEvent::Delta(message));
    if form == Form::Events {
        tell(MessageEvent::Stop);
        return Ok(out.freeze());
    }
    Ok(telling.whole(usage).freeze())
}
