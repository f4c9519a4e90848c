//! The assistant's turns: text, calls, and reasoning that its maker signed.

use std::borrow::Cow;

use bytes::BufMut;

use crate::dialect::anthropic::signature::{Carried, Signer};
use crate::dialect::raw::{Raw, escape, is_blank, put_string};
use crate::pipeline::translate::dropped::Place;
use crate::pipeline::translate::names::upstream_id;
use crate::pipeline::translate::request::conversation::{Content, Role, Turn};
use crate::pipeline::translate::request::parts::{Block, Mark, refuse_block};
use crate::pipeline::translate::request::{Untranslatable, server_tools};
use crate::pipeline::translate::to_converse::Draft;
use crate::pipeline::translate::to_converse::messages::{self, ID_BYTES_MAX};

/// A call that wants a result.
pub(super) struct Call<'a> {
    pub(super) id: Cow<'a, str>,
    /// Where it stands: turn and block.
    pub(super) at: (usize, usize),
}

/// What consecutive turns of the assistant come to.
#[derive(Default)]
struct Answer<'a> {
    /// The blocks, each with its mark.
    blocks: Vec<(Vec<u8>, Option<Mark>)>,
    calls: Vec<Call<'a>>,
    /// Whether there is anything but reasoning.
    says_something: bool,
}

/// Writes consecutive turns of the assistant as one message and returns its calls.
pub(super) fn put<'a>(draft: &mut Draft, turns: &[Turn<'a>]) -> Result<Vec<Call<'a>>, Untranslatable> {
    let mut answer = Answer::default();
    let messages = Place::Body.member("messages");
    for turn in turns {
        let message = messages.element(turn.index);
        let place = message.member("content");
        match &turn.content {
            Content::Text(text) => answer.add_text(text, None),
            Content::Blocks(blocks) => {
                for (index, block) in blocks.iter().enumerate() {
                    answer.add(draft, place.element(index), block, (turn.index, index))?;
                }
            }
        }
    }
    if !answer.says_something {
        if let Some(turn) = turns.last().filter(|_| !answer.blocks.is_empty()) {
            let reason = "reasoning alone is no answer";
            draft.losses.loss(messages.element(turn.index), reason);
        }
        return Ok(answer.calls);
    }
    messages::open(draft, Role::Assistant)?;
    for (json, mark) in answer.blocks {
        draft.separate();
        draft.out.put_slice(&json);
        draft.put_mark(mark);
    }
    Ok(answer.calls)
}

impl<'a> Answer<'a> {
    fn add(
        &mut self,
        draft: &mut Draft,
        place: Place<'_>,
        block: &Block<'a>,
        at: (usize, usize),
    ) -> Result<(), Untranslatable> {
        match block.kind.as_ref() {
            "text" => {
                self.add_text(block.text(place, "text")?.unwrap_or_default(), block.mark());
                draft.losses.unread(place, &block.members, &["type", "text"]);
            }
            "thinking" => self.add_thinking(draft, place, block),
            "redacted_thinking" => draft.losses.loss(place, "only its maker can read it"),
            "tool_use" => self.add_call(draft, place, block, at)?,
            "fallback" => draft.losses.hint(place, "unknown to the upstream"),
            kind => {
                let told = server_tools::tell(block).ok_or_else(|| refuse_block(place, kind))?;
                draft.losses.loss(place, "kept as plain text");
                self.add_text(&told, block.mark());
            }
        }
        Ok(())
    }

    fn add_text(&mut self, escaped: &str, mark: Option<Mark>) {
        if !is_blank(escaped) {
            self.says_something = true;
            self.blocks
                .push((format!(r#"{{"text":"{escaped}"}}"#).into_bytes(), mark));
        }
    }

    /// Reasoning goes back as it came, where it came from Bedrock and its maker signed it: nobody takes
    /// any other back.
    fn add_thinking(&mut self, draft: &mut Draft, place: Place<'_>, block: &Block<'a>) {
        let text = block.members.get("thinking").and_then(Raw::escaped);
        let text = text.unwrap_or_default();
        let signature = block.members.string("signature").unwrap_or_default();
        let carried = Carried::open(&signature).filter(|carried| carried.signer == Signer::Converse);
        let mut json = Vec::new();
        match carried.map(|carried| (carried.redacted, carried.own, carried.hidden)) {
            Some((Some(data), ..)) => {
                json.put_slice(br#"{"reasoningContent":{"redactedContent":"#);
                put_string(&mut json, &data);
            }
            Some((None, Some(own), hidden)) => {
                let hidden = hidden.filter(|_| is_blank(text)).map(|hidden| escape(&hidden));
                json.put_slice(br#"{"reasoningContent":{"reasoningText":{"text":""#);
                json.put_slice(hidden.as_deref().unwrap_or(text).as_bytes());
                json.put_slice(br#"","signature":"#);
                put_string(&mut json, &own);
                json.put_u8(b'}');
            }
            _ => {
                if !is_blank(text) {
                    draft
                        .losses
                        .loss(place, "the upstream takes no such thinking back");
                }
                return;
            }
        }
        json.put_slice(b"}}");
        self.blocks.push((json, None));
        let read = ["type", "thinking", "signature"];
        draft.losses.unread(place, &block.members, &read);
    }

    fn add_call(
        &mut self,
        draft: &mut Draft,
        place: Place<'_>,
        block: &Block<'a>,
        at: (usize, usize),
    ) -> Result<(), Untranslatable> {
        let (id, name) = block.id_and_name(place)?;
        let input = block.input(place)?;
        let mut json = Vec::new();
        json.put_slice(br#"{"toolUse":{"toolUseId":"#);
        put_string(&mut json, &upstream_id(&id, ID_BYTES_MAX));
        json.put_slice(br#","name":"#);
        put_string(&mut json, draft.names.sent(&name));
        json.put_slice(br#","input":"#);
        json.put_slice(input.as_bytes());
        json.put_slice(b"}}");
        self.blocks.push((json, block.mark()));
        self.says_something = true;
        self.calls.push(Call { id, at });
        let read = ["type", "id", "name", "input"];
        draft.losses.unread(place, &block.members, &read);
        Ok(())
    }
}
