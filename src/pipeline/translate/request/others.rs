//! What users say beside the results of calls.

use std::borrow::Cow;

use crate::dialect::raw::is_blank;
use crate::pipeline::translate::dropped::{Losses, Place};
use crate::pipeline::translate::request::Untranslatable;
use crate::pipeline::translate::request::conversation::{Content, Turn};
use crate::pipeline::translate::request::parts::{self, Mark, Part};
use crate::pipeline::translate::request::results::{self, Answered, Standing};

/// A part, and where it comes from.
pub(crate) struct Placed<'a> {
    /// The place in the request that a refusal names.
    pub(crate) place: String,
    pub(crate) part: Part<'a>,
    /// The mark of the block that ends with it.
    pub(crate) mark: Option<Mark>,
}

impl<'a> Placed<'a> {
    /// A part without a mark.
    pub(crate) fn new(place: Place<'_>, part: Part<'a>) -> Self {
        Self {
            place: place.to_string(),
            part,
            mark: None,
        }
    }
}

/// Gathers what the users of these turns say beside results that count.
pub(crate) fn add<'a>(
    losses: &mut Losses,
    turns: &[Turn<'a>],
    answered: &Answered<'a>,
    into: &mut Vec<Placed<'a>>,
) -> Result<(), Untranslatable> {
    for turn in turns.iter().filter(|turn| turn.is_users()) {
        add_turn(losses, turn, answered, into)?;
    }
    Ok(())
}

fn add_turn<'a>(
    losses: &mut Losses,
    turn: &Turn<'a>,
    answered: &Answered<'a>,
    into: &mut Vec<Placed<'a>>,
) -> Result<(), Untranslatable> {
    let messages = Place::Body.member("messages");
    let message = messages.element(turn.index);
    let content = message.member("content");
    let blocks = match &turn.content {
        Content::Text(text) => {
            let part = (!is_blank(text)).then_some(Part::Text(Cow::Borrowed(*text)));
            into.extend(part.map(|part| Placed::new(content, part)));
            return Ok(());
        }
        Content::Blocks(blocks) => blocks,
    };
    for (index, block) in blocks.iter().enumerate() {
        let place = content.element(index);
        let mut parts = Vec::new();
        if block.kind == "tool_result" {
            match answered.standing((turn.index, index), block) {
                Standing::Counts => {}
                Standing::Superseded => losses.loss(place, "another result of the same call follows"),
                Standing::Orphan => results::add_orphan(losses, place, block, &mut parts)?,
            }
        } else {
            parts::add(losses, place, block, &mut parts)?;
        }
        let before = into.len();
        into.extend(parts.into_iter().map(|part| Placed::new(place, part)));
        if let Some(last) = into.get_mut(before..).and_then(<[Placed<'_>]>::last_mut) {
            last.mark = block.mark();
        }
    }
    Ok(())
}
