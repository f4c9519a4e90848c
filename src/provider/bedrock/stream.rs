//! The binary frames of `application/vnd.amazon.eventstream`, as server-sent events.
//!
//! Both checksums of a frame are checked. InvokeModel's frames carry events of the Messages stream, those of
//! ConverseStream are told apart by their names. A frame that is an exception becomes an `error` event: nothing
//! that follows it could be a proper end.

use std::borrow::Cow;

use aws_smithy_eventstream::frame::read_message_from;
use aws_smithy_types::event_stream::Message;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};

use crate::dialect::anthropic::error::ErrorKind;
use crate::dialect::anthropic::event::put_error;
use crate::dialect::converse::answer::EVENTS;
use crate::dialect::raw::Members;
use crate::provider::frames::{Frames, Misframed};

/// The largest frame that is accepted: 16 MiB of payload, and headers.
const FRAME_BYTES_MAX: usize = (16 << 20) + (128 << 10);

/// The smallest one: two lengths and two checksums.
const FRAME_BYTES_MIN: usize = 16;

/// The length of a frame stands in its first four bytes.
const LENGTH_BYTES: usize = 4;

/// Takes Bedrock's frames apart.
#[derive(Debug, Default)]
pub(super) struct EventStream {
    held: BytesMut,
    /// What was wrong behind the events that were handed out last.
    broken: Option<Misframed>,
}

impl Frames for EventStream {
    fn push(&mut self, chunk: &Bytes) -> Result<Bytes, Misframed> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        self.held.extend_from_slice(chunk);
        let mut events = BytesMut::new();
        match self.take(&mut events) {
            // What came before it is good, however the network cut it.
            Err(broken) if !events.is_empty() => self.broken = Some(broken),
            taken => taken?,
        }
        Ok(events.freeze())
    }

    fn is_at_border(&self) -> bool {
        self.held.is_empty() && self.broken.is_none()
    }
}

impl EventStream {
    /// Writes the events of all frames that are whole.
    fn take(&mut self, events: &mut BytesMut) -> Result<(), Misframed> {
        while let Some(frame) = self.next()? {
            put(&frame, events)?;
        }
        Ok(())
    }

    /// The next whole frame.
    fn next(&mut self) -> Result<Option<Message>, Misframed> {
        let Some(length) = self.held.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if !(FRAME_BYTES_MIN..=FRAME_BYTES_MAX).contains(&length) {
            return Err(Misframed(
                "a frame of the upstream is longer or shorter than any may be",
            ));
        }
        if self.held.len() < length {
            return Ok(None);
        }
        let frame = self.held.split_to(length);
        read_message_from(frame)
            .map(Some)
            .map_err(|_| Misframed("a frame of the upstream fails its checksum, or is none"))
    }
}

/// A header of a frame.
fn header<'m>(frame: &'m Message, name: &str) -> &'m str {
    let found = frame
        .headers()
        .iter()
        .find(|header| header.name().as_str() == name);
    let value = found.and_then(|header| header.value().as_string().ok());
    value.map_or("", |value| value.as_str())
}

/// Writes the event that a frame carries.
fn put(frame: &Message, events: &mut BytesMut) -> Result<(), Misframed> {
    let text = std::str::from_utf8(frame.payload())
        .map_err(|_| Misframed("a frame of the upstream holds no text"))?;
    let payload = Members::read(text).unwrap_or_default();
    match header(frame, ":message-type") {
        "event" => {
            let name = header(frame, ":event-type");
            if EVENTS.contains(&name) {
                put_named(name, text, events);
                return Ok(());
            }
            put_event(&payload, events)
        }
        "exception" => {
            let message = payload.string("message").unwrap_or_default();
            put_exception(header(frame, ":exception-type"), &payload, &message, events);
            Ok(())
        }
        "error" => {
            let message = header(frame, ":error-message");
            put_exception(header(frame, ":error-code"), &payload, message, events);
            Ok(())
        }
        _ => Err(Misframed("a frame of the upstream is of no known kind")),
    }
}

/// An event of ConverseStream, as an object whose only member has its name.
fn put_named(name: &str, payload: &str, events: &mut BytesMut) {
    for piece in ["data: {\"", name, "\":"] {
        events.put_slice(piece.as_bytes());
    }
    // Line ends stand between JSON tokens only, where they say nothing; in an event they would end its line.
    for line in payload.split(['\r', '\n']) {
        events.put_slice(line.as_bytes());
    }
    events.put_slice(b"}\n\n");
}

