//! The items of a conversation, as turns.

use std::borrow::Cow;

use bytes::BufMut;

use crate::dialect::raw::{Members, Raw, put_string};
use crate::pipeline::translate::answer::openai::kinds::joined_name;
use crate::pipeline::translate::dropped::Place;
use crate::pipeline::translate::from_responses::{content, reasoning};
use crate::pipeline::translate::names::client_id;
use crate::pipeline::translate::request::{Untranslatable, refuse};
use crate::pipeline::translate::to_messages::turns::{Turns, input_of};
use crate::pipeline::translate::to_messages::{Draft, blocks};

/// The items of a request.
pub(super) struct Conversation<'a> {
    items: Vec<Item<'a>>,
    /// How many of them are system messages before anything else.
    leading: usize,
}

struct Item<'a> {
    kind: Kind<'a>,
    members: Members<'a>,
}

enum Kind<'a> {
    /// The whole input is this text of the user, escaped.
    Words(&'a str),
    System,
    User,
    Assistant,
    Reasoning,
    Call {
        name: Cow<'a, str>,
        is_custom: bool,
    },
    Output,
    /// A call that OpenAI ran and answered itself.
    Hosted,
}

impl Item<'_> {
    /// Whether the model said it.
    const fn is_assistants(&self) -> bool {
        matches!(
            self.kind,
            Kind::Assistant | Kind::Reasoning | Kind::Call { .. } | Kind::Hosted
        )
    }
}

impl<'a> Conversation<'a> {
    /// The names of all tools that were called.
    pub(super) fn tool_names(&self) -> impl Iterator<Item = Cow<'a, str>> {
        self.items.iter().filter_map(|item| match &item.kind {
            Kind::Call { name, .. } => Some(name.clone()),
            _ => None,
        })
    }

    /// Whether a model with a budget may think: where it goes on from calls, it insists on the thinking
    /// before them.
    pub(super) fn may_think(&self) -> bool {
        let back = self.items.iter().rev();
        let last = back
            .skip_while(|item| !item.is_assistants())
            .take_while(|item| item.is_assistants());
        let (mut calls, mut signed) = (false, false);
        for item in last {
            calls |= matches!(item.kind, Kind::Call { .. });
            signed |= matches!(item.kind, Kind::Reasoning) && reasoning::is_signed(&item.members);
        }
        !calls || signed
    }
}

/// Reads the items of a request.
pub(super) fn read<'a>(request: &Members<'a>) -> Result<Conversation<'a>, Untranslatable> {
    let place = Place::Body.member("input");
    let wanted = || refuse(place, "a string or a list of items is wanted");
    let input = request.get("input").ok_or_else(wanted)?;
    if let Some(words) = input.escaped() {
        let words = Item {
            kind: Kind::Words(words),
            members: Members::default(),
        };
        return Ok(Conversation {
            items: vec![words],
            leading: 0,
        });
    }
    let listed = input.elements().ok_or_else(wanted)?;
    let items: Vec<_> = listed
        .into_iter()
        .enumerate()
        .map(|(index, item)| read_item(place.element(index), item))
        .collect::<Result<_, _>>()?;
    let leading = items.iter().position(|item| !matches!(item.kind, Kind::System));
    Ok(Conversation {
        leading: leading.unwrap_or(items.len()),
        items,
    })
}

fn read_item<'a>(place: Place<'_>, item: Raw<'a>) -> Result<Item<'a>, Untranslatable> {
    let members = item
        .members()
        .ok_or_else(|| refuse(place, "an object is wanted"))?;
    let kind = match members.string("type").unwrap_or_default().as_ref() {
        "" | "message" => match members.string("role").as_deref() {
            Some("system" | "developer") => Kind::System,
            Some("user") => Kind::User,
            Some("assistant") => Kind::Assistant,
            _ => {
                let problem = "system, developer, user or assistant is wanted";
                return Err(refuse(place.member("role"), problem));
            }
        },
        "reasoning" => Kind::Reasoning,
        kind @ ("function_call" | "custom_tool_call") => {
            let name = members.string("name").filter(|name| !name.is_empty());
            let name = name.ok_or_else(|| refuse(place.member("name"), "a string is wanted"))?;
            let namespace = members.string("namespace");
            let joined = namespace.map(|space| joined_name(Some(&space), &name).into_owned());
            Kind::Call {
                name: joined.map_or(name, Cow::Owned),
                is_custom: kind == "custom_tool_call",
            }
        }
        "function_call_output" | "custom_tool_call_output" => Kind::Output,
        "web_search_call" | "file_search_call" => Kind::Hosted,
        kind => {
            let kind: String = kind.chars().take(64).collect();
            let problem = format!(
                "`{kind}` items are unknown to the upstream of this model: send messages, calls of functions \
                 and their outputs"
            );
            return Err(refuse(place, problem));
        }
    };
    Ok(Item { kind, members })
}

