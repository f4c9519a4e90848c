//! Transcripts of Bedrock's event streams: written as names and payloads, sent as binary frames.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use tollgate::provider::frames::Frames;
use tollgate::provider::options::Options;
use tollgate::provider::registry::Registry;
use tollgate::provider::{Provider, Settings};
use tollgate::types::destination::Destination;

use super::format::transcript::{Ending, Transcript};
use crate::fuzzed::properties::frames::frame;

/// A provider that is reached nowhere.
pub fn provider(label: &str, options: &[(&str, &str)]) -> Box<dyn Provider> {
    let registry = Registry::collect().unwrap();
    let declaration = registry.find(label).unwrap();
    let written = options
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let settings = Settings {
        endpoint: Destination::parse("https://upstream.example").unwrap(),
        key: None,
        lending: None,
        options: Options::new(&declaration.options, &written.collect()).unwrap(),
    };
    registry.open(declaration, &settings).unwrap()
}

/// What takes the frames of an answer apart; none where it has no frames.
pub fn frames(transcript: &Transcript) -> Option<Box<dyn Frames>> {
    let kind = transcript.headers.iter().find(|(name, _)| name == "content-type");
    provider("bedrock", &[("region", "eu-central-1")]).frames(&kind.unwrap().1)
}

/// The transcript with its events as frames.
pub fn framed(transcript: &Transcript) -> Transcript {
    if frames(transcript).is_none() {
        return transcript.clone();
    }
    Transcript {
        chunks: transcript
            .chunks
            .iter()
            .map(|chunk| framed_event(chunk))
            .collect(),
        ..transcript.clone()
    }
}

fn framed_event(event: &[u8]) -> Vec<u8> {
    let event = std::str::from_utf8(event).unwrap();
    if let Some(event) = event.strip_prefix("half ") {
        let mut whole = framed_event(event.as_bytes());
        whole.truncate(whole.len() / 2);
        return whole;
    }
    let (name, payload) = event.split_once(' ').unwrap();
    let kind = if name.ends_with("Exception") {
        "exception"
    } else {
        "event"
    };
    if name == "chunk" {
        let payload = json!({"bytes": STANDARD.encode(payload), "p": "abcdefghij"});
        return frame(kind, name, payload.to_string().as_bytes());
    }
    frame(kind, name, payload.as_bytes())
}

/// What the gateway's rewriters get to see of a transcript: the events of its frames. Where these break, the
/// connection is given up.
pub fn unframed(transcript: &Transcript) -> Transcript {
    let Some(mut frames) = frames(transcript) else {
        return transcript.clone();
    };
    let (mut chunks, mut ending) = (Vec::new(), transcript.ending);
    for chunk in &transcript.chunks {
        match frames.push(&Bytes::copy_from_slice(chunk)) {
            Ok(events) if events.is_empty() => {}
            Ok(events) => chunks.push(events.to_vec()),
            Err(_) => {
                ending = Ending::Reset;
                break;
            }
        }
    }
    if !frames.is_at_border() {
        ending = Ending::Reset;
    }
    Transcript {
        chunks,
        ending,
        ..transcript.clone()
    }
}

/// The headers that a case's client sends.
pub fn client_headers(settings: &Value) -> http::HeaderMap {
    let headers = settings["headers"].as_object().into_iter().flatten();
    let headers = headers.map(|(name, value)| {
        let name = http::HeaderName::try_from(name.as_str()).unwrap();
        (
            name,
            http::HeaderValue::from_str(value.as_str().unwrap()).unwrap(),
        )
    });
    headers.collect()
}
