//! Content blocks of users and tool results, as parts of chat messages.

use std::borrow::Cow;

use bytes::BufMut;

use crate::dialect::openai::profile::ChatProfile;
use crate::dialect::raw::{Members, Raw, compact, is_blank};
use crate::pipeline::translate::answer::tally;
use crate::pipeline::translate::dropped::{Losses, Place};
use crate::pipeline::translate::request::{Draft, Untranslatable, refuse};

/// What stands between two texts that are joined: a blank line, escaped.
pub(crate) const BLANK_LINE: &str = "\\n\\n";

/// What a block comes to; all texts are escaped.
pub(crate) enum Part<'a> {
    Text(Cow<'a, str>),
    /// A picture.
    Image(Picture<'a>),
    /// A PDF.
    File {
        title: Option<&'a str>,
        data: &'a str,
    },
}

/// Where a picture is.
pub(crate) enum Picture<'a> {
    /// In the request, as base64.
    Data { media_type: &'a str, data: &'a str },
    /// Behind an address.
    Url(&'a str),
}

/// The only media type of files.
pub(crate) const PDF: &str = "application/pdf";

/// One block of a message.
pub(crate) struct Block<'a> {
    pub(crate) kind: Cow<'a, str>,
    pub(crate) members: Members<'a>,
}

/// A mark for the prompt cache, by the time that the cache shall keep what stands before it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    FiveMinutes,
    Hour,
}

/// The mark on a block or a tool.
pub(crate) fn mark(members: &Members<'_>) -> Option<Mark> {
    let mark = members.members("cache_control")?;
    let is_long = mark.string("ttl").is_some_and(|ttl| ttl == "1h");
    Some(if is_long { Mark::Hour } else { Mark::FiveMinutes })
}

impl<'a> Block<'a> {
    pub(crate) fn read(place: Place<'_>, value: Raw<'a>) -> Result<Self, Untranslatable> {
        let members = value
            .members()
            .ok_or_else(|| refuse(place, "an object is wanted"))?;
        let kind = members
            .string("type")
            .ok_or_else(|| refuse(place.member("type"), "a string is wanted"))?;
        Ok(Self { kind, members })
    }

    /// The blocks of a list.
    pub(crate) fn read_all(place: Place<'_>, value: Raw<'a>) -> Result<Vec<Self>, Untranslatable> {
        let listed = value
            .elements()
            .ok_or_else(|| refuse(place, "a string or a list is wanted"))?;
        listed
            .into_iter()
            .enumerate()
            .map(|(index, value)| Self::read(place.element(index), value))
            .collect()
    }

    /// Its mark for the prompt cache.
    pub(crate) fn mark(&self) -> Option<Mark> {
        mark(&self.members)
    }

