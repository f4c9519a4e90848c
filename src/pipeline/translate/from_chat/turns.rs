//! The conversation, in the order that Messages demand: users and assistants in turn, and the results
//! of an assistant's calls first in the turn behind it.

use std::borrow::Cow;

use bytes::BufMut;

use crate::dialect::anthropic::signature;
use crate::dialect::raw::{Members, Raw, is_blank, put_string, unescape};
use crate::pipeline::translate::answer::openai::context::REASONING_FORMAT;
use crate::pipeline::translate::dropped::Place;
use crate::pipeline::translate::from_chat::{Draft, parts};
use crate::pipeline::translate::names::client_id;
use crate::pipeline::translate::request::{Untranslatable, refuse};

/// What an assistant's turn gets for a call that nobody answered.
const NO_RESULT: &str = "(no result)";

/// What a conversation begins with that begins with an answer.
const OPENING: &str = "(the conversation goes on)";

/// The messages of a request.
pub(super) struct Conversation<'a> {
    messages: Vec<Message<'a>>,
    /// How many of them are system messages before anything else.
    leading: usize,
}

struct Message<'a> {
    role: Role,
    members: Members<'a>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    System,
    User,
    Assistant,
    Tool,
}

impl<'a> Conversation<'a> {
    /// The names of all functions that were called.
    pub(super) fn tool_names(&self) -> impl Iterator<Item = Cow<'a, str>> {
        let calls = self
            .messages
            .iter()
            .flat_map(|message| calls_of(&message.members));
        calls.filter_map(|call| call.function.string("name"))
    }

    /// Whether a model with a budget may think: where it goes on from calls, it insists on the thinking
    /// before them.
    pub(super) fn may_think(&self) -> bool {
        let last = self
            .messages
            .iter()
            .rfind(|message| message.role == Role::Assistant);
        last.is_none_or(|last| calls_of(&last.members).is_empty() || has_signed_thinking(&last.members))
    }
}

/// Reads the messages of a request.
pub(super) fn read<'a>(request: &Members<'a>) -> Result<Conversation<'a>, Untranslatable> {
    let place = Place::Body.member("messages");
    let listed = request.get("messages").and_then(Raw::elements);
    let listed = listed.ok_or_else(|| refuse(place, "a list is wanted"))?;
    let read = |(index, message): (usize, Raw<'a>)| {
        let place = place.element(index);
        let members = message
            .members()
            .ok_or_else(|| refuse(place, "an object is wanted"))?;
        let role = match members.string("role").as_deref() {
            Some("system" | "developer") => Role::System,
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            Some("tool" | "function") => Role::Tool,
            _ => {
                let problem = "system, developer, user, assistant or tool is wanted";
                return Err(refuse(place.member("role"), problem));
            }
        };
        Ok(Message { role, members })
    };
    let messages: Vec<_> = listed
        .into_iter()
        .enumerate()
        .map(read)
        .collect::<Result<_, _>>()?;
    let is_system = |message: &Message<'_>| message.role == Role::System;
    let leading = messages.iter().position(|message| !is_system(message));
    Ok(Conversation {
        leading: leading.unwrap_or(messages.len()),
        messages,
    })
}

/// Writes the leading system messages as the system prompt.
pub(super) fn put_system(
    draft: &mut Draft,
    conversation: &Conversation<'_>,
    json_only: bool,
) -> Result<(), Untranslatable> {
    let mut blocks = Vec::new();
    let messages = Place::Body.member("messages");
    for (index, message) in conversation
        .messages
        .iter()
        .take(conversation.leading)
        .enumerate()
    {
        if let Some(content) = message.members.get("content") {
            let place = messages.element(index);
            parts::put_blocks(&mut blocks, &mut draft.losses, place.member("content"), content)?;
        }
    }
    if json_only {
        parts::put_text(&mut blocks, "Answer with one JSON object and nothing else.", None);
    }
    if let Some(blocks) = blocks.get(1..) {
        draft.key("system");
        draft.out.put_u8(b'[');
        draft.out.put_slice(blocks);
        draft.out.put_u8(b']');
    }
    Ok(())
}

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
struct Turns {
    /// None of them is empty, and the sides take turns; so they do with the one in the making.
    done: Vec<Turn>,
    current: Turn,
    /// Calls of the last assistant's turn that nobody has answered yet.
    open_calls: Vec<String>,
    /// How many calls without an id there were (`function_call` of older clients).
    legacy_calls: usize,
}

