//! Messages requests to Bedrock's `Converse`.
//!
//! Values are copied as they are written, so equal conversations give equal prefixes. Roles alternate
//! strictly, results stand in the order of their calls, and marks for the cache become cache points behind
//! what they mark.

mod assistant;
mod media;
mod messages;
mod parameters;
mod tools;

use std::collections::HashSet;

use bytes::BufMut;

use crate::dialect::converse::maker::{Cache, Maker};
use crate::dialect::raw::put_string;
use crate::pipeline::translate::answer::context::AnswerContext;
use crate::pipeline::translate::answer::tally;
use crate::pipeline::translate::dropped::Losses;
use crate::pipeline::translate::names::Names;
use crate::pipeline::translate::request::conversation::Role;
use crate::pipeline::translate::request::parts::Mark;
use crate::pipeline::translate::request::read::Read;
use crate::pipeline::translate::request::{TranslatedRequest, Untranslatable};
use crate::types::ids::ModelName;

/// What the parts of a translation share.
struct Draft {
    maker: Maker,
    losses: Losses,
    names: Names,
    out: Vec<u8>,
    /// Bytes in `out` that are no text for the model (pictures), and what they cost instead.
    opaque_bytes: usize,
    images: u64,
    /// The message that is being written.
    open: Option<Open>,
    /// The names of documents so far; no two are equal.
    documents: HashSet<String>,
}

/// A message that is being written.
struct Open {
    role: Role,
    has_text: bool,
    has_document: bool,
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

    /// Writes an element that holds escaped text.
    fn put_text(&mut self, escaped: &str) {
        self.separate();
        self.out.put_slice(br#"{"text":""#);
        self.out.put_slice(escaped.as_bytes());
        self.out.put_slice(br#""}"#);
    }

    /// Writes a cache point behind what was written last, where that bears a mark and the model has such a
    /// cache.
    fn put_mark(&mut self, mark: Option<Mark>) {
        let Some(mark) = mark.filter(|_| self.maker.cache() != Cache::None) else {
            return;
        };
        self.separate();
        self.out.put_slice(br#"{"cachePoint":{"type":"default""#);
        if mark == Mark::Hour && self.maker.cache() == Cache::Everything {
            self.out.put_slice(br#","ttl":"1h""#);
        }
        self.out.put_slice(b"}}");
    }

    /// About how many tokens the request is.
    fn input_tokens(&self) -> u64 {
        let text = tally::size(self.out.len().saturating_sub(self.opaque_bytes));
        tally::request(text, self.images)
    }
}

/// Translates a Messages request into `Converse` of `upstream_model`; whether it streams is told by the
/// path, not by the body.
///
/// # Errors
/// [`Untranslatable`] where the meaning would change, or the body is no Messages request.
pub fn messages_to_converse(
    body: &[u8],
    upstream_model: &ModelName,
) -> Result<TranslatedRequest, Untranslatable> {
    let read = Read::of(body)?;
    let maker = Maker::of(upstream_model.as_str());
    let mut draft = Draft {
        maker,
        losses: Losses::new(maker.cache() != Cache::None),
        names: Names::of(read.tool_names()),
        out: Vec::with_capacity(body.len() + 512),
        opaque_bytes: 0,
        images: 0,
        open: None,
        documents: HashSet::new(),
    };
    draft.out.put_u8(b'{');
    let asked = parameters::put(&mut draft, &read)?;
    messages::put_system(&mut draft, &read)?;
    tools::put(&mut draft, &read)?;
    messages::put(&mut draft, &read.conversation)?;
    draft.out.put_u8(b'}');
    let answer = AnswerContext {
        requested_model: read.model,
        input_tokens: draft.input_tokens(),
        names: draft.names,
        stop_sequences: asked.stop_sequences,
        watched: asked.watched,
        reasoning_in: None,
        hide_thinking: asked.hide_thinking,
        // Signed reasoning goes back with its text.
        keep_hidden: true,
    };
    Ok(TranslatedRequest {
        body: draft.out.into(),
        dropped: draft.losses.into_list(),
        answer,
    })
}

#[cfg(test)]
mod tests;
