//! Thinking that clients of chat completions send back.

use std::borrow::Cow;

use bytes::BufMut;

use crate::dialect::anthropic::signature;
use crate::dialect::raw::{Members, Raw, put_string};
use crate::pipeline::translate::answer::openai::context::REASONING_FORMAT;
use crate::pipeline::translate::dropped::{Losses, Place};

/// A detail of thinking that Anthropic's models take back.
enum Detail<'a> {
    Signed(&'a str, Cow<'a, str>),
    Sealed(&'a str),
}

fn details_of<'a>(message: &Members<'a>) -> Vec<Detail<'a>> {
    let listed = message
        .get("reasoning_details")
        .and_then(Raw::elements)
        .unwrap_or_default();
    let ours = |detail: &Members<'a>| {
        detail
            .string("format")
            .is_some_and(|format| format == REASONING_FORMAT)
    };
    let listed = listed.into_iter().filter_map(Raw::members).filter(ours);
    let read = |detail: Members<'a>| {
        let signature = detail.string("signature");
        let signature = signature.filter(|signature| !signature::is_unsigned(signature));
        let data = detail.get("data").filter(|data| data.escaped().is_some());
        match (signature, data) {
            (Some(signature), _) => {
                let text = detail.get("text").and_then(Raw::escaped).unwrap_or_default();
                Some(Detail::Signed(text, signature))
            }
            (None, data) => data.map(|data| Detail::Sealed(data.text())),
        }
    };
    listed.filter_map(read).collect()
}

/// Whether a message brings thinking that its maker takes back.
pub(super) fn has_signed_thinking(message: &Members<'_>) -> bool {
    !details_of(message).is_empty()
}

/// Writes thinking that Anthropic signed; any other would be refused.
pub(super) fn put_reasoning(out: &mut Vec<u8>, losses: &mut Losses, place: Place<'_>, message: &Members<'_>) {
    let details = details_of(message);
    let signed = !details.is_empty();
    for detail in details {
        match detail {
            Detail::Signed(text, signature) => {
                out.put_slice(br#",{"type":"thinking","thinking":""#);
                out.put_slice(text.as_bytes());
                out.put_slice(br#"","signature":"#);
                put_string(out, &signature);
            }
            Detail::Sealed(data) => {
                out.put_slice(br#",{"type":"redacted_thinking","data":"#);
                out.put_slice(data.as_bytes());
            }
        }
        out.put_u8(b'}');
    }
    let unsigned = ["reasoning_content", "reasoning", "reasoning_details"];
    for key in unsigned {
        let is_there = message
            .get(key)
            .is_some_and(|value| !matches!(value.text(), "\"\"" | "[]"));
        if is_there && !signed {
            losses.loss(place.member(key), "thinking without a signature of the upstream");
        }
    }
}