/// Writes instructions and leading system messages as the system prompt.
pub(super) fn put_system(
    draft: &mut Draft<'_>,
    request: &Members<'_>,
    conversation: &Conversation<'_>,
    json_only: bool,
) -> Result<(), Untranslatable> {
    let mut said = Vec::new();
    if let Some(instructions) = request.get("instructions") {
        let place = Place::Body.member("instructions");
        let text = instructions.escaped();
        let text = text.ok_or_else(|| refuse(place, "a string is wanted"))?;
        blocks::put_text(&mut said, text, None);
    }
    let input = Place::Body.member("input");
    let leading = conversation.items.iter().take(conversation.leading);
    for (index, item) in leading.enumerate() {
        if let Some(content) = item.members.get("content") {
            let place = input.element(index);
            content::put_blocks(&mut said, &mut draft.losses, place.member("content"), content)?;
        }
    }
    if json_only {
        blocks::put_text(&mut said, "Answer with one JSON object and nothing else.", None);
    }
    draft.put_system(&said);
    Ok(())
}

/// Writes the items as messages.
pub(super) fn put_messages(
    draft: &mut Draft<'_>,
    conversation: &Conversation<'_>,
) -> Result<(), Untranslatable> {
    let mut turns = Turns::default();
    let input = Place::Body.member("input");
    let items = conversation.items.iter().enumerate();
    for (index, item) in items.skip(conversation.leading) {
        let place = input.element(index);
        if item.is_assistants() && !turns.is_assistants() {
            turns.answer_open_calls(&mut draft.losses, place);
        }
        put_item(draft, &mut turns, place, item)?;
    }
    turns.put(draft, input)
}

fn put_item(
    draft: &mut Draft<'_>,
    turns: &mut Turns,
    place: Place<'_>,
    item: &Item<'_>,
) -> Result<(), Untranslatable> {
    let members = &item.members;
    match &item.kind {
        Kind::Words(words) => blocks::put_text(turns.user(), words, None),
        Kind::System => {
            let mut said = Vec::new();
            put_content(&mut said, draft, place, members, "content")?;
            turns.late_system(&mut draft.losses, place, &said);
        }
        Kind::User => put_content(turns.user(), draft, place, members, "content")?,
        Kind::Assistant => put_content(turns.assistant(), draft, place, members, "content")?,
        Kind::Reasoning => {
            let reader = draft.reader;
            reasoning::put(turns.assistant(), &mut draft.losses, place, members, reader);
        }
        Kind::Call { name, is_custom } => {
            let id = id_of(place, members)?;
            let input = if *is_custom {
                Cow::Owned(free_input(&members.string("input").unwrap_or_default()))
            } else {
                input_of(
                    &mut draft.losses,
                    place.member("arguments"),
                    members.get("arguments"),
                )
            };
            turns.call(&draft.names, id, name, &input);
        }
        Kind::Output => {
            let id = id_of(place, members)?;
            let mut said = Vec::new();
            put_content(&mut said, draft, place, members, "output")?;
            turns.result(&mut draft.losses, place.member("call_id"), &id, &said);
        }
        Kind::Hosted => draft
            .losses
            .loss(place, "what OpenAI's own tools did is known to OpenAI only"),
    }
    Ok(())
}

fn put_content(
    out: &mut Vec<u8>,
    draft: &mut Draft<'_>,
    place: Place<'_>,
    members: &Members<'_>,
    key: &str,
) -> Result<(), Untranslatable> {
    match members.get(key) {
        Some(content) => content::put_blocks(out, &mut draft.losses, place.member(key), content),
        None => Ok(()),
    }
}

fn id_of(place: Place<'_>, members: &Members<'_>) -> Result<String, Untranslatable> {
    let id = members.string("call_id").filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| refuse(place.member("call_id"), "a string is wanted"))?;
    Ok(client_id(&id).into_owned())
}

/// The input of a call whose tool takes free text.
fn free_input(text: &str) -> String {
    let mut input = Vec::with_capacity(text.len() + 16);
    input.put_slice(br#"{"input":"#);
    put_string(&mut input, text);
    input.put_u8(b'}');
    String::from_utf8(input).unwrap_or_default()
}
