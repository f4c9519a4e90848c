//! Texts, pictures and documents, wherever they stand.

use bytes::BufMut;

use crate::dialect::raw::unescape;
use crate::pipeline::translate::answer::tally;
use crate::pipeline::translate::dropped::Place;
use crate::pipeline::translate::request::parts::{Part, Picture};
use crate::pipeline::translate::request::{Untranslatable, refuse};
use crate::pipeline::translate::to_converse::Draft;

/// Pictures that Converse takes, by their media types.
const FORMATS: [(&str, &str); 4] = [
    ("image/png", "png"),
    ("image/jpeg", "jpeg"),
    ("image/gif", "gif"),
    ("image/webp", "webp"),
];

/// The longest name of a document, the number that tells it from others left out.
const NAME_CHARS_MAX: usize = 190;

/// What a document without a name is called.
const NAMELESS: &str = "document";

/// Writes a part as an element.
pub(super) fn put(draft: &mut Draft, place: &str, part: &Part<'_>) -> Result<(), Untranslatable> {
    match part {
        Part::Text(text) => draft.put_text(text),
        Part::Image(Picture::Data { media_type, data }) => {
            let known = FORMATS.iter().find(|(known, _)| known == media_type);
            let Some((_, format)) = known else {
                let problem = "the upstream of this model reads PNG, JPEG, GIF and WebP pictures only";
                return Err(refuse_at(place, problem));
            };
            draft.images = draft.images.saturating_add(1);
            draft.separate();
            draft.out.put_slice(br#"{"image":{"format":""#);
            draft.out.put_slice(format.as_bytes());
            put_bytes(draft, data);
        }
        Part::Image(Picture::Url(_)) => {
            let problem = "the upstream of this model cannot read `url` sources; send the content as base64";
            return Err(refuse_at(place, problem));
        }
        Part::File { title, data } => {
            draft.images = draft.images.saturating_add(tally::pages(data.len()));
            let name = name(draft, title.unwrap_or(NAMELESS));
            draft.separate();
            draft.out.put_slice(br#"{"document":{"format":"pdf","name":""#);
            draft.out.put_slice(name.as_bytes());
            put_bytes(draft, data);
        }
    }
    Ok(())
}

fn refuse_at(place: &str, problem: &str) -> Untranslatable {
    refuse(Place::Body.member(place).member("source"), problem)
}

/// Ends a picture or document with its content.
fn put_bytes(draft: &mut Draft, base64: &str) {
    draft.out.put_slice(br#"","source":{"bytes":""#);
    draft.out.put_slice(base64.as_bytes());
    draft.out.put_slice(br#""}}}"#);
    draft.opaque_bytes = draft.opaque_bytes.saturating_add(base64.len());
}

/// A name that Converse takes: letters, digits, single spaces, hyphens, parentheses and square brackets,
/// and no other document of the request has it. None of these needs an escape.
fn name(draft: &mut Draft, title: &str) -> String {
    let title = unescape(title).unwrap_or_default();
    let mut name = String::new();
    for c in title.chars().take(NAME_CHARS_MAX) {
        if c.is_ascii_alphanumeric() || matches!(c, '-' | '(' | ')' | '[' | ']') {
            name.push(c);
        } else if !name.ends_with([' ', '-']) && !name.is_empty() {
            name.push(if c.is_whitespace() { ' ' } else { '-' });
        }
    }
    let name = name.trim_end_matches([' ', '-']);
    let name = if name.is_empty() { NAMELESS } else { name };
    let again = (2u32..).map(|nth| format!("{name} ({nth})"));
    let mut names = std::iter::once(name.to_owned()).chain(again);
    let free = names.find(|name| !draft.documents.contains(name));
    let free = free.unwrap_or_default();
    draft.documents.insert(free.clone());
    free
}
