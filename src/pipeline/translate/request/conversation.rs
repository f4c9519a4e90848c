//! Messages, in the order that chat completions demand.
//!
//! A conversation is read as groups: assistant turns, then whatever follows them up to the next
//! assistant turn. The results of a group's calls go first, right behind the calls; everything else of
//! users keeps its order behind them.

use std::borrow::Cow;

use bytes::BufMut;

use crate::dialect::openai::profile::SystemMessages;
use crate::dialect::raw::{Members, Raw, is_blank, put_string};
use crate::pipeline::translate::dropped::{Losses, Place};
use crate::pipeline::translate::request::assistant::{self, Call};
use crate::pipeline::translate::request::parts::{self, Block, Part, join};
use crate::pipeline::translate::request::results::{self, Answered, Standing};
use crate::pipeline::translate::request::{Draft, Untranslatable, refuse};

/// What an assistant is made to say between a tool's result and a user, where the upstream wants it.
const ACKNOWLEDGED: &str = "Understood.";

/// The messages of a request.
pub(crate) struct Conversation<'a> {
    pub(crate) turns: Vec<Turn<'a>>,
}

/// One message.
pub(crate) struct Turn<'a> {
    pub(crate) index: usize,
    pub(crate) role: Role,
    pub(crate) members: Members<'a>,
    pub(crate) content: Content<'a>,
}

/// Who speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    User,
    Assistant,
    System,
}

/// The content of a message.
pub(crate) enum Content<'a> {
    /// A string, escaped.
    Text(&'a str),
    Blocks(Vec<Block<'a>>),
}

impl Turn<'_> {
    pub(crate) fn is_users(&self) -> bool {
        self.role == Role::User
    }
}

impl<'a> Conversation<'a> {
    /// The names of all tools that were called.
    pub(crate) fn tool_names(&self) -> impl Iterator<Item = Cow<'a, str>> {
        let blocks = self.turns.iter().filter_map(|turn| match &turn.content {
            Content::Blocks(blocks) => Some(blocks),
            Content::Text(_) => None,
        });
        let calls = blocks.flatten().filter(|block| block.kind == "tool_use");
        calls.filter_map(|block| block.members.string("name"))
    }

    /// The turns in groups.
    pub(crate) fn groups(&self) -> impl Iterator<Item = Group<'_, 'a>> {
        let mut rest = self.turns.as_slice();
        std::iter::from_fn(move || {
            let (answer, behind) = split(rest, |turn| turn.role == Role::Assistant);
            let (others, behind) = split(behind, |turn| turn.role != Role::Assistant);
            let is_some = !rest.is_empty();
            rest = behind;
            is_some.then_some(Group { answer, others })
        })
    }
}

/// Turns of the assistant, and what follows them up to its next turn; either may be empty.
pub(crate) struct Group<'t, 'a> {
    pub(crate) answer: &'t [Turn<'a>],
    pub(crate) others: &'t [Turn<'a>],
}

/// The turns up to the first that does not fit, and the rest.
fn split<'t, 'a>(
    turns: &'t [Turn<'a>],
    fits: impl Fn(&Turn<'a>) -> bool,
) -> (&'t [Turn<'a>], &'t [Turn<'a>]) {
    let end = turns.iter().position(|turn| !fits(turn)).unwrap_or(turns.len());
    turns.split_at(end)
}

/// Reads the messages of a request.
pub(crate) fn read<'a>(request: &Members<'a>) -> Result<Conversation<'a>, Untranslatable> {
    let place = Place::Body.member("messages");
    let listed = request.get("messages").and_then(Raw::elements);
    let listed = listed.ok_or_else(|| refuse(place, "a list is wanted"))?;
    let turns = listed
        .into_iter()
        .enumerate()
        .map(|(index, message)| read_turn(place.element(index), index, message));
    Ok(Conversation {
        turns: turns.collect::<Result<_, _>>()?,
    })
}

fn read_turn<'a>(place: Place<'_>, index: usize, message: Raw<'a>) -> Result<Turn<'a>, Untranslatable> {
    let members = message
        .members()
        .ok_or_else(|| refuse(place, "an object is wanted"))?;
    let role = match members.string("role").as_deref() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system" | "developer") => Role::System,
        _ => {
            return Err(refuse(
                place.member("role"),
                "user, assistant or system is wanted",
            ));
        }
    };
    let place = place.member("content");
    let content = members
        .get("content")
        .ok_or_else(|| refuse(place, "a string or a list is wanted"))?;
    let content = match content.escaped() {
        Some(text) => Content::Text(text),
        None => Content::Blocks(Block::read_all(place, content)?),
    };
    Ok(Turn {
        index,
        role,
        members,
        content,
    })
}

/// Writes the messages.
pub(super) fn put(
    draft: &mut Draft<'_>,
    request: &Members<'_>,
    conversation: &Conversation<'_>,
    thinking_is_on: bool,
) -> Result<(), Untranslatable> {
    draft.key("messages");
    draft.out.put_u8(b'[');
    put_leading_system(draft, request, &conversation.turns)?;
    for turn in &conversation.turns {
        let messages = Place::Body.member("messages");
        draft.report_unread(messages.element(turn.index), &turn.members, &["role", "content"]);
    }
    for Group { answer, others } in conversation.groups() {
        let calls = assistant::put(draft, answer, thinking_is_on)?;
        if others.is_empty() && calls.is_empty() {
            let last = answer.last().map_or(0, |turn| turn.index);
            let messages = Place::Body.member("messages");
            draft.losses.loss(
                messages.element(last),
                "the upstream may begin anew instead of going on",
            );
        }
        put_others(draft, others, &calls)?;
    }
    if draft.out.ends_with(b"[") {
        return Err(refuse(
            Place::Body.member("messages"),
            "at least one message with content is wanted",
        ));
    }
    draft.out.put_u8(b']');
    Ok(())
}

