//! Thinking that clients of the Responses API send back.

use bytes::BufMut;

use crate::dialect::anthropic::signature;
use crate::dialect::openai::reasoning::{Carried, open};
use crate::dialect::raw::{Members, Raw, is_blank, put_string};
use crate::pipeline::translate::dropped::{Losses, Place};
use crate::pipeline::translate::to_messages::Reader;

/// The text of an item: what it was summed up as, else what was thought.
fn text_of(item: &Members<'_>) -> String {
    let texts = |key| {
        let parts = item.get(key).and_then(Raw::elements).unwrap_or_default();
        let texts = parts
            .into_iter()
            .filter_map(|part| part.members()?.string("text"));
        texts.collect::<String>()
    };
    let summary = texts("summary");
    if summary.is_empty() {
        texts("content")
    } else {
        summary
    }
}

/// Whether an item brings thinking that its maker takes back.
pub(super) fn is_signed(item: &Members<'_>) -> bool {
    let content = item.string("encrypted_content").unwrap_or_default();
    match open(&content) {
        Some(Carried::Sealed(_)) => true,
        Some(Carried::Signed(carried)) => carried
            .of(&text_of(item))
            .is_some_and(|found| !signature::is_unsigned(found)),
        None => false,
    }
}

/// Writes thinking that the reader takes: Anthropic what it signed itself, another translation whatever
/// has a text.
pub(super) fn put(
    out: &mut Vec<u8>,
    losses: &mut Losses,
    place: Place<'_>,
    item: &Members<'_>,
    reader: Reader<'_>,
) {
    let content = item.string("encrypted_content").unwrap_or_default();
    let text = text_of(item);
    let found = match open(&content) {
        Some(Carried::Sealed(data)) => {
            out.put_slice(br#",{"type":"redacted_thinking","data":"#);
            put_string(out, data);
            out.put_u8(b'}');
            return;
        }
        Some(Carried::Signed(carried)) => carried.of(&text),
        None => None,
    };
    let takes = |signature: &str| match reader {
        Reader::Upstream(_) => !signature::is_unsigned(signature),
        Reader::Translation => true,
    };
    let unsigned = (matches!(reader, Reader::Translation) && !is_blank(&text)).then_some("");
    match found.filter(|found| takes(found)).or(unsigned) {
        Some(signature) => {
            out.put_slice(br#",{"type":"thinking","thinking":"#);
            put_string(out, &text);
            out.put_slice(br#","signature":"#);
            put_string(out, signature);
            out.put_u8(b'}');
        }
        None if content.is_empty() && text.is_empty() => {}
        None => losses.loss(place, "thinking without a signature of the upstream"),
    }
}
