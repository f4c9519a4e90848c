//! The model's turns: text, thoughts, calls, and the signatures that came with them.

use std::borrow::Cow;

use bytes::BufMut;

use crate::dialect::anthropic::signature::{Carried, Signer};
use crate::dialect::raw::{Raw, is_blank, put_string};
use crate::pipeline::translate::dropped::Place;
use crate::pipeline::translate::request::conversation::{Content, Turn};
use crate::pipeline::translate::request::parts::{Block, refuse_block};
use crate::pipeline::translate::request::{Untranslatable, server_tools};
use crate::pipeline::translate::to_gemini::Draft;

/// The signature that Gemini takes for a call that another model made, as its documentation says.
const UNSIGNED_CALL: &str = "skip_thought_signature_validator";

/// A call that wants a result.
pub(super) struct Call<'a> {
    pub(super) id: Cow<'a, str>,
    pub(super) name: Cow<'a, str>,
    /// Where it stands: turn and block.
    pub(super) at: (usize, usize),
}

/// A part on its way, still open for its signature.
struct Pending {
    /// The JSON without the brace that closes it.
    json: Vec<u8>,
    kind: Kind,
    signature: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thought,
    Call,
}

/// What consecutive turns of the model come to.
#[derive(Default)]
struct Answer<'a> {
    parts: Vec<Pending>,
    calls: Vec<Call<'a>>,
    /// The signature of the part that comes next.
    next: Option<String>,
}

/// Writes consecutive turns of the model as one content and returns its calls.
pub(super) fn put<'a>(draft: &mut Draft, turns: &[Turn<'a>]) -> Result<Vec<Call<'a>>, Untranslatable> {
    let mut answer = Answer::default();
    let messages = Place::Body.member("messages");
    for turn in turns {
        let message = messages.element(turn.index);
        let place = message.member("content");
        match &turn.content {
            Content::Text(text) => answer.add_text(text),
            Content::Blocks(blocks) => {
                for (index, block) in blocks.iter().enumerate() {
                    answer.add(draft, place.element(index), block, (turn.index, index))?;
                }
            }
        }
    }
    answer.put(draft);
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
                self.add_text(block.text(place, "text")?.unwrap_or_default());
                draft.losses.unread(place, &block.members, &["type", "text"]);
            }
            "thinking" => self.add_thinking(draft, place, block),
            "redacted_thinking" => draft.losses.loss(place, "only its maker can read it"),
            "tool_use" => self.add_call(draft, place, block, at)?,
            "fallback" => draft.losses.hint(place, "unknown to the upstream"),
            kind => {
                let told = server_tools::tell(block).ok_or_else(|| refuse_block(place, kind))?;
                draft.losses.loss(place, "kept as plain text");
                self.add_text(&told);
            }
        }
        Ok(())
    }

    fn add_text(&mut self, escaped: &str) {
        if !is_blank(escaped) {
            self.push(Kind::Text, text_json(escaped));
        }
    }

    fn push(&mut self, kind: Kind, json: Vec<u8>) {
        let signature = if kind == Kind::Thought {
            None
        } else {
            self.next.take()
        };
        self.parts.push(Pending {
            json,
            kind,
            signature,
        });
    }

    /// Thoughts go back with the signatures that they carry; those of other vendors' models don't.
    fn add_thinking(&mut self, draft: &mut Draft, place: Place<'_>, block: &Block<'a>) {
        let thinking = block.members.get("thinking").and_then(Raw::escaped);
        let text = thinking.unwrap_or_default();
        let signature = block.members.string("signature").unwrap_or_default();
        let carried = Carried::open(&signature).filter(|carried| carried.signer == Signer::Gemini);
        let Some(carried) = carried else {
            if !is_blank(text) {
                draft.losses.loss(place, "thinking of another vendor's model");
            }
            return;
        };
        let before = self.parts.iter_mut().rfind(|part| part.kind == Kind::Text);
        if let (Some(text), Some(prior)) = (before, carried.prior) {
            text.signature.get_or_insert(prior);
        }
        if !is_blank(text) || carried.own.is_some() {
            let mut json = text_json(text);
            json.put_slice(br#","thought":true"#);
            self.push(Kind::Thought, json);
            if let Some(part) = self.parts.last_mut() {
                part.signature = carried.own;
            }
        }
        self.next = carried.next;
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
        let arguments = block.input(place)?;
        let mut json = Vec::new();
        json.put_slice(br#"{"functionCall":{"id":"#);
        put_string(&mut json, &id);
        json.put_slice(br#","name":"#);
        put_string(&mut json, draft.names.sent(&name));
        json.put_slice(br#","args":"#);
        json.put_slice(arguments.as_bytes());
        json.put_u8(b'}');
        self.push(Kind::Call, json);
        self.calls.push(Call { id, name, at });
        let read = ["type", "id", "name", "input"];
        draft.losses.unread(place, &block.members, &read);
        Ok(())
    }

    /// Writes the content; nothing at all where nothing is left.
    fn put(&mut self, draft: &mut Draft) {
        if self.parts.is_empty() {
            return;
        }
        let first_call = self.parts.iter_mut().find(|part| part.kind == Kind::Call);
        if let Some(call) = first_call.filter(|_| draft.generation.signs_calls()) {
            call.signature.get_or_insert_with(|| UNSIGNED_CALL.to_owned());
        }
        draft.users_turn = false;
        draft.separate();
        draft.out.put_slice(br#"{"role":"model","parts":["#);
        for part in &self.parts {
            draft.separate();
            draft.out.put_slice(&part.json);
            if let Some(signature) = &part.signature {
                draft.out.put_slice(br#","thoughtSignature":"#);
                put_string(&mut draft.out, signature);
            }
            draft.out.put_u8(b'}');
        }
        draft.out.put_slice(b"]}");
    }
}

fn text_json(escaped: &str) -> Vec<u8> {
    let mut json = Vec::with_capacity(escaped.len() + 16);
    json.put_slice(br#"{"text":""#);
    json.put_slice(escaped.as_bytes());
    json.put_u8(b'"');
    json
}