    /// The escaped text under a key; `None` where it is blank.
    pub(crate) fn text(&self, place: Place<'_>, key: &str) -> Result<Option<&'a str>, Untranslatable> {
        let text = self.members.get(key).and_then(Raw::escaped);
        let text = text.ok_or_else(|| refuse(place.member(key), "a string is wanted"))?;
        Ok((!is_blank(text)).then_some(text))
    }

    /// What a call names: its id and its tool.
    pub(crate) fn id_and_name(
        &self,
        place: Place<'_>,
    ) -> Result<(Cow<'a, str>, Cow<'a, str>), Untranslatable> {
        let string = |key| {
            let value = self.members.string(key).filter(|value| !value.is_empty());
            value.ok_or_else(|| refuse(place.member(key), "a string is wanted"))
        };
        Ok((string("id")?, string("name")?))
    }

    /// The arguments of a call: an object, written compactly.
    pub(crate) fn input(&self, place: Place<'_>) -> Result<Cow<'a, str>, Untranslatable> {
        match self.members.get("input") {
            None => Ok(Cow::Borrowed("{}")),
            Some(input) if input.text().starts_with('{') => Ok(compact(input)),
            Some(_) => Err(refuse(place.member("input"), "an object is wanted")),
        }
    }
}

/// Refuses a block that has no counterpart.
pub(crate) fn refuse_block(place: Place<'_>, kind: &str) -> Untranslatable {
    let kind: String = kind.chars().take(64).collect();
    let problem = format!(
        "`{kind}` content cannot be sent to the upstream of this model, which is not Anthropic. \
         Remove it, or ask for a model that Anthropic serves."
    );
    refuse(place.member("type"), problem)
}

/// Adds what a block of a user, or of a tool result, becomes.
pub(crate) fn add<'a>(
    losses: &mut Losses,
    place: Place<'_>,
    block: &Block<'a>,
    parts: &mut Vec<Part<'a>>,
) -> Result<(), Untranslatable> {
    match block.kind.as_ref() {
        "text" => {
            parts.extend(
                block
                    .text(place, "text")?
                    .map(|text| Part::Text(Cow::Borrowed(text))),
            );
            losses.unread(place, &block.members, &["type", "text"]);
        }
        "image" => parts.push(image(losses, place, block)?),
        "document" => document(losses, place, block, parts)?,
        "search_result" => search_result(losses, place, block, parts)?,
        "tool_reference" => {
            let name = block.text(place, "tool_name")?.unwrap_or_default();
            parts.push(Part::Text(Cow::Owned(format!("[tool: {name}]"))));
            losses.unread(place, &block.members, &["type", "tool_name"]);
        }
        other => return Err(refuse_block(place, other)),
    }
    Ok(())
}

/// Refuses what the upstream would not look at: the model would speak about something that it does not see.
pub(super) fn check(
    profile: &ChatProfile,
    place: Place<'_>,
    added: &[Part<'_>],
) -> Result<(), Untranslatable> {
    for part in added {
        let problem = match part {
            Part::Image(_) if !profile.images => "the upstream of this model sees no pictures",
            Part::File { .. } if !profile.documents => "the upstream of this model reads no files",
            _ => continue,
        };
        let problem = format!("{problem}. Send text instead, or ask for a model that does.");
        return Err(refuse(place, problem));
    }
    Ok(())
}

fn source<'a>(place: Place<'_>, block: &Block<'a>) -> Result<(Members<'a>, Cow<'a, str>), Untranslatable> {
    let source = block.members.members("source");
    let source = source.ok_or_else(|| refuse(place.member("source"), "an object is wanted"))?;
    let kind = source.string("type").unwrap_or_default();
    Ok((source, kind))
}

/// A member of a source, escaped.
fn field<'a>(place: Place<'_>, source: &Members<'a>, key: &str) -> Result<&'a str, Untranslatable> {
    let value = source.get(key).and_then(Raw::escaped);
    value.ok_or_else(|| refuse(place.member("source").member(key), "a string is wanted"))
}

fn image<'a>(losses: &mut Losses, place: Place<'_>, block: &Block<'a>) -> Result<Part<'a>, Untranslatable> {
    let (source, kind) = source(place, block)?;
    let picture = match kind.as_ref() {
        "base64" => Picture::Data {
            media_type: field(place, &source, "media_type")?,
            data: field(place, &source, "data")?,
        },
        "url" => Picture::Url(field(place, &source, "url")?),
        _ => return Err(refuse_source(place, &kind)),
    };
    losses.unread(place, &block.members, &["type", "source"]);
    Ok(Part::Image(picture))
}

fn document<'a>(
    losses: &mut Losses,
    place: Place<'_>,
    block: &Block<'a>,
    parts: &mut Vec<Part<'a>>,
) -> Result<(), Untranslatable> {
    let (source, kind) = source(place, block)?;
    let title = block
        .members
        .get("title")
        .and_then(Raw::escaped)
        .filter(|title| !is_blank(title));
    let context = block
        .members
        .get("context")
        .and_then(Raw::escaped)
        .filter(|context| !is_blank(context));
    match kind.as_ref() {
        "text" => {
            let texts = [title, context, Some(field(place, &source, "data")?)];
            parts.push(Part::Text(Cow::Owned(join(texts.into_iter().flatten()))));
        }
        "base64" => {
            let media_type = field(place, &source, "media_type")?;
            if media_type != PDF {
                return Err(refuse(
                    place.member("source").member("media_type"),
                    "application/pdf is wanted",
                ));
            }
            parts.extend(context.map(|context| Part::Text(Cow::Borrowed(context))));
            parts.push(Part::File {
                title,
                data: field(place, &source, "data")?,
            });
        }
        "content" => {
            parts.extend(
                title
                    .into_iter()
                    .chain(context)
                    .map(|text| Part::Text(Cow::Borrowed(text))),
            );
            let content = source.get("content");
            let source_place = place.member("source");
            let place = source_place.member("content");
            let content = content.ok_or_else(|| refuse(place, "a string or a list is wanted"))?;
            if let Some(text) = content.escaped() {
                parts.push(Part::Text(Cow::Borrowed(text)));
            } else {
                for (index, block) in Block::read_all(place, content)?.iter().enumerate() {
                    let place = place.element(index);
                    if !matches!(block.kind.as_ref(), "text" | "image") {
                        return Err(refuse_block(place, &block.kind));
                    }
                    add(losses, place, block, parts)?;
                }
            }
        }
        _ => return Err(refuse_source(place, &kind)),
    }
    losses.unread(place, &block.members, &["type", "source", "title", "context"]);
    Ok(())
}

