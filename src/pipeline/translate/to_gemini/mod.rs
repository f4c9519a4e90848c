//! Messages requests to Gemini's `generateContent`.
//!
//! Values are copied as they are written, so equal conversations give equal prefixes. Signatures that
//! Gemini gave come back at the parts that they came with; results stand in the order of their calls.

mod contents;
mod model;
mod parameters;
mod schema;
mod tools;

use bytes::{BufMut, Bytes};

use crate::dialect::gemini::generation::Generation;
use crate::dialect::raw::put_string;
use crate::pipeline::translate::answer::context::AnswerContext;
use crate::pipeline::translate::answer::tally;
use crate::pipeline::translate::dropped::{Dropped, Losses};
use crate::pipeline::translate::names::Names;
use crate::pipeline::translate::request::read::Read;
use crate::pipeline::translate::request::{TranslatedRequest, Untranslatable};
use crate::types::ids::ModelName;

/// What the parts of a translation share.
struct Draft {
    generation: Generation,
    losses: Losses,
    names: Names,
    out: Vec<u8>,
    /// Bytes in `out` that are no text for the model (pictures), and what they cost instead.
    opaque_bytes: usize,
    images: u64,
    /// Whether the content written last is a user's.
    users_turn: bool,
}

impl Draft {
    /// Begins an element or a member: writes the comma that it needs.
    fn separate(&mut self) {
        if !matches!(self.out.last(), Some(b'{' | b'[')) {
            self.out.put_u8(b',');
        }
    }

    /// Writes the key of a member.
    fn key(&mut self, name: &str) {
        self.separate();
        put_string(&mut self.out, name);
        self.out.put_u8(b':');
    }

    /// About how many tokens the request is.
    fn input_tokens(&self) -> u64 {
        let text = tally::size(self.out.len().saturating_sub(self.opaque_bytes));
        tally::request(text, self.images)
    }
}

/// Translates a Messages request into `generateContent` of `upstream_model`; whether it streams is told
/// by the path, not by the body.
///
/// # Errors
/// [`Untranslatable`] where the meaning would change, or the body is no Messages request.
pub fn messages_to_gemini(
    body: &[u8],
    upstream_model: &ModelName,
) -> Result<TranslatedRequest, Untranslatable> {
    let read = Read::of(body)?;
    let mut draft = draft(body, upstream_model, &read);
    draft.out.put_u8(b'{');
    let asked = parameters::put(&mut draft, &read)?;
    put_prompt(&mut draft, &read)?;
    draft.out.put_u8(b'}');
    let answer = AnswerContext {
        requested_model: read.model,
        input_tokens: draft.input_tokens(),
        names: draft.names,
        stop_sequences: asked.stop_sequences,
        watched: asked.watched,
        reasoning_in: None,
        hide_thinking: asked.hide_thinking,
        keep_hidden: false,
    };
    Ok(TranslatedRequest {
        body: draft.out.into(),
        dropped: draft.losses.into_list(),
        answer,
    })
}

/// Translates a request to count tokens into `countTokens` of `upstream_model`.
///
/// # Errors
/// As [`messages_to_gemini`].
pub fn count_to_gemini(
    body: &[u8],
    upstream_model: &ModelName,
) -> Result<(Bytes, Vec<Dropped>), Untranslatable> {
    let read = Read::of(body)?;
    let mut draft = draft(body, upstream_model, &read);
    draft.out.put_slice(br#"{"generateContentRequest":{"model":"#);
    put_string(&mut draft.out, &format!("models/{}", upstream_model.as_str()));
    parameters::refuse_foreign(&read.request)?;
    put_prompt(&mut draft, &read)?;
    draft.out.put_slice(b"}}");
    Ok((draft.out.into(), draft.losses.into_list()))
}

fn draft(body: &[u8], upstream_model: &ModelName, read: &Read<'_>) -> Draft {
    Draft {
        generation: Generation::of(upstream_model.as_str()),
        losses: Losses::default(),
        names: Names::for_gemini(read.tool_names()),
        out: Vec::with_capacity(body.len() + 512),
        opaque_bytes: 0,
        images: 0,
        users_turn: false,
    }
}

/// Writes what the model reads.
fn put_prompt(draft: &mut Draft, read: &Read<'_>) -> Result<(), Untranslatable> {
    contents::put_system(draft, read)?;
    tools::put(draft, read)?;
    contents::put(draft, &read.conversation)
}

#[cfg(test)]
mod tests;
