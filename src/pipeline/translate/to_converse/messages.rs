//! The conversation: system text at the beginning, then users and the assistant in turn.

use std::borrow::Cow;

use bytes::BufMut;

use crate::dialect::raw::{Raw, is_blank, put_string};
use crate::pipeline::translate::dropped::Place;
use crate::pipeline::translate::names::upstream_id;
use crate::pipeline::translate::request::conversation::{Conversation, Group, Role, Turn, system_texts};
use crate::pipeline::translate::request::others::{self, Placed};
use crate::pipeline::translate::request::parts::{Block, Mark, Part, mark, refuse_block};
use crate::pipeline::translate::request::read::Read;
use crate::pipeline::translate::request::results::{self, Answered, Told};
use crate::pipeline::translate::request::{Untranslatable, refuse};
use crate::pipeline::translate::to_converse::assistant::{self, Call};
use crate::pipeline::translate::to_converse::{Draft, Open, media};

/// The longest id of a call.
pub(super) const ID_BYTES_MAX: usize = 64;

/// What stands beside a document that nobody says anything about: Converse wants a text there.
const DOCUMENT_ALONE: &str = "See the attached document.";

/// What a result without content says: Converse wants content there.
const NOTHING: &str = "(no output)";

/// Writes the system text. Most models take it at the beginning only.
pub(super) fn put_system(draft: &mut Draft, read: &Read<'_>) -> Result<(), Untranslatable> {
    let begun = draft.out.len();
    draft.key("system");
    draft.out.put_u8(b'[');
    let first = draft.out.len();
    let place = Place::Body.member("system");
    if let Some(system) = read.request.get("system") {
        match system.escaped() {
            Some(text) if is_blank(text) => {}
            Some(text) => draft.put_text(text),
            None => put_system_blocks(draft, place, &Block::read_all(place, system)?)?,
        }
    }
    let messages = Place::Body.member("messages");
    let turns = &read.conversation.turns;
    for turn in turns.iter().filter(|turn| turn.role == Role::System) {
        let place = messages.element(turn.index);
        draft.losses.loss(place, "moved to the beginning");
        for text in system_texts(&mut draft.losses, place, turn)? {
            draft.put_text(text);
        }
    }
    if draft.out.len() == first {
        draft.out.truncate(begun);
    } else {
        draft.out.put_u8(b']');
    }
    Ok(())
}

fn put_system_blocks(
    draft: &mut Draft,
    place: Place<'_>,
    blocks: &[Block<'_>],
) -> Result<(), Untranslatable> {
    for (index, block) in blocks.iter().enumerate() {
        let place = place.element(index);
        if block.kind != "text" {
            return Err(refuse_block(place, &block.kind));
        }
        if let Some(text) = block.text(place, "text")? {
            draft.put_text(text);
            draft.put_mark(block.mark());
        }
        draft.losses.unread(place, &block.members, &["type", "text"]);
    }
    Ok(())
}

/// Writes the messages.
pub(super) fn put(draft: &mut Draft, conversation: &Conversation<'_>) -> Result<(), Untranslatable> {
    let messages = Place::Body.member("messages");
    draft.key("messages");
    draft.out.put_u8(b'[');
    for turn in &conversation.turns {
        let place = messages.element(turn.index);
        draft.losses.unread(place, &turn.members, &["role", "content"]);
    }
    for Group { answer, others } in conversation.groups() {
        let calls = assistant::put(draft, answer)?;
        if others.is_empty() && calls.is_empty() && !draft.maker.goes_on() {
            let last = answer.last().map_or(0, |turn| turn.index);
            let reason = "the upstream may begin anew instead of going on";
            draft.losses.loss(messages.element(last), reason);
        }
        put_others(draft, others, &calls)?;
    }
    if draft.open.is_none() {
        return Err(refuse(messages, "at least one message with content is wanted"));
    }
    close(draft);
    draft.out.put_u8(b']');
    Ok(())
}

/// Makes sure that the message of this role is being written: messages of one role in a row are one.
pub(super) fn open(draft: &mut Draft, role: Role) -> Result<&mut Open, Untranslatable> {
    if draft.open.as_ref().is_none_or(|open| open.role != role) {
        if draft.open.is_none() && role == Role::Assistant {
            let first = Place::Body.member("messages");
            return Err(refuse(first.element(0), "the first message must be a user's"));
        }
        close(draft);
        draft.separate();
        let head: &[u8] = match role {
            Role::Assistant => br#"{"role":"assistant","content":["#,
            Role::User | Role::System => br#"{"role":"user","content":["#,
        };
        draft.out.put_slice(head);
    }
    Ok(draft.open.get_or_insert(Open {
        role,
        has_text: false,
        has_document: false,
    }))
}

/// Ends the message that is being written.
fn close(draft: &mut Draft) {
    let Some(open) = draft.open.take() else { return };
    if open.has_document && !open.has_text {
        draft.put_text(DOCUMENT_ALONE);
    }
    draft.out.put_slice(b"]}");
}

/// Writes what follows the assistant's turn as one message: results first, then the rest.
fn put_others<'a>(draft: &mut Draft, turns: &[Turn<'a>], calls: &[Call<'a>]) -> Result<(), Untranslatable> {
    let answered = Answered::to(turns, calls.iter().map(|call| call.id.as_ref()));
    put_results(draft, turns, calls, &answered)?;
    let mut said = Vec::new();
    others::add(&mut draft.losses, turns, &answered, &mut said)?;
    for Placed { place, part, mark } in said {
        let open = open(draft, Role::User)?;
        match &part {
            Part::Text(_) => open.has_text = true,
            Part::File { .. } => open.has_document = true,
            Part::Image(_) => {}
        }
        media::put(draft, &place, &part)?;
        draft.put_mark(mark);
    }
    Ok(())
}

