//! Chat completions to Messages requests.
//!
//! The fields come in one order, messages last, and values are copied as they are written, so equal
//! conversations give equal prefixes and the upstream's prompt cache works.

mod model;
mod parameters;
mod parts;
mod schema;
mod tools;
mod turns;

use bytes::{BufMut, Bytes};

use crate::dialect::raw::{Members, put_string};
use crate::pipeline::translate::answer::openai::context::CompletionContext;
use crate::pipeline::translate::dropped::{Dropped, Losses, Place};
use crate::pipeline::translate::names::Names;
use crate::pipeline::translate::request::{Untranslatable, refuse};
use crate::types::ids::ModelName;

/// A request that a Messages upstream understands.
#[derive(Debug)]
pub struct MessagesRequest {
    /// The body to send.
    pub body: Bytes,
    /// What the translation lost.
    pub dropped: Vec<Dropped>,
    /// What the way back needs to know.
    pub answer: CompletionContext,
}

/// What the parts of a translation share.
struct Draft {
    losses: Losses,
    names: Names,
    out: Vec<u8>,
}

impl Draft {
    /// Writes the key of a top-level member. `model` stands before all of them.
    fn key(&mut self, name: &str) {
        self.out.put_u8(b',');
        put_string(&mut self.out, name);
        self.out.put_u8(b':');
    }
}

/// Translates a chat completion into a Messages request to `upstream_model`.
///
/// # Errors
/// [`Untranslatable`] where the meaning would change, or the body is no chat completion.
pub fn chat_to_messages(body: &[u8], upstream_model: &ModelName) -> Result<MessagesRequest, Untranslatable> {
    let whole = Place::Body;
    let text = std::str::from_utf8(body).map_err(|_| refuse(whole.member("body"), "is not UTF-8"))?;
    let request = Members::read(text).ok_or_else(|| refuse(whole.member("body"), "is not a JSON object"))?;
    let requested = request
        .string("model")
        .ok_or_else(|| refuse(whole.member("model"), "a string is wanted"))?;
    let tools = tools::read(&request)?;
    let conversation = turns::read(&request)?;
    let names = tools
        .iter()
        .map(tools::Tool::name)
        .chain(conversation.tool_names());
    let mut draft = Draft {
        losses: Losses::default(),
        names: Names::of(names),
        out: Vec::with_capacity(body.len() + 512),
    };
    draft.out.put_slice(br#"{"model":"#);
    put_string(&mut draft.out, upstream_model.as_str());
    let asked = parameters::put(&mut draft, &request, upstream_model, conversation.may_think())?;
    turns::put_system(&mut draft, &conversation, asked.json_only)?;
    tools::put(&mut draft, &request, &tools, asked.is_thinking)?;
    turns::put_messages(&mut draft, &conversation)?;
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