/// Writes the messages.
pub(super) fn put_messages(draft: &mut Draft, conversation: &Conversation<'_>) -> Result<(), Untranslatable> {
    let mut turns = Turns::default();
    let listed = Place::Body.member("messages");
    for (index, message) in conversation
        .messages
        .iter()
        .enumerate()
        .skip(conversation.leading)
    {
        let place = listed.element(index);
        match message.role {
            Role::System => turns.late_system(draft, place, &message.members)?,
            Role::User => turns.user(draft, place, &message.members)?,
            Role::Tool => turns.result(draft, place, &message.members)?,
            Role::Assistant => turns.assistant(draft, place, &message.members)?,
        }
    }
    turns.answer_open_calls(draft, listed);
    let turns = turns.finish();
    if turns.is_empty() {
        return Err(refuse(listed, "a message with content is wanted"));
    }
    draft.key("messages");
    draft.out.put_u8(b'[');
    if turns.first().is_some_and(|turn| turn.is_assistant) {
        draft
            .losses
            .hint(listed, "the upstream wants a user's message first");
        draft.out.put_slice(br#"{"role":"user","content":"#);
        put_string(&mut draft.out, OPENING);
        draft.out.put_slice(b"},");
    }
    for (index, turn) in turns.iter().enumerate() {
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

impl Turns {
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

    fn finish(mut self) -> Vec<Turn> {
        if !self.current.is_empty() {
            self.done.push(self.current);
        }
        self.done
    }

    /// A system message amid the conversation: its place is kept, its rank is told in words.
    fn late_system(
        &mut self,
        draft: &mut Draft,
        place: Place<'_>,
        message: &Members<'_>,
    ) -> Result<(), Untranslatable> {
        let Some(content) = message.get("content") else {
            return Ok(());
        };
        draft.losses.loss(
            place.member("role"),
            "told by the user, marked as a system message",
        );
        let blocks = &mut self.turn(false).blocks;
        parts::put_text(blocks, "<system-reminder>", None);
        parts::put_blocks(blocks, &mut draft.losses, place.member("content"), content)?;
        parts::put_text(blocks, "</system-reminder>", None);
        Ok(())
    }

    fn user(
        &mut self,
        draft: &mut Draft,
        place: Place<'_>,
        message: &Members<'_>,
    ) -> Result<(), Untranslatable> {
        let Some(content) = message.get("content") else {
            return Ok(());
        };
        if message.get("name").is_some() {
            draft.losses.hint(place.member("name"), "unknown to Messages");
        }
        let blocks = &mut self.turn(false).blocks;
        parts::put_blocks(blocks, &mut draft.losses, place.member("content"), content)
    }

    fn result(
        &mut self,
        draft: &mut Draft,
        place: Place<'_>,
        message: &Members<'_>,
    ) -> Result<(), Untranslatable> {
        let given = message.string("tool_call_id");
        let id = given.map_or_else(|| legacy_id(self.legacy_calls), |id| client_id(&id).into_owned());
        let content = message.get("content");
        let known = self.open_calls.iter().position(|open| *open == id);
        let mut blocks = Vec::new();
        if let Some(content) = content {
            parts::put_blocks(&mut blocks, &mut draft.losses, place.member("content"), content)?;
        }
        let Some(known) = known else {
            draft
                .losses
                .loss(place.member("tool_call_id"), "no call has this id: sent as text");
            self.turn(false).blocks.put_slice(&blocks);
            return Ok(());
        };
        self.open_calls.remove(known);
        let results = &mut self.turn(false).results;
        put_result_head(results, &id);
        results.put_slice(b"[");
        results.put_slice(blocks.get(1..).unwrap_or_default());
        results.put_slice(b"]}");
        Ok(())
    }

    fn assistant(
        &mut self,
        draft: &mut Draft,
        place: Place<'_>,
        message: &Members<'_>,
    ) -> Result<(), Untranslatable> {
        self.answer_open_calls(draft, place);
        put_reasoning(&mut self.turn(true).blocks, draft, place, message);
        let blocks = &mut self.turn(true).blocks;
        for key in ["content", "refusal"] {
            if let Some(content) = message.get(key) {
                parts::put_blocks(blocks, &mut draft.losses, place.member(key), content)?;
            }
        }
        if message.get("audio").is_some() {
            draft
                .losses
                .loss(place.member("audio"), "the upstream cannot hear what was said");
        }
        for call in calls_of(message) {
            let id = match &call.id {
                Some(id) => client_id(id).into_owned(),
                None => {
                    self.legacy_calls += 1;
                    legacy_id(self.legacy_calls)
                }
            };
            let name = call.function.string("name").unwrap_or_default();
            let place = place.member("tool_calls");
            if name.is_empty() {
                return Err(refuse(place, "every call wants the name of a function"));
            }
            let blocks = &mut self.current.blocks;
            blocks.put_slice(br#",{"type":"tool_use","id":"#);
            put_string(blocks, &id);
            blocks.put_slice(br#","name":"#);
            put_string(blocks, draft.names.sent(&name));
            blocks.put_slice(br#","input":"#);
            put_input(blocks, draft, place, call.function.get("arguments"));
            self.current.blocks.put_u8(b'}');
            self.open_calls.push(id);
        }
        Ok(())
    }

    /// Gives every call that nobody answered a result: without one the upstream refuses the request.
    fn answer_open_calls(&mut self, draft: &mut Draft, place: Place<'_>) {
        for id in std::mem::take(&mut self.open_calls) {
            draft.losses.loss(place, "a call before this place has no result");
            let results = &mut self.turn(false).results;
            put_result_head(results, &id);
            put_string(results, NO_RESULT);
            results.put_u8(b'}');
        }
    }
}

fn put_result_head(out: &mut Vec<u8>, id: &str) {
    out.put_slice(br#",{"type":"tool_result","tool_use_id":"#);
    put_string(out, id);
    out.put_slice(br#","content":"#);
}

fn legacy_id(nth: usize) -> String {
    format!("function_call_{nth}")
}

/// A call of a function.
struct Call<'a> {
    id: Option<Cow<'a, str>>,
    function: Members<'a>,
}

fn calls_of<'a>(message: &Members<'a>) -> Vec<Call<'a>> {
    let listed = message
        .get("tool_calls")
        .and_then(Raw::elements)
        .unwrap_or_default();
    let mut calls: Vec<_> = listed
        .into_iter()
        .filter_map(Raw::members)
        .map(|call| Call {
            id: Some(call.string("id").unwrap_or_default()),
            function: call.members("function").unwrap_or_default(),
        })
        .collect();
    let legacy = message.members("function_call");
    calls.extend(legacy.map(|function| Call { id: None, function }));
    calls
}

/// Writes a call's arguments, which are JSON in a string.
fn put_input(out: &mut Vec<u8>, draft: &mut Draft, place: Place<'_>, arguments: Option<Raw<'_>>) {
    let text = arguments.and_then(Raw::escaped).unwrap_or_default();
    let text = unescape(text).unwrap_or(Cow::Borrowed(text));
    match Raw::read(&text).filter(|input| input.text().starts_with('{')) {
        Some(input) => out.put_slice(input.text().as_bytes()),
        None if is_blank(&text) => out.put_slice(b"{}"),
        None => {
            draft
                .losses
                .loss(place, "arguments that are no JSON object are wrapped in one");
            out.put_slice(br#"{"_raw_arguments":"#);
            put_string(out, &text);
            out.put_u8(b'}');
        }
    }
}

/// A detail of thinking that Anthropic's models take back.
enum Detail<'a> {
    Signed(&'a str, Cow<'a, str>),
    Sealed(&'a str),
}

fn details_of<'a>(message: &Members<'a>) -> Vec<Detail<'a>> {
    let listed = message
        .get("reasoning_details")
        .and_then(Raw::elements)
        .unwrap_or_default();
    let ours = |detail: &Members<'a>| {
        detail
            .string("format")
            .is_some_and(|format| format == REASONING_FORMAT)
    };
    let listed = listed.into_iter().filter_map(Raw::members).filter(ours);
    let read = |detail: Members<'a>| {
        let signature = detail.string("signature");
        let signature = signature.filter(|signature| !signature::is_unsigned(signature));
        let data = detail.get("data").filter(|data| data.escaped().is_some());
        match (signature, data) {
            (Some(signature), _) => {
                let text = detail.get("text").and_then(Raw::escaped).unwrap_or_default();
                Some(Detail::Signed(text, signature))
            }
            (None, data) => data.map(|data| Detail::Sealed(data.text())),
        }
    };
    listed.filter_map(read).collect()
}

fn has_signed_thinking(message: &Members<'_>) -> bool {
    !details_of(message).is_empty()
}

/// Writes thinking that Anthropic signed; any other would be refused.
fn put_reasoning(out: &mut Vec<u8>, draft: &mut Draft, place: Place<'_>, message: &Members<'_>) {
    let details = details_of(message);
    let signed = !details.is_empty();
    for detail in details {
        match detail {
            Detail::Signed(text, signature) => {
                out.put_slice(br#",{"type":"thinking","thinking":""#);
                out.put_slice(text.as_bytes());
                out.put_slice(br#"","signature":"#);
                put_string(out, &signature);
            }
            Detail::Sealed(data) => {
                out.put_slice(br#",{"type":"redacted_thinking","data":"#);
                out.put_slice(data.as_bytes());
            }
        }
        out.put_u8(b'}');
    }
    let unsigned = ["reasoning_content", "reasoning", "reasoning_details"];
    for key in unsigned {
        let is_there = message
            .get(key)
            .is_some_and(|value| !matches!(value.text(), "\"\"" | "[]"));
        if is_there && !signed {
            draft
                .losses
                .loss(place.member(key), "thinking without a signature of the upstream");
        }
    }
}
