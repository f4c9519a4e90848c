//! Requests of the Responses API to Messages requests.
//!
//! What the API would keep (`previous_response_id`, `conversation`, references to items) was refused
//! before: a request holds its whole conversation.

mod content;
mod echo;
mod items;
mod parameters;
mod reasoning;
mod tools;

use bytes::BufMut;

use crate::pipeline::translate::answer::openai::context::ResponseContext;
use crate::pipeline::translate::request::Untranslatable;
use crate::pipeline::translate::to_messages::{self, Draft, MessagesRequest, Reader, read_request};
use crate::types::ids::ModelName;

/// Translates a request of the Responses API into a Messages request.
///
/// # Errors
/// [`Untranslatable`] where the meaning would change, or the body is no such request.
pub fn responses_to_messages(
    body: &[u8],
    reader: Reader<'_>,
) -> Result<MessagesRequest<ResponseContext>, Untranslatable> {
    let (request, requested) = read_request(body)?;
    let offered = tools::read(&request)?;
    let conversation = items::read(&request)?;
    let names = offered
        .tools
        .iter()
        .map(|tool| tool.name.clone())
        .chain(conversation.tool_names());
    let mut draft = Draft::new(reader, &requested, names, body.len());
    let asked = parameters::put(&mut draft, &request, conversation.may_think())?;
    items::put_system(&mut draft, &request, &conversation, asked.json_only)?;
    tools::report(&mut draft, &offered);
    to_messages::tools::put(&mut draft, &request, &offered.tools, asked.is_thinking)?;
    items::put_messages(&mut draft, &conversation)?;
    draft.out.put_u8(b'}');
    Ok(MessagesRequest {
        body: draft.out.into(),
        dropped: draft.losses.into_list(),
        answer: ResponseContext {
            requested_model: ModelName::new(requested.into_owned()),
            names: draft.names,
            kinds: offered.kinds,
            echo: echo::of(&request),
        },
    })
}
