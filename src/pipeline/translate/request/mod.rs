//! Messages requests to chat completions.
//!
//! Values are copied as they are written (texts keep their escapes, schemas and inputs every byte but
//! white space), so equal conversations give equal prefixes and the upstream's prompt cache works.

pub(crate) mod assistant;
pub(crate) mod conversation;
pub(crate) mod others;
pub(crate) mod parameters;
pub(crate) mod parts;
pub(crate) mod read;
pub(crate) mod results;
pub(crate) mod server_tools;
mod thinking;
pub(crate) mod tools;

use bytes::{BufMut, Bytes};

use crate::dialect::openai::profile::ChatProfile;
use crate::dialect::raw::{Members, put_string};
use crate::pipeline::translate::answer::context::AnswerContext;
use crate::pipeline::translate::answer::tally;
use crate::pipeline::translate::dropped::{Dropped, Losses, Place};
use crate::pipeline::translate::names::Names;
use crate::pipeline::translate::request::read::Read;
use crate::types::ids::ModelName;

/// A request that the upstream understands.
#[derive(Debug)]
pub struct TranslatedRequest {
    /// The body to send.
    pub body: Bytes,
    /// What the translation lost.
    pub dropped: Vec<Dropped>,
    /// What the way back needs to know.
    pub answer: AnswerContext,
}

/// The request cannot be put into the upstream's words without changing its meaning. It becomes a 400
/// `invalid_request_error` for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct Untranslatable {
    place: String,
    problem: String,
}

impl Untranslatable {
    /// The text for the client; it names the field and what to do.
    pub fn client_text(&self) -> String {
        self.to_string()
    }
}

/// Refuses what stands at this place.
pub(crate) fn refuse(place: Place<'_>, problem: impl Into<String>) -> Untranslatable {
    Untranslatable {
        place: place.to_string(),
        problem: problem.into(),
    }
}

/// What the parts of a translation share.
struct Draft<'d> {
    profile: &'d ChatProfile,
    losses: Losses,
    names: Names,
    out: Vec<u8>,
    /// Whether the message written last is a tool's result.
    behind_result: bool,
    /// Bytes in `out` that are no text for the model (pictures), and what they cost instead.
    opaque_bytes: usize,
    images: u64,
}

impl Draft<'_> {
    /// Writes the key of a top-level member. `model` stands before all of them.
    fn key(&mut self, name: &str) {
        self.out.put_u8(b',');
        put_string(&mut self.out, name);
        self.out.put_u8(b':');
    }

    /// Whether the upstream refuses a parameter, under its Messages or its chat name.
    fn refuses(&self, name: &str, chat_name: &str) -> bool {
        self.profile
            .drop_params
            .iter()
            .any(|refused| refused == name || refused == chat_name)
    }

    /// Reports the members that nobody read.
    fn report_unread(&mut self, place: Place<'_>, members: &Members<'_>, read: &[&str]) {
        self.losses.unread(place, members, read);
    }

    /// About how many tokens the request is.
    fn input_tokens(&self) -> u64 {
        let text = tally::size(self.out.len().saturating_sub(self.opaque_bytes));
        tally::request(text, self.images)
    }
}

/// Translates a Messages request into a chat completion of `upstream_model`.
///
/// # Errors
/// [`Untranslatable`] where the meaning would change, or the body is no Messages request.
pub fn messages_to_chat(
    body: &[u8],
    upstream_model: &ModelName,
    profile: &ChatProfile,
) -> Result<TranslatedRequest, Untranslatable> {
    let read = Read::of(body)?;
    let request = &read.request;
    let mut draft = Draft {
        profile,
        losses: Losses::default(),
        names: Names::of(read.tool_names()),
        out: Vec::with_capacity(body.len() + 512),
        behind_result: false,
        opaque_bytes: 0,
        images: 0,
    };
    draft.out.put_slice(br#"{"model":"#);
    put_string(&mut draft.out, upstream_model.as_str());
    let asked = parameters::put(&mut draft, request)?;
    tools::put(&mut draft, request, &read.tools)?;
    conversation::put(&mut draft, request, &read.conversation, asked.thinking)?;
    draft.out.put_u8(b'}');

    let answer = AnswerContext {
        requested_model: read.model,
        input_tokens: draft.input_tokens(),
        names: draft.names,
        stop_sequences: asked.stop_sequences,
        watched: asked.watched,
        reasoning_in: profile.reasoning_in,
        hide_thinking: asked.hide_thinking,
        keep_hidden: profile.reasoning_out.is_some(),
    };
    Ok(TranslatedRequest {
        body: draft.out.into(),
        dropped: draft.losses.into_list(),
        answer,
    })
}

#[cfg(test)]
mod tests;
