//! Turns in the order that Messages demand: users and assistants in turn, and the results of an
//! assistant's calls first in the turn behind it.

use std::borrow::Cow;

use bytes::BufMut;

use crate::dialect::raw::{Raw, is_blank, put_string, unescape};
use crate::pipeline::translate::dropped::{Losses, Place};
use crate::pipeline::translate::names::Names;
use crate::pipeline::translate::request::{Untranslatable, refuse};
use crate::pipeline::translate::to_messages::{Draft, blocks};

/// What an assistant's turn gets for a call that nobody answered.
const NO_RESULT: &str = "(no result)";

/// What a conversation begins with that begins with an answer.
const OPENING: &str = "(the conversation goes on)";

/// A turn in the making; its blocks stand with a comma before each.
#[derive(Default)]
struct Turn {
    is_assistant: bool,
    /// Results of calls, which stand before everything else.
    results: Vec<u8>,
    blocks: Vec<u8>,
}

impl Turn {
    fn is_empty(&self) -> bool {
        self.results.is_empty() && self.blocks.is_empty()
    }
}

/// The turns in the making.
#[derive(Default)]
pub(crate) struct Turns {
    /// None of them is empty, and the sides take turns; so they do with the one in the making.
    done: Vec<Turn>,
    current: Turn,
    /// Calls of the last assistant's turn that nobody has answered yet.
    open_calls: Vec<String>,
}

impl Turns {
    /// The blocks of what the user says next.
    pub(crate) fn user(&mut self) -> &mut Vec<u8> {
        &mut self.turn(false).blocks
    }

    /// The blocks of what the assistant says next.
    pub(crate) fn assistant(&mut self) -> &mut Vec<u8> {
        &mut self.turn(true).blocks
    }

    /// Whether the assistant has the word.
    pub(crate) const fn is_assistants(&self) -> bool {
        self.current.is_assistant
    }

    /// The turn of this side: the one in the making, or a new one.
    fn turn(&mut self, is_assistant: bool) -> &mut Turn {
        if self.current.is_assistant != is_assistant {
            self.turn_of_other_side();
        }
        &mut self.current
    }

    /// Changes sides. A turn in which nothing was said is none: the one before it goes on.
    fn turn_of_other_side(&mut self) {
        let is_assistant = !self.current.is_assistant;
        let resumed = if self.current.is_empty() {
            self.done.pop()
        } else {
            None
        };
        let next = resumed.unwrap_or(Turn {
            is_assistant,
            ..Turn::default()
        });
        let before = std::mem::replace(&mut self.current, next);
        if !before.is_empty() {
            self.done.push(before);
        }
    }

    /// Adds a system message amid the conversation: its place is kept, its rank is told in words.
    pub(crate) fn late_system(&mut self, losses: &mut Losses, place: Place<'_>, said: &[u8]) {
        losses.loss(
            place.member("role"),
            "told by the user, marked as a system message",
        );
        let blocks = self.user();
        blocks::put_text(blocks, "<system-reminder>", None);
        blocks.put_slice(said);
        blocks::put_text(blocks, "</system-reminder>", None);
    }

    /// Adds a call of the assistant, with this JSON as its input.
    pub(crate) fn call(&mut self, names: &Names, id: String, name: &str, input: &str) {
        let blocks = self.assistant();
        blocks.put_slice(br#",{"type":"tool_use","id":"#);
        put_string(blocks, &id);
        blocks.put_slice(br#","name":"#);
        put_string(blocks, names.sent(name));
        blocks.put_slice(br#","input":"#);
        blocks.put_slice(input.as_bytes());
        blocks.put_u8(b'}');
        self.open_calls.push(id);
    }

    /// Adds the result of a call; one that answers no call is said by the user.
    pub(crate) fn result(&mut self, losses: &mut Losses, place: Place<'_>, id: &str, said: &[u8]) {
        let Some(known) = self.open_calls.iter().position(|open| open == id) else {
            losses.loss(place, "no call has this id: sent as text");
            self.user().put_slice(said);
            return;
        };
        self.open_calls.remove(known);
        let results = &mut self.turn(false).results;
        put_result_head(results, id);
        results.put_slice(b"[");
        results.put_slice(said.get(1..).unwrap_or_default());
        results.put_slice(b"]}");
    }

    /// Gives every call that nobody answered a result: without one the upstream refuses the request.
    pub(crate) fn answer_open_calls(&mut self, losses: &mut Losses, place: Place<'_>) {
        for id in std::mem::take(&mut self.open_calls) {
            losses.loss(place, "a call before this place has no result");
            let results = &mut self.turn(false).results;
            put_result_head(results, &id);
            put_string(results, NO_RESULT);
            results.put_u8(b'}');
        }
    }

    /// Writes the turns, which came from this place.
    ///
    /// # Errors
    /// Nothing was said at all.
    pub(crate) fn put(mut self, draft: &mut Draft<'_>, listed: Place<'_>) -> Result<(), Untranslatable> {
        self.answer_open_calls(&mut draft.losses, listed);
        if !self.current.is_empty() {
            self.done.push(self.current);
        }
        let Some(first) = self.done.first() else {
            return Err(refuse(listed, "a message with content is wanted"));
        };
        draft.key("messages");
        draft.out.put_u8(b'[');
        if first.is_assistant {
            draft
                .losses
                .hint(listed, "the upstream wants a user's message first");
            draft.out.put_slice(br#"{"role":"user","content":"#);
            put_string(&mut draft.out, OPENING);
            draft.out.put_slice(b"},");
        }
        for (index, turn) in self.done.iter().enumerate() {
            if index > 0 {
                draft.out.put_u8(b',');
            }
            let role = if turn.is_assistant { "assistant" } else { "user" };
            draft.out.put_slice(br#"{"role":"#);
            put_string(&mut draft.out, role);
            draft.out.put_slice(br#","content":["#);
            let blocks = [turn.results.as_slice(), turn.blocks.as_slice()].concat();
            draft.out.put_slice(blocks.get(1..).unwrap_or_default());
            draft.out.put_slice(b"]}");
        }
        draft.out.put_u8(b']');
        Ok(())
    }
}

fn put_result_head(out: &mut Vec<u8>, id: &str) {
    out.put_slice(br#",{"type":"tool_result","tool_use_id":"#);
    put_string(out, id);
    out.put_slice(br#","content":"#);
}

/// The input of a call whose arguments are JSON in a string.
pub(crate) fn input_of<'a>(
    losses: &mut Losses,
    place: Place<'_>,
    arguments: Option<Raw<'a>>,
) -> Cow<'a, str> {
    let text = arguments.and_then(Raw::escaped).unwrap_or_default();
    let text = unescape(text).unwrap_or(Cow::Borrowed(text));
    if is_blank(&text) {
        return Cow::Borrowed("{}");
    }
    if Raw::read(&text).is_some_and(|input| input.text().starts_with('{')) {
        return text;
    }
    losses.loss(place, "arguments that are no JSON object are wrapped in one");
    let mut wrapped = Vec::with_capacity(text.len() + 32);
    wrapped.put_slice(br#"{"_raw_arguments":"#);
    put_string(&mut wrapped, &text);
    wrapped.put_u8(b'}');
    String::from_utf8(wrapped).map_or(Cow::Borrowed("{}"), Cow::Owned)
}
