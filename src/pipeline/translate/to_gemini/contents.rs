//! The conversation, as contents of users and the model in turn.

use std::borrow::Cow;

use bytes::BufMut;

use crate::dialect::raw::{is_blank, put_string};
use crate::pipeline::translate::answer::tally;
use crate::pipeline::translate::dropped::Place;
use crate::pipeline::translate::request::conversation::{
    Conversation, Group, Role, Turn, system_texts, text_blocks,
};
use crate::pipeline::translate::request::others::{self, Placed};
use crate::pipeline::translate::request::parts::{Block, PDF, Part, Picture, join};
use crate::pipeline::translate::request::read::Read;
use crate::pipeline::translate::request::results::{self, Answered, Told};
use crate::pipeline::translate::request::{Untranslatable, refuse};
use crate::pipeline::translate::to_gemini::Draft;
use crate::pipeline::translate::to_gemini::model::{self, Call};

/// Pictures that Gemini reads.
const PICTURES: [&str; 5] = [
    "image/png",
    "image/jpeg",
    "image/webp",
    "image/heic",
    "image/heif",
];

/// Writes the system text. Gemini takes it at the beginning only.
pub(super) fn put_system(draft: &mut Draft, read: &Read<'_>) -> Result<(), Untranslatable> {
    let place = Place::Body.member("system");
    let mut texts = Vec::new();
    if let Some(system) = read.request.get("system") {
        match system.escaped() {
            Some(text) => texts.extend((!is_blank(text)).then_some(text)),
            None => {
                let blocks = Block::read_all(place, system)?;
                texts.extend(text_blocks(&mut draft.losses, place, &blocks)?);
            }
        }
    }
    let messages = Place::Body.member("messages");
    let turns = &read.conversation.turns;
    for turn in turns.iter().filter(|turn| turn.role == Role::System) {
        let place = messages.element(turn.index);
        draft.losses.loss(place, "moved to the beginning");
        texts.extend(system_texts(&mut draft.losses, place, turn)?);
    }
    if !texts.is_empty() {
        draft.key("systemInstruction");
        draft.out.put_slice(br#"{"parts":["#);
        put_text(draft, &join(texts.into_iter()));
        draft.out.put_slice(b"]}");
    }
    Ok(())
}

/// Writes the contents.
pub(super) fn put(draft: &mut Draft, conversation: &Conversation<'_>) -> Result<(), Untranslatable> {
    let messages = Place::Body.member("messages");
    draft.key("contents");
    draft.out.put_u8(b'[');
    for turn in &conversation.turns {
        let place = messages.element(turn.index);
        draft.losses.unread(place, &turn.members, &["role", "content"]);
    }
    for Group { answer, others } in conversation.groups() {
        let calls = model::put(draft, answer)?;
        if others.is_empty() && calls.is_empty() {
            let last = answer.last().map_or(0, |turn| turn.index);
            let reason = "the upstream may begin anew instead of going on";
            draft.losses.loss(messages.element(last), reason);
        }
        put_others(draft, others, &calls)?;
    }
    if draft.out.ends_with(b"[") {
        return Err(refuse(messages, "at least one message with content is wanted"));
    }
    draft.out.put_u8(b']');
    Ok(())
}

/// Writes what follows the model's turn as one content: results first, then the rest.
fn put_others<'a>(draft: &mut Draft, turns: &[Turn<'a>], calls: &[Call<'a>]) -> Result<(), Untranslatable> {
    // A model's turn of which nothing is left leaves two turns of the user, which are one.
    let begun = draft.out.len();
    let goes_on = draft.out.ends_with(b"]}") && draft.users_turn;
    if goes_on {
        draft.out.truncate(begun - 2);
    } else {
        draft.separate();
        draft.out.put_slice(br#"{"role":"user","parts":["#);
    }
    let first_part = draft.out.len();
    let mut attached = Vec::new();
    let answered = Answered::to(turns, calls.iter().map(|call| call.id.as_ref()));
    put_results(draft, turns, calls, &answered, &mut attached)?;
    others::add(&mut draft.losses, turns, &answered, &mut attached)?;
    for Placed { place, part, .. } in attached {
        put_part(draft, &place, &part)?;
    }
    if goes_on || draft.out.len() > first_part {
        draft.out.put_slice(b"]}");
        draft.users_turn = true;
    } else {
        draft.out.truncate(begun);
    }
    Ok(())
}

fn put_results<'a>(
    draft: &mut Draft,
    turns: &[Turn<'a>],
    calls: &[Call<'a>],
    answered: &Answered<'a>,
    attached: &mut Vec<Placed<'a>>,
) -> Result<(), Untranslatable> {
    let messages = Place::Body.member("messages");
    for call in calls {
        let found = answered.place_of(&call.id);
        let found = found.and_then(|at| results::results(turns).find(|(place, _)| *place == at));
        let Some((at, block)) = found else {
            let message = messages.element(call.at.0);
            let reason = "the call has no result";
            draft
                .losses
                .loss(message.member("content").element(call.at.1), reason);
            put_response(draft, call, "result", "(no result)", &[])?;
            continue;
        };
        let message = messages.element(at.0);
        let content = message.member("content");
        let place = content.element(at.1);
        let told = Told::read(&mut draft.losses, place, block)?;
        let key = if told.failed { "error" } else { "result" };
        let parts: Vec<Placed<'a>> = told
            .attached
            .into_iter()
            .map(|part| Placed::new(place, part))
            .collect();
        if draft.generation.signs_calls() {
            put_response(draft, call, key, &told.text, &parts)?;
        } else {
            put_response(draft, call, key, &told.text, &[])?;
            if !parts.is_empty() {
                let label = format!("[from the result of {}]", draft.names.sent(&call.name));
                attached.push(Placed::new(place, Part::Text(Cow::Owned(label))));
                attached.extend(parts);
            }
        }
    }
    Ok(())
}

fn put_response(
    draft: &mut Draft,
    call: &Call<'_>,
    key: &str,
    escaped: &str,
    parts: &[Placed<'_>],
) -> Result<(), Untranslatable> {
    draft.separate();
    draft.out.put_slice(br#"{"functionResponse":{"id":"#);
    put_string(&mut draft.out, &call.id);
    draft.out.put_slice(br#","name":"#);
    put_string(&mut draft.out, draft.names.sent(&call.name));
    draft.out.put_slice(br#","response":{"#);
    put_string(&mut draft.out, key);
    draft.out.put_slice(br#":""#);
    draft.out.put_slice(escaped.as_bytes());
    draft.out.put_slice(br#""}"#);
    if !parts.is_empty() {
        draft.key("parts");
        draft.out.put_u8(b'[');
        for Placed { place, part, .. } in parts {
            put_part(draft, place, part)?;
        }
        draft.out.put_u8(b']');
    }
    draft.out.put_slice(b"}}");
    Ok(())
}

fn put_part(draft: &mut Draft, place: &str, part: &Part<'_>) -> Result<(), Untranslatable> {
    match part {
        Part::Text(text) => {
            draft.separate();
            put_text(draft, text);
        }
        Part::File { data, .. } => {
            draft.images = draft.images.saturating_add(tally::pages(data.len()));
            put_inline(draft, PDF, data);
        }
        Part::Image(Picture::Data { media_type, data }) if PICTURES.contains(media_type) => {
            draft.images = draft.images.saturating_add(1);
            put_inline(draft, media_type, data);
        }
        Part::Image(Picture::Data { .. }) => {
            return Err(refuse_at(
                place,
                "the upstream of this model reads PNG, JPEG and WebP pictures only",
            ));
        }
        Part::Image(Picture::Url(_)) => {
            let problem = "the upstream of this model cannot read `url` sources; send the content as base64";
            return Err(refuse_at(place, problem));
        }
    }
    Ok(())
}

fn refuse_at(place: &str, problem: &str) -> Untranslatable {
    refuse(Place::Body.member(place).member("source"), problem)
}

/// Writes a part of escaped text.
pub(super) fn put_text(draft: &mut Draft, escaped: &str) {
    draft.out.put_slice(br#"{"text":""#);
    draft.out.put_slice(escaped.as_bytes());
    draft.out.put_slice(br#""}"#);
}

fn put_inline(draft: &mut Draft, media_type: &str, data: &str) {
    draft.separate();
    draft.out.put_slice(br#"{"inlineData":{"mimeType":""#);
    draft.out.put_slice(media_type.as_bytes());
    draft.out.put_slice(br#"","data":""#);
    draft.out.put_slice(data.as_bytes());
    draft.out.put_slice(br#""}}"#);
    draft.opaque_bytes = draft.opaque_bytes.saturating_add(data.len());
}