/// Begins a message: writes it up to its role.
pub(super) fn put_role(draft: &mut Draft<'_>, role: &str) {
    if !draft.out.ends_with(b"[") {
        draft.out.put_u8(b',');
    }
    draft.out.put_slice(br#"{"role":"#);
    put_string(&mut draft.out, role);
}

fn put_text_message(draft: &mut Draft<'_>, role: &str, escaped: &str) {
    put_role(draft, role);
    draft.out.put_slice(br#","content":""#);
    draft.out.put_slice(escaped.as_bytes());
    draft.out.put_slice(br#""}"#);
}

/// Writes the system text; all of it, where the upstream takes it at the beginning only.
fn put_leading_system(
    draft: &mut Draft<'_>,
    request: &Members<'_>,
    turns: &[Turn<'_>],
) -> Result<(), Untranslatable> {
    let place = Place::Body.member("system");
    let mut texts = Vec::new();
    if let Some(system) = request.get("system") {
        match system.escaped() {
            Some(text) => texts.extend((!is_blank(text)).then_some(text)),
            None => texts.extend(text_blocks(
                &mut draft.losses,
                place,
                &Block::read_all(place, system)?,
            )?),
        }
    }
    if draft.profile.system_messages == SystemMessages::SingleLeading {
        let messages = Place::Body.member("messages");
        for turn in turns.iter().filter(|turn| turn.role == Role::System) {
            let place = messages.element(turn.index);
            draft.losses.loss(place, "moved to the beginning");
            texts.extend(system_texts(&mut draft.losses, place, turn)?);
        }
    }
    if !texts.is_empty() {
        put_text_message(draft, "system", &join(texts.into_iter()));
    }
    Ok(())
}

pub(crate) fn system_texts<'a>(
    losses: &mut Losses,
    place: Place<'_>,
    turn: &Turn<'a>,
) -> Result<Vec<&'a str>, Untranslatable> {
    match &turn.content {
        Content::Text(text) => Ok((!is_blank(text)).then_some(*text).into_iter().collect()),
        Content::Blocks(blocks) => text_blocks(losses, place.member("content"), blocks),
    }
}

/// The texts of blocks that must all be text.
pub(crate) fn text_blocks<'a>(
    losses: &mut Losses,
    place: Place<'_>,
    blocks: &[Block<'a>],
) -> Result<Vec<&'a str>, Untranslatable> {
    let mut texts = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        let place = place.element(index);
        if block.kind != "text" {
            return Err(parts::refuse_block(place, &block.kind));
        }
        texts.extend(block.text(place, "text")?);
        losses.unread(place, &block.members, &["type", "text"]);
    }
    Ok(texts)
}

/// Writes what follows an assistant's turns: results, then the rest.
fn put_others<'a>(
    draft: &mut Draft<'_>,
    turns: &[Turn<'a>],
    calls: &[Call<'a>],
) -> Result<(), Untranslatable> {
    let mut parts = Vec::new();
    let answered = results::put(draft, turns, calls, &mut parts)?;
    draft.behind_result = !calls.is_empty();
    for turn in turns {
        put_turn(draft, turn, &answered, &mut parts)?;
    }
    flush(draft, &mut parts);
    Ok(())
}

/// Adds a turn of a user to the parts of the message that is being made, or writes a system turn.
fn put_turn<'a>(
    draft: &mut Draft<'_>,
    turn: &Turn<'a>,
    answered: &Answered<'a>,
    parts: &mut Vec<Part<'a>>,
) -> Result<(), Untranslatable> {
    let messages = Place::Body.member("messages");
    let message = messages.element(turn.index);
    if turn.role == Role::System {
        if draft.profile.system_messages == SystemMessages::Anywhere {
            flush(draft, parts);
            let texts = system_texts(&mut draft.losses, message, turn)?;
            if !texts.is_empty() {
                put_text_message(draft, "system", &join(texts.into_iter()));
            }
        }
        return Ok(());
    }
    let place = message.member("content");
    match &turn.content {
        Content::Text(text) if is_blank(text) => {}
        Content::Text(text) => parts.push(Part::Text(Cow::Borrowed(text))),
        Content::Blocks(blocks) => {
            for (index, block) in blocks.iter().enumerate() {
                let place = place.element(index);
                let before = parts.len();
                if block.kind != "tool_result" {
                    parts::add(&mut draft.losses, place, block, parts)?;
                    parts::check(draft.profile, place, parts.get(before..).unwrap_or_default())?;
                    continue;
                }
                match answered.standing((turn.index, index), block) {
                    Standing::Counts => {}
                    Standing::Superseded => {
                        draft
                            .losses
                            .loss(place, "another result of the same call follows");
                    }
                    Standing::Orphan => {
                        results::add_orphan(&mut draft.losses, place, block, parts)?;
                        parts::check(draft.profile, place, parts.get(before..).unwrap_or_default())?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// Writes the user message that the parts make, if there are any.
fn flush(draft: &mut Draft<'_>, parts: &mut Vec<Part<'_>>) {
    if !parts.is_empty() {
        if draft.behind_result && !draft.profile.user_after_tool {
            put_text_message(draft, "assistant", ACKNOWLEDGED);
        }
        draft.behind_result = false;
        put_role(draft, "user");
        draft.out.put_slice(br#","content":"#);
        parts::put_content(draft, parts);
        draft.out.put_u8(b'}');
        parts.clear();
    }
}
