//! The messages of a chat completion, as turns.

use std::borrow::Cow;

use crate::dialect::raw::{Members, Raw};
use crate::pipeline::translate::dropped::Place;
use crate::pipeline::translate::from_chat::parts;
use crate::pipeline::translate::from_chat::reasoning::{has_signed_thinking, put_reasoning};
use crate::pipeline::translate::names::client_id;
use crate::pipeline::translate::request::{Untranslatable, refuse};
use crate::pipeline::translate::to_messages::turns::{Turns, input_of};
use crate::pipeline::translate::to_messages::{Draft, blocks};

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
    draft: &mut Draft<'_>,
    conversation: &Conversation<'_>,
    json_only: bool,
) -> Result<(), Untranslatable> {
    let mut said = Vec::new();
    let messages = Place::Body.member("messages");
    let leading = conversation.messages.iter().take(conversation.leading);
    for (index, message) in leading.enumerate() {
        if let Some(content) = message.members.get("content") {
            let place = messages.element(index);
            parts::put_blocks(&mut said, &mut draft.losses, place.member("content"), content)?;
        }
    }
    if json_only {
        blocks::put_text(&mut said, "Answer with one JSON object and nothing else.", None);
    }
    draft.put_system(&said);
    Ok(())
}

/// The walk over the messages.
#[derive(Default)]
struct Walk {
    turns: Turns,
    /// How many calls without an id there were (`function_call` of older clients).
    legacy_calls: usize,
}

/// Writes the messages.
pub(super) fn put_messages(
    draft: &mut Draft<'_>,
    conversation: &Conversation<'_>,
) -> Result<(), Untranslatable> {
    let mut walk = Walk::default();
    let listed = Place::Body.member("messages");
    let messages = conversation.messages.iter().enumerate();
    for (index, message) in messages.skip(conversation.leading) {
        let place = listed.element(index);
        match message.role {
            Role::System => walk.late_system(draft, place, &message.members)?,
            Role::User => walk.user(draft, place, &message.members)?,
            Role::Tool => walk.result(draft, place, &message.members)?,
            Role::Assistant => walk.assistant(draft, place, &message.members)?,
        }
    }
    walk.turns.put(draft, listed)
}

impl Walk {
    fn late_system(
        &mut self,
        draft: &mut Draft<'_>,
        place: Place<'_>,
        message: &Members<'_>,
    ) -> Result<(), Untranslatable> {
        let Some(content) = message.get("content") else {
            return Ok(());
        };
        let mut said = Vec::new();
        parts::put_blocks(&mut said, &mut draft.losses, place.member("content"), content)?;
        self.turns.late_system(&mut draft.losses, place, &said);
        Ok(())
    }

    fn user(
        &mut self,
        draft: &mut Draft<'_>,
        place: Place<'_>,
        message: &Members<'_>,
    ) -> Result<(), Untranslatable> {
        let Some(content) = message.get("content") else {
            return Ok(());
        };
        if message.get("name").is_some() {
            draft.losses.hint(place.member("name"), "unknown to Messages");
        }
        parts::put_blocks(
            self.turns.user(),
            &mut draft.losses,
            place.member("content"),
            content,
        )
    }

    fn result(
        &mut self,
        draft: &mut Draft<'_>,
        place: Place<'_>,
        message: &Members<'_>,
    ) -> Result<(), Untranslatable> {
        let given = message.string("tool_call_id");
        let id = given.map_or_else(|| legacy_id(self.legacy_calls), |id| client_id(&id).into_owned());
        let mut said = Vec::new();
        if let Some(content) = message.get("content") {
            parts::put_blocks(&mut said, &mut draft.losses, place.member("content"), content)?;
        }
        self.turns
            .result(&mut draft.losses, place.member("tool_call_id"), &id, &said);
        Ok(())
    }

    fn assistant(
        &mut self,
        draft: &mut Draft<'_>,
        place: Place<'_>,
        message: &Members<'_>,
    ) -> Result<(), Untranslatable> {
        self.turns.answer_open_calls(&mut draft.losses, place);
        let blocks = self.turns.assistant();
        put_reasoning(blocks, &mut draft.losses, place, message);
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
            let input = input_of(&mut draft.losses, place, call.function.get("arguments"));
            self.turns.call(&draft.names, id, &name, &input);
        }
        Ok(())
    }
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
