//! Content blocks, made of what clients of OpenAI's API send: each is written with a comma before it.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BufMut;

use crate::dialect::raw::{Members, Raw, is_blank, put_string};
use crate::pipeline::translate::dropped::{Losses, Place};
use crate::pipeline::translate::request::{Untranslatable, refuse};

/// The pictures that the Messages API takes.
const IMAGE_TYPES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// Writes content, a text or a list of parts, of which each API has its own kinds; blank text is left out.
pub(crate) fn put_content(
    out: &mut Vec<u8>,
    losses: &mut Losses,
    place: Place<'_>,
    content: Raw<'_>,
    put_part: fn(&mut Vec<u8>, &mut Losses, Place<'_>, &Members<'_>) -> Result<(), Untranslatable>,
) -> Result<(), Untranslatable> {
    if let Some(text) = content.escaped() {
        put_text(out, text, None);
        return Ok(());
    }
    let parts = content
        .elements()
        .ok_or_else(|| refuse(place, "a string or a list of parts is wanted"))?;
    for (index, part) in parts.into_iter().enumerate() {
        let place = place.element(index);
        let part = part
            .members()
            .ok_or_else(|| refuse(place, "an object is wanted"))?;
        put_part(out, losses, place, &part)?;
    }
    Ok(())
}

/// Writes a text block, unless it is blank: the upstream refuses such blocks.
pub(crate) fn put_text(out: &mut Vec<u8>, escaped: &str, cache: Option<Raw<'_>>) {
    if is_blank(escaped) {
        return;
    }
    out.put_slice(br#",{"type":"text","text":""#);
    out.put_slice(escaped.as_bytes());
    out.put_u8(b'"');
    put_cache(out, cache);
    out.put_u8(b'}');
}

fn put_cache(out: &mut Vec<u8>, cache: Option<Raw<'_>>) {
    if let Some(cache) = cache {
        out.put_slice(br#","cache_control":"#);
        out.put_slice(cache.text().as_bytes());
    }
}

/// Writes a picture at this address, which may hold it itself.
pub(crate) fn put_image(
    out: &mut Vec<u8>,
    place: Place<'_>,
    url: Option<Cow<'_, str>>,
    cache: Option<Raw<'_>>,
) -> Result<(), Untranslatable> {
    let url = url.ok_or_else(|| refuse(place, "an object with a url is wanted"))?;
    out.put_slice(br#",{"type":"image","source":"#);
    if let Some((kind, data)) = data_url(&url) {
        let kind = if kind == "image/jpg" { "image/jpeg" } else { kind };
        if !IMAGE_TYPES.contains(&kind) {
            return Err(refuse(
                place,
                "the upstream of this model takes JPEG, PNG, GIF and WebP",
            ));
        }
        put_source(out, "base64", Some(kind), "data", data);
    } else {
        put_source(out, "url", None, "url", &url);
    }
    put_cache(out, cache);
    out.put_u8(b'}');
    Ok(())
}

/// Writes a file with this content, a base64 data URL.
pub(crate) fn put_file(
    out: &mut Vec<u8>,
    place: Place<'_>,
    data: Option<&str>,
    name: Option<Raw<'_>>,
    cache: Option<Raw<'_>>,
) -> Result<(), Untranslatable> {
    let Some((kind, data)) = data.and_then(data_url) else {
        let problem = "only files that come along as a base64 data URL can go to the upstream of this model";
        return Err(refuse(place, problem));
    };
    out.put_slice(br#",{"type":"document","source":"#);
    match kind {
        "application/pdf" => put_source(out, "base64", Some(kind), "data", data),
        kind if kind.starts_with("text/") => {
            let text = STANDARD
                .decode(data)
                .ok()
                .and_then(|text| String::from_utf8(text).ok());
            let text = text.ok_or_else(|| refuse(place, "the file is no base64 of UTF-8 text"))?;
            put_source(out, "text", Some("text/plain"), "data", &text);
        }
        _ => {
            return Err(refuse(
                place,
                "the upstream of this model takes PDF and text files",
            ));
        }
    }
    put_title(out, name);
    put_cache(out, cache);
    out.put_u8(b'}');
    Ok(())
}

/// Writes a file that stands at this address.
pub(crate) fn put_file_at(out: &mut Vec<u8>, url: &str, name: Option<Raw<'_>>) {
    out.put_slice(br#",{"type":"document","source":"#);
    put_source(out, "url", None, "url", url);
    put_title(out, name);
    out.put_u8(b'}');
}

fn put_title(out: &mut Vec<u8>, name: Option<Raw<'_>>) {
    if let Some(name) = name.filter(|name| name.escaped().is_some()) {
        out.put_slice(br#","title":"#);
        out.put_slice(name.text().as_bytes());
    }
}

fn put_source(out: &mut Vec<u8>, kind: &str, media: Option<&str>, key: &str, value: &str) {
    out.put_slice(br#"{"type":"#);
    put_string(out, kind);
    if let Some(media) = media {
        out.put_slice(br#","media_type":"#);
        put_string(out, media);
    }
    out.put_u8(b',');
    put_string(out, key);
    out.put_u8(b':');
    put_string(out, value);
    out.put_u8(b'}');
}

/// Media type and data of a base64 `data:` URL.
fn data_url(url: &str) -> Option<(&str, &str)> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    let kind = head.strip_suffix(";base64")?;
    // Parameters of the type say nothing that the upstream reads.
    Some((kind.split(';').next().unwrap_or(kind), data))
}