/// An event of the Messages stream, in base64.
fn put_event(payload: &Members<'_>, events: &mut BytesMut) -> Result<(), Misframed> {
    let Some(encoded) = payload.string("bytes") else {
        // Frames of another kind carry nothing that a client of Messages would know.
        return Ok(());
    };
    let mut event = STANDARD
        .decode(encoded.as_bytes())
        .map_err(|_| Misframed("a frame of the upstream holds no base64"))?;
    // Between JSON tokens only, where they say nothing; in an event they would end its line.
    event.retain(|byte| !matches!(byte, b'\r' | b'\n'));
    let text = std::str::from_utf8(&event).map_err(|_| Misframed("an event of the upstream is no text"))?;
    let kind = Members::read(text).and_then(|event| event.string("type").map(Cow::into_owned));
    let kind = kind.filter(|kind| kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
    let kind = kind.ok_or(Misframed("an event of the upstream has no type"))?;
    for piece in ["event: ", &kind, "\ndata: ", text, "\n\n"] {
        events.put_slice(piece.as_bytes());
    }
    Ok(())
}

/// An exception, as the error event that it is to clients.
fn put_exception(kind: &str, payload: &Members<'_>, message: &str, events: &mut BytesMut) {
    let original = payload.count("originalStatusCode");
    let kind = match (kind, original) {
        ("throttlingException", _) | (_, Some(429)) => ErrorKind::RateLimit,
        ("serviceUnavailableException", _) | (_, Some(503 | 529)) => ErrorKind::Overloaded,
        ("modelTimeoutException", _) | (_, Some(408 | 504)) => ErrorKind::Timeout,
        ("validationException", _) | (_, Some(400)) => ErrorKind::InvalidRequest,
        _ => ErrorKind::Api,
    };
    let original = payload.string("originalMessage");
    let told = original
        .as_deref()
        .filter(|told| !told.is_empty())
        .unwrap_or(message);
    let told = if told.is_empty() {
        "the upstream broke its answer off"
    } else {
        told
    };
    put_error(events, kind, told);
}

#[cfg(test)]
mod tests {
    use aws_smithy_eventstream::frame::write_message_to;
    use aws_smithy_types::event_stream::{Header, HeaderValue};

    use super::*;

    /// Known answers, computed by botocore: an event, and an exception.
    const EVENT: &str = "0000007b0000004b0a2e96af0b3a6576656e742d747970650700056368756e6b0d3a636f6e74656e742d7479\
                         70650700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b22\
                         6279746573223a2265794a306558426c496a6f6963476c755a794a39227da01f56c4";
    const EXCEPTION: &str = "0000008800000061de0175f40f3a657863657074696f6e2d747970650700137468726f74746c696e67457863\
                             657074696f6e0d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e0d3a6d6573\
                             736167652d74797065070009657863657074696f6e7b226d657373616765223a22736c6f7720646f776e227d\
                             832ee072";
    const PING: &str = "event: ping\ndata: {\"type\":\"ping\"}\n\n";

    fn bytes(hex: &str) -> Vec<u8> {
        let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(digit).collect()
    }

    fn taken(stream: &[u8], cut: usize) -> Result<(String, bool), Misframed> {
        let mut frames = EventStream::default();
        let mut events = Vec::new();
        for piece in stream.chunks(cut) {
            events.extend_from_slice(&frames.push(&Bytes::copy_from_slice(piece))?);
        }
        Ok((String::from_utf8(events).unwrap(), frames.is_at_border()))
    }

    #[test]
    fn frames_become_events_wherever_they_are_cut() {
        let stream = [bytes(EVENT), bytes(EVENT), bytes(EXCEPTION)].concat();
        let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"slow down\"}}\n\n";
        for cut in 1..=stream.len() {
            let (events, is_whole) = taken(&stream, cut).unwrap();
            assert_eq!(
                (events.as_str(), is_whole),
                (format!("{PING}{PING}{error}").as_str(), true)
            );
        }
        let (events, is_whole) = taken(&stream[..130], 7).unwrap();
        assert_eq!((events.as_str(), is_whole), (PING, false));
    }

    #[test]
    fn events_of_converse_keep_their_names() {
        let frame = |name: &'static str, payload: &'static str| {
            let header = |name: &'static str, value: &'static str| {
                Header::new(name, HeaderValue::String(value.into()))
            };
            let message = Message::new(payload)
                .add_header(header(":event-type", name))
                .add_header(header(":message-type", "event"));
            let mut bytes = Vec::new();
            write_message_to(&message, &mut bytes).unwrap();
            bytes
        };
        let stream = [
            frame("contentBlockDelta", "{\"delta\":\r\n{\"text\":\"a\"}}"),
            frame("somethingNew", "{}"),
            frame("metadata", "{\"usage\":{}}"),
        ]
        .concat();
        let expected = "data: {\"contentBlockDelta\":{\"delta\":{\"text\":\"a\"}}}\n\ndata: {\"metadata\":{\"usage\":{}}}\n\n";
        assert_eq!(taken(&stream, 11).unwrap(), (expected.to_owned(), true));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let good = bytes(EVENT);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            // A longer length waits for more; then the body's end cuts it off.
            let noticed = taken(&bad, 1000).is_err() || !taken(&bad, 1000).unwrap().1;
            assert!(noticed, "byte {at}");
        }
    }

    #[test]
    fn a_frame_that_is_too_long_is_refused_before_it_comes() {
        let mut frames = EventStream::default();
        let refused = frames.push(&Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff]));
        assert!(refused.is_err());
        assert!(taken(&[0; 16], 1).is_err());
    }
}
