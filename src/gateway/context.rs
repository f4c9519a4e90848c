//! What is known about a request from its head alone.

use std::time::Instant;

use http::HeaderMap;

use crate::types::clock::{Clock, Timestamp};
use crate::types::entropy::Entropy;
use crate::types::ids::RequestId;
use crate::types::peer::Peer;

/// The context of one request, made when its head has been read.
#[derive(Clone, Debug)]
pub struct Context {
    /// Its id.
    pub id: RequestId,
    /// When its head had been read, for rows.
    pub at: Timestamp,
    /// The same moment, for durations.
    pub started: Instant,
    /// The W3C trace id, the client's where it sent a valid one: 32 hex digits.
    pub trace_id: String,
    /// The other end of the client's connection.
    pub peer: Peer,
}

impl Context {
    /// The context of a request that begins now.
    pub fn begin(headers: &HeaderMap, peer: Peer, clock: &dyn Clock, entropy: &dyn Entropy) -> Self {
        let at = clock.now();
        let id = RequestId::generate(at, entropy);
        let trace_id = trace_id(headers).unwrap_or_else(|| id.as_uuid().simple().to_string());
        Self {
            id,
            at,
            started: Instant::now(),
            trace_id,
            peer,
        }
    }
}

/// The trace id of a valid `traceparent` (W3C Trace Context, section 3.2.2).
fn trace_id(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("traceparent")?.to_str().ok()?;
    let mut parts = value.split('-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let valid = version.len() == 2 && version != "ff" && trace.len() == 32 && hex(version) && hex(trace);
    (valid && trace.bytes().any(|byte| byte != b'0')).then(|| trace.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_valid_trace_ids_are_taken_over() {
        let check = |value: &str, expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", value.parse().unwrap());
            assert_eq!(trace_id(&headers).as_deref(), expected, "{value}");
        };
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        check(&format!("00-{trace}-00f067aa0ba902b7-01"), Some(trace));
        check(&format!("ff-{trace}-00f067aa0ba902b7-01"), None);
        check("00-00000000000000000000000000000000-00f067aa0ba902b7-01", None);
        check("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", None);
        check("nonsense", None);
    }
}
