//! Writers of the Messages stream, one per event. Texts are given as they stand between JSON quotes.

use bytes::{BufMut, BytesMut};

use crate::dialect::anthropic::error::{ErrorKind, put_envelope};
use crate::dialect::anthropic::usage::put_usage;
use crate::dialect::raw::put_string;
use crate::types::ids::ModelName;
use crate::types::usage::Usage;

/// The number of a content block in its message.
pub type BlockIndex = u32;

/// `ping`: allowed anywhere between two events after `message_start`.
pub const PING: &[u8] = b"event: ping\ndata: {\"type\":\"ping\"}\n\n";

/// `message_stop`: the proper end.
pub const MESSAGE_STOP: &[u8] = b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

/// `message_start` with the usage known by then.
pub fn put_message_start(out: &mut BytesMut, id: &str, model: &ModelName, usage: &Usage) {
    out.put_slice(b"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":");
    put_string(out, id);
    out.put_slice(br#","type":"message","role":"assistant","model":"#);
    put_string(out, model.as_str());
    out.put_slice(br#","content":[],"stop_reason":null,"stop_sequence":null,"usage":"#);
    put_usage(out, usage);
    out.put_slice(b"}}\n\n");
}

/// `content_block_start` of a text block.
pub fn put_text_start(out: &mut BytesMut, index: BlockIndex) {
    put_block_start(out, index);
    out.put_slice(b"{\"type\":\"text\",\"text\":\"\"}}\n\n");
}

/// `content_block_start` of a thinking block.
pub fn put_thinking_start(out: &mut BytesMut, index: BlockIndex) {
    put_block_start(out, index);
    out.put_slice(b"{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}\n\n");
}

/// `content_block_start` of a tool call. Its input comes in deltas only, however short it is.
pub fn put_tool_start(out: &mut BytesMut, index: BlockIndex, id: &str, name: &str) {
    put_block_start(out, index);
    out.put_slice(br#"{"type":"tool_use","id":"#);
    put_string(out, id);
    out.put_slice(br#","name":"#);
    put_string(out, name);
    out.put_slice(b",\"input\":{}}}\n\n");
}

/// What a `content_block_delta` carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delta {
    /// Text of a text block.
    Text,
    /// Text of a thinking block.
    Thinking,
    /// The signature of a thinking block: the last delta in it.
    Signature,
    /// A fragment of a tool call's input.
    InputJson,
}

/// `content_block_delta` with this escaped text.
pub fn put_delta(out: &mut BytesMut, index: BlockIndex, delta: Delta, escaped: &str) {
    let head: &[u8] = match delta {
        Delta::Text => br#","delta":{"type":"text_delta","text":""#,
        Delta::Thinking => br#","delta":{"type":"thinking_delta","thinking":""#,
        Delta::Signature => br#","delta":{"type":"signature_delta","signature":""#,
        Delta::InputJson => br#","delta":{"type":"input_json_delta","partial_json":""#,
    };
    out.put_slice(b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":");
    put_count(out, u64::from(index));
    out.put_slice(head);
    out.put_slice(escaped.as_bytes());
    out.put_slice(b"\"}}\n\n");
}

/// `content_block_stop`.
pub fn put_block_stop(out: &mut BytesMut, index: BlockIndex) {
    out.put_slice(b"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":");
    put_count(out, u64::from(index));
    out.put_slice(b"}\n\n");
}

/// `message_delta` with the final usage.
pub fn put_message_delta(out: &mut BytesMut, stop_reason: &str, stop_sequence: Option<&str>, usage: &Usage) {
    out.put_slice(b"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":");
    put_string(out, stop_reason);
    out.put_slice(br#","stop_sequence":"#);
    match stop_sequence {
        Some(sequence) => put_string(out, sequence),
        None => out.put_slice(b"null"),
    }
    out.put_slice(br#"},"usage":"#);
    put_usage(out, usage);
    out.put_slice(b"}\n\n");
}

/// `error`: terminal.
pub fn put_error(out: &mut BytesMut, kind: ErrorKind, message: &str) {
    out.put_slice(b"event: error\ndata: ");
    put_envelope(out, kind, message, None);
    out.put_slice(b"\n\n");
}

/// Writes a whole number.
pub fn put_count(out: &mut impl BufMut, count: u64) {
    let mut digits = [0u8; 20];
    let (mut rest, mut used) = (count, 0);
    for place in digits.iter_mut().rev() {
        // A remainder of ten fits a byte.
        *place = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        used += 1;
        if rest == 0 {
            break;
        }
    }
    out.put_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

fn put_block_start(out: &mut BytesMut, index: BlockIndex) {
    out.put_slice(b"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":");
    put_count(out, u64::from(index));
    out.put_slice(br#","content_block":"#);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::sse::{Decoder, Item};

    #[test]
    fn every_event_names_the_type_that_its_data_has() {
        let mut out = BytesMut::new();
        let usage = Usage {
            input: 3,
            thinking: 1,
            ..Usage::default()
        };
        put_message_start(&mut out, "msg_\"1", &ModelName::new("m"), &usage);
        out.put_slice(PING);
        put_text_start(&mut out, 0);
        put_thinking_start(&mut out, 1);
        put_tool_start(&mut out, 2, "id", "na\"me");
        for delta in [Delta::Text, Delta::Thinking, Delta::Signature, Delta::InputJson] {
            put_delta(&mut out, 4_294_967_295, delta, "\\n");
        }
        put_block_stop(&mut out, 10);
        put_message_delta(&mut out, "end_turn", Some("\"#"), &usage);
        out.put_slice(MESSAGE_STOP);
        put_error(&mut out, ErrorKind::Api, "x");

        let (mut decoder, mut rest, mut events) = (Decoder::new(), out.as_ref(), 0);
        while let Some(Item::Event(event)) = decoder.next(&mut rest).unwrap() {
            let data: serde_json::Value = serde_json::from_slice(event.data).unwrap();
            assert_eq!(data["type"].as_str().unwrap().as_bytes(), event.name);
            events += 1;
        }
        assert_eq!((events, rest.len()), (13, 0));
    }

    #[test]
    fn counts_are_written_in_full() {
        for count in [0, 7, 10, 1_234_567_890, u64::MAX] {
            let mut out = Vec::new();
            put_count(&mut out, count);
            assert_eq!(String::from_utf8(out).unwrap(), count.to_string());
        }
    }
}
