//! Results of tool calls: each right behind its call, and exactly one.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use bytes::BufMut;

use crate::dialect::raw::{Raw, put_string};
use crate::pipeline::translate::dropped::{Losses, Place};
use crate::pipeline::translate::names::upstream_id;
use crate::pipeline::translate::request::assistant::Call;
use crate::pipeline::translate::request::conversation::{Content, Turn, put_role};
use crate::pipeline::translate::request::parts::{self, BLANK_LINE, Block, Part};
use crate::pipeline::translate::request::{Draft, Untranslatable};

/// Where a block stands: turn and block.
pub(crate) type At = (usize, usize);

/// Where the result of each call stands. Of several the last one counts.
pub(crate) struct Answered<'a>(HashMap<Cow<'a, str>, At>);

/// What a result is to the calls before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It answers one of them.
    Counts,
    /// Another result of the same call comes later.
    Superseded,
    /// Its call is not there.
    Orphan,
}

impl<'a> Answered<'a> {
    /// Where the results of these calls stand.
    pub(crate) fn to<'c>(turns: &[Turn<'a>], calls: impl Iterator<Item = &'c str>) -> Self {
        let wanted: HashSet<&str> = calls.collect();
        let matched = results(turns).filter(|(_, block)| wanted.contains(call_id(block).as_ref()));
        Self(matched.map(|(at, block)| (call_id(block), at)).collect())
    }

    /// Where the result of this call stands.
    pub(crate) fn place_of(&self, id: &str) -> Option<At> {
        self.0.get(id).copied()
    }

    /// What the result at this place is.
    pub(crate) fn standing(&self, at: At, block: &Block<'_>) -> Standing {
        match self.0.get(&call_id(block)) {
            Some(counts) if *counts == at => Standing::Counts,
            Some(_) => Standing::Superseded,
            None => Standing::Orphan,
        }
    }
}

/// All results in these turns, with their places.
pub(crate) fn results<'t, 'a>(turns: &'t [Turn<'a>]) -> impl Iterator<Item = (At, &'t Block<'a>)> {
    turns.iter().filter(|turn| turn.is_users()).flat_map(|turn| {
        let blocks: &[Block<'a>] = if let Content::Blocks(blocks) = &turn.content {
            blocks
        } else {
            &[]
        };
        let placed = blocks
            .iter()
            .enumerate()
            .map(move |(index, block)| ((turn.index, index), block));
        placed.filter(|(_, block)| block.kind == "tool_result")
    })
}

/// The id of the call that a result answers.
pub(crate) fn call_id<'a>(block: &Block<'a>) -> Cow<'a, str> {
    block.members.string("tool_use_id").unwrap_or_default()
}

/// Writes one result for each call. What they hold beside text is left for the user's message.
pub(super) fn put<'a>(
    draft: &mut Draft<'_>,
    turns: &[Turn<'a>],
    calls: &[Call<'a>],
    attachments: &mut Vec<Part<'a>>,
) -> Result<Answered<'a>, Untranslatable> {
    let answered = Answered::to(turns, calls.iter().map(|call| call.id.as_ref()));
    for (at, block) in results(turns) {
        if answered.standing(at, block) == Standing::Counts {
            put_result(draft, at, block, attachments)?;
        }
    }
    for call in calls.iter().filter(|call| answered.place_of(&call.id).is_none()) {
        let messages = Place::Body.member("messages");
        let message = messages.element(call.at.0);
        draft.losses.loss(
            message.member("content").element(call.at.1),
            "the call has no result",
        );
        put_tool_message(draft, &call.id, "(no result)");
    }
    Ok(answered)
}

fn put_tool_message(draft: &mut Draft<'_>, id: &str, escaped: &str) {
    put_role(draft, "tool");
    draft.out.put_slice(br#","tool_call_id":"#);
    put_string(&mut draft.out, &upstream_id(id, draft.profile.max_tool_id_bytes));
    draft.out.put_slice(br#","content":""#);
    draft.out.put_slice(escaped.as_bytes());
    draft.out.put_slice(br#""}"#);
}

/// Writes a result behind its call. Its pictures and files go into the user message that follows,
/// because `tool` messages take text only.
fn put_result<'a>(
    draft: &mut Draft<'_>,
    at: At,
    block: &Block<'a>,
    attachments: &mut Vec<Part<'a>>,
) -> Result<(), Untranslatable> {
    let messages = Place::Body.member("messages");
    let message = messages.element(at.0);
    let content = message.member("content");
    let place = content.element(at.1);
    let told = Told::read(&mut draft.losses, place, block)?;
    parts::check(draft.profile, place, &told.attached)?;
    let text = told.marked(&mut draft.losses, place);
    let id = call_id(block);
    let text = if text.is_empty() && !told.attached.is_empty() {
        "[see the next message]"
    } else {
        text.as_ref()
    };
    put_tool_message(draft, &id, text);
    if !told.attached.is_empty() {
        let id = upstream_id(&id, draft.profile.max_tool_id_bytes).into_owned();
        attachments.push(Part::Text(Cow::Owned(format!(
            "[from the result of tool call {id}]"
        ))));
        attachments.extend(told.attached);
    }
    Ok(())
}

/// A result whose call is not there: it becomes the user's text.
pub(crate) fn add_orphan<'a>(
    losses: &mut Losses,
    place: Place<'_>,
    block: &Block<'a>,
    parts: &mut Vec<Part<'a>>,
) -> Result<(), Untranslatable> {
    losses.loss(place, "the call that it answers is missing");
    let told = Told::read(losses, place, block)?;
    let text = told.marked(losses, place);
    parts.push(Part::Text(Cow::Owned(format!(
        "[result of a tool call]{BLANK_LINE}{text}"
    ))));
    parts.extend(told.attached);
    Ok(())
}

/// What a result says.
pub(crate) struct Told<'a> {
    /// All text of it, escaped.
    pub(crate) text: String,
    /// What is no text.
    pub(crate) attached: Vec<Part<'a>>,
    /// Whether the call failed.
    pub(crate) failed: bool,
}

impl<'a> Told<'a> {
    pub(crate) fn read(
        losses: &mut Losses,
        place: Place<'_>,
        block: &Block<'a>,
    ) -> Result<Self, Untranslatable> {
        let mut read = Vec::new();
        let content_place = place.member("content");
        if let Some(content) = block.members.get("content") {
            match content.escaped() {
                Some(text) => read.push(Part::Text(Cow::Borrowed(text))),
                None => {
                    for (index, block) in Block::read_all(content_place, content)?.iter().enumerate() {
                        parts::add(losses, content_place.element(index), block, &mut read)?;
                    }
                }
            }
        }
        let (mut text, mut attached) = (String::new(), Vec::new());
        let mut separator = "";
        for part in read {
            match part {
                Part::Text(piece) => {
                    text.push_str(separator);
                    text.push_str(&piece);
                    separator = "\\n";
                }
                other => attached.push(other),
            }
        }
        losses.unread(
            place,
            &block.members,
            &["type", "tool_use_id", "content", "is_error"],
        );
        Ok(Self {
            text,
            attached,
            failed: block.members.get("is_error").and_then(Raw::boolean) == Some(true),
        })
    }

    /// The text, with a mark where the call failed.
    pub(crate) fn marked(&self, losses: &mut Losses, place: Place<'_>) -> Cow<'_, str> {
        if !self.failed {
            return Cow::Borrowed(&self.text);
        }
        losses.hint(place.member("is_error"), "kept as a mark in the text");
        Cow::Owned(format!("[tool error] {}", self.text))
    }
}
