//! Chat completions to Messages requests.

mod conversation;
mod parameters;
mod parts;
mod reasoning;
mod tools;

use bytes::BufMut;

use crate::pipeline::translate::answer::openai::context::CompletionContext;
use crate::pipeline::translate::request::Untranslatable;
use crate::pipeline::translate::to_messages::{Draft, MessagesRequest, Reader, read_request};
use crate::types::ids::ModelName;

/// Translates a chat completion into a Messages request.
///
/// # Errors
/// [`Untranslatable`] where the meaning would change, or the body is no chat completion.
pub fn chat_to_messages(
    body: &[u8],
    reader: Reader<'_>,
) -> Result<MessagesRequest<CompletionContext>, Untranslatable> {
    let (request, requested) = read_request(body)?;
    let tools = tools::read(&request)?;
    let conversation = conversation::read(&request)?;
    let names = tools
        .iter()
        .map(|tool| tool.name.clone())
        .chain(conversation.tool_names());
    let mut draft = Draft::new(reader, &requested, names, body.len());
    let asked = parameters::put(&mut draft, &request, conversation.may_think())?;
    conversation::put_system(&mut draft, &conversation, asked.json_only)?;
    crate::pipeline::translate::to_messages::tools::put(&mut draft, &request, &tools, asked.is_thinking)?;
    conversation::put_messages(&mut draft, &conversation)?;
    draft.out.put_u8(b'}');

    let wants_usage = request
        .members("stream_options")
        .and_then(|options| options.get("include_usage")?.boolean());
    Ok(MessagesRequest {
        body: draft.out.into(),
        dropped: draft.losses.into_list(),
        answer: CompletionContext {
            requested_model: ModelName::new(requested.into_owned()),
            include_usage: wants_usage.unwrap_or(false),
            names: draft.names,
        },
    })
}
