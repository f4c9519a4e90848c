//! Parts of chat messages, as content blocks.

use crate::dialect::raw::{Members, Raw};
use crate::pipeline::translate::dropped::{Losses, Place};
use crate::pipeline::translate::request::{Untranslatable, refuse};
use crate::pipeline::translate::to_messages::blocks::{put_content, put_file, put_image, put_text};

/// Writes content as blocks, each with a comma before it; blank text is left out.
pub(super) fn put_blocks(
    out: &mut Vec<u8>,
    losses: &mut Losses,
    place: Place<'_>,
    content: Raw<'_>,
) -> Result<(), Untranslatable> {
    put_content(out, losses, place, content, put_part)
}

fn put_part(
    out: &mut Vec<u8>,
    losses: &mut Losses,
    place: Place<'_>,
    part: &Members<'_>,
) -> Result<(), Untranslatable> {
    let kind = part.string("type").unwrap_or_default();
    let cache = part.get("cache_control");
    match kind.as_ref() {
        "text" | "input_text" | "output_text" | "refusal" => {
            let key = if kind == "refusal" { "refusal" } else { "text" };
            let text = part.get(key).and_then(Raw::escaped);
            put_text(
                out,
                text.ok_or_else(|| refuse(place.member(key), "a string is wanted"))?,
                cache,
            );
        }
        "image_url" => {
            let wrapped = part.members("image_url").unwrap_or_default();
            if wrapped.get("detail").is_some() {
                losses.hint(
                    place.member("image_url").member("detail"),
                    "the upstream decides it",
                );
            }
            let url = wrapped.get("url").or_else(|| part.get("image_url"));
            let url = url.and_then(Raw::string);
            put_image(out, place.member("image_url"), url, cache)?;
        }
        "file" => {
            let file = part.members("file").unwrap_or_default();
            let (data, name) = (file.string("file_data"), file.get("filename"));
            put_file(out, place.member("file"), data.as_deref(), name, cache)?;
        }
        // A signed block of a client that mixes the formats belongs to nobody here.
        "thinking" | "redacted_thinking" => losses.loss(place, "not in chat completions"),
        kind => {
            let kind: String = kind.chars().take(64).collect();
            let problem =
                format!("`{kind}` parts are unknown to the upstream of this model: send text or an image");
            return Err(refuse(place, problem));
        }
    }
    Ok(())
}