/// Writes one result for each call, in the order of the calls, and behind all of them one cache point where
/// any bears a mark.
fn put_results<'a>(
    draft: &mut Draft,
    turns: &[Turn<'a>],
    calls: &[Call<'a>],
    answered: &Answered<'a>,
) -> Result<(), Untranslatable> {
    let messages = Place::Body.member("messages");
    let mut mark = None;
    for call in calls {
        open(draft, Role::User)?;
        draft.separate();
        draft.out.put_slice(br#"{"toolResult":{"toolUseId":"#);
        put_string(&mut draft.out, &upstream_id(&call.id, ID_BYTES_MAX));
        draft.out.put_slice(br#","content":["#);
        let found = answered.place_of(&call.id);
        let found = found.and_then(|at| results::results(turns).find(|(place, _)| *place == at));
        match found {
            Some((at, block)) => {
                let message = messages.element(at.0);
                let content = message.member("content");
                put_result(draft, content.element(at.1), block)?;
                mark = mark_within(block).or(mark);
            }
            None => {
                let message = messages.element(call.at.0);
                let content = message.member("content");
                let reason = "the call has no result";
                draft.losses.loss(content.element(call.at.1), reason);
                draft.put_text("(no result)");
                draft.out.put_u8(b']');
            }
        }
        draft.out.put_slice(b"}}");
    }
    draft.put_mark(mark);
    Ok(())
}

/// Writes what a result holds, and whether its call failed.
fn put_result(draft: &mut Draft, place: Place<'_>, block: &Block<'_>) -> Result<(), Untranslatable> {
    let told = Told::read(&mut draft.losses, place, block)?;
    let takes_status = draft.maker.takes_status();
    let text = if takes_status {
        Cow::Borrowed(told.text.as_str())
    } else {
        told.marked(&mut draft.losses, place)
    };
    if !is_blank(&text) {
        draft.put_text(&text);
    } else if told.attached.is_empty() {
        draft.put_text(NOTHING);
    }
    for part in &told.attached {
        media::put(draft, &place.to_string(), part)?;
    }
    draft.out.put_u8(b']');
    if told.failed && takes_status {
        draft.out.put_slice(br#","status":"error""#);
    }
    Ok(())
}

/// The mark of a result, or of what it holds.
fn mark_within(block: &Block<'_>) -> Option<Mark> {
    let content = block.members.get("content").and_then(Raw::elements);
    let held = content.unwrap_or_default().into_iter().filter_map(Raw::members);
    held.filter_map(|held| mark(&held)).next_back().or(block.mark())
}