fn search_result<'a>(
    losses: &mut Losses,
    place: Place<'_>,
    block: &Block<'a>,
    parts: &mut Vec<Part<'a>>,
) -> Result<(), Untranslatable> {
    let heading = ["title", "source"]
        .into_iter()
        .filter_map(|key| block.members.get(key)?.escaped());
    let mut texts: Vec<&str> = heading.collect();
    let content_place = place.member("content");
    if let Some(content) = block.members.get("content") {
        for (index, text) in Block::read_all(content_place, content)?.iter().enumerate() {
            texts.extend(text.text(content_place.element(index), "text")?);
        }
    }
    parts.push(Part::Text(Cow::Owned(join(texts.into_iter()))));
    losses.unread(place, &block.members, &["type", "title", "source", "content"]);
    Ok(())
}

fn refuse_source(place: Place<'_>, kind: &str) -> Untranslatable {
    let kind: String = kind.chars().take(64).collect();
    let problem = format!(
        "the upstream of this model cannot read `{kind}` sources; send the content as base64 or text"
    );
    refuse(place.member("source").member("type"), problem)
}

fn put_data_url(part: &mut Vec<u8>, media_type: &str, data: &str) {
    for piece in ["data:", media_type, ";base64,", data] {
        part.put_slice(piece.as_bytes());
    }
}

/// Joins escaped texts by a blank line.
pub(crate) fn join<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    let mut joined = String::new();
    for text in texts {
        if !joined.is_empty() {
            joined.push_str(BLANK_LINE);
        }
        joined.push_str(text);
    }
    joined
}

/// Writes the `content` of a user message: a plain string where it is all text, because many upstreams
/// refuse lists, else a list.
pub(super) fn put_content(draft: &mut Draft<'_>, parts: &[Part<'_>]) {
    let texts = || {
        parts.iter().filter_map(|part| {
            if let Part::Text(text) = part {
                Some(text.as_ref())
            } else {
                None
            }
        })
    };
    if texts().count() == parts.len() {
        draft.out.put_u8(b'"');
        for (index, text) in texts().enumerate() {
            if index > 0 {
                draft.out.put_slice(BLANK_LINE.as_bytes());
            }
            draft.out.put_slice(text.as_bytes());
        }
        draft.out.put_u8(b'"');
        return;
    }
    draft.out.put_u8(b'[');
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            draft.out.put_u8(b',');
        }
        match part {
            Part::Text(text) => {
                draft.out.put_slice(br#"{"type":"text","text":""#);
                draft.out.put_slice(text.as_bytes());
                draft.out.put_slice(br#""}"#);
            }
            Part::Image(picture) => {
                draft.images = draft.images.saturating_add(1);
                put_opaque(draft, &image_json(picture));
            }
            Part::File { title, data } => {
                let json = file_json(*title, data);
                draft.images = draft.images.saturating_add(tally::pages(json.len()));
                put_opaque(draft, &json);
            }
        }
    }
    draft.out.put_u8(b']');
}

fn image_json(picture: &Picture<'_>) -> Vec<u8> {
    let mut part = Vec::new();
    part.put_slice(br#"{"type":"image_url","image_url":{"url":""#);
    match picture {
        Picture::Data { media_type, data } => put_data_url(&mut part, media_type, data),
        Picture::Url(url) => part.put_slice(url.as_bytes()),
    }
    part.put_slice(br#""}}"#);
    part
}

fn file_json(title: Option<&str>, data: &str) -> Vec<u8> {
    let mut part = Vec::new();
    part.put_slice(br#"{"type":"file","file":{"filename":""#);
    part.put_slice(title.unwrap_or("document.pdf").as_bytes());
    part.put_slice(br#"","file_data":""#);
    put_data_url(&mut part, PDF, data);
    part.put_slice(br#""}}"#);
    part
}

fn put_opaque(draft: &mut Draft<'_>, json: &[u8]) {
    draft.opaque_bytes = draft.opaque_bytes.saturating_add(json.len());
    draft.out.put_slice(json);
}
