//! Content of messages and of results, as content blocks.

use crate::dialect::raw::{Members, Raw};
use crate::pipeline::translate::dropped::{Losses, Place};
use crate::pipeline::translate::request::{Untranslatable, refuse};
use crate::pipeline::translate::to_messages::blocks::{
    put_content, put_file, put_file_at, put_image, put_text,
};

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
    match kind.as_ref() {
        "input_text" | "output_text" | "text" | "refusal" => {
            let key = if kind == "refusal" { "refusal" } else { "text" };
            let text = part.get(key).and_then(Raw::escaped);
            let text = text.ok_or_else(|| refuse(place.member(key), "a string is wanted"))?;
            put_text(out, text, None);
        }
        "input_image" => {
            if part.get("detail").is_some() {
                losses.hint(place.member("detail"), "the upstream decides it");
            }
            refuse_kept(part, place)?;
            put_image(out, place.member("image_url"), part.string("image_url"), None)?;
        }
        "input_file" => {
            refuse_kept(part, place)?;
            let name = part.get("filename");
            match part.string("file_url") {
                Some(url) => put_file_at(out, &url, name),
                None => {
                    let data = part.string("file_data");
                    put_file(out, place.member("file_data"), data.as_deref(), name, None)?;
                }
            }
        }
        kind => {
            let kind: String = kind.chars().take(64).collect();
            let problem =
                format!("`{kind}` parts are unknown to the upstream of this model: send text or an image");
            return Err(refuse(place, problem));
        }
    }
    Ok(())
}

/// Refuses what OpenAI keeps: no other vendor has it.
fn refuse_kept(part: &Members<'_>, place: Place<'_>) -> Result<(), Untranslatable> {
    if part.get("file_id").is_some() {
        let problem = "the upstream of this model does not have the file: send its content";
        return Err(refuse(place.member("file_id"), problem));
    }
    Ok(())
}
