//! W3C Trace Context (Recommendation, level 1): which trace a request belongs to, and what the next
//! hop is told about it.
//!
//! A request without a valid `traceparent` begins a trace of its own. Its trace id stands in logs and
//! in the ledger whether or not upstreams are told.

use http::HeaderMap;

use crate::pipeline::forward::head::Onward;
use crate::types::ids::RequestId;

/// The flag that says that a trace is kept. A trace that begins here is: the ledger has it.
const SAMPLED: u8 = 0x01;

/// The flags that have a meaning and are passed on: sampled, and random trace id (level 2).
const KNOWN_FLAGS: u8 = 0x03;

/// The most of a `tracestate` that is passed on, in bytes and members (section 3.3.1).
const STATE_BYTES_MAX: usize = 512;
const STATE_MEMBERS_MAX: usize = 32;

/// The trace of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// 32 hex digits: the client's where it sent a valid one.
    pub id: String,
    /// Our own span in it.
    span: u64,
    flags: u8,
    state: Option<String>,
}

impl Trace {
    /// The trace of a request with this head and id.
    pub fn begin(headers: &HeaderMap, id: RequestId) -> Self {
        // The id's last 62 bits are random, and the two before them are never both 0.
        let span = id.as_uuid().as_u64_pair().1;
        match parent(headers) {
            Some((trace, flags)) => Self {
                id: trace.to_owned(),
                span,
                flags: flags & KNOWN_FLAGS,
                state: state(headers),
            },
            None => Self {
                id: id.as_uuid().simple().to_string(),
                span,
                flags: SAMPLED,
                state: None,
            },
        }
    }

    /// Our span: 16 hex digits.
    pub fn span(&self) -> String {
        format!("{:016x}", self.span)
    }

    /// What an upstream is told at this attempt, counted from 0. Each attempt is a span of its own.
    pub fn onward(&self, attempt: usize) -> Onward {
        let step = u64::try_from(attempt).unwrap_or(u64::MAX).saturating_add(1);
        // Only all zeros are no span.
        let span = self.span.wrapping_add(step).max(1);
        Onward {
            parent: format!("00-{}-{span:016x}-{:02x}", self.id, self.flags),
            state: self.state.clone(),
        }
    }
}

/// Trace id and flags of the one valid `traceparent` (section 3.2.2).
fn parent(headers: &HeaderMap) -> Option<(&str, u8)> {
    let mut values = headers.get_all("traceparent").iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (known, more) = value.split_at_checked(55)?;
    let mut parts = known.split('-');
    let (version, trace) = (hex(parts.next()?, 2)?, hex(parts.next()?, 32)?);
    let (span, flags) = (hex(parts.next()?, 16)?, hex(parts.next()?, 2)?);
    let is_zero = |text: &str| text.bytes().all(|byte| byte == b'0');
    // Later versions may append fields; this one may not.
    let fits = if version == "00" {
        more.is_empty()
    } else {
        version != "ff" && (more.is_empty() || more.starts_with('-'))
    };
    if !fits || parts.next().is_some() || is_zero(trace) || is_zero(span) {
        return None;
    }
    Some((trace, u8::from_str_radix(flags, 16).ok()?))
}

/// The text, if it is so many lower-case hex digits.
fn hex(text: &str, digits: usize) -> Option<&str> {
    let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (text.len() == digits && is_hex).then_some(text)
}

/// The `tracestate` headers as one list, if it is short and well-formed enough to be passed on.
fn state(headers: &HeaderMap) -> Option<String> {
    let mut members = Vec::new();
    for value in headers.get_all("tracestate") {
        let value = value.to_str().ok()?;
        members.extend(
            value
                .split(',')
                .map(str::trim)
                .filter(|member| !member.is_empty()),
        );
    }
    let is_pair = |member: &&str| {
        member
            .split_once('=')
            .is_some_and(|(key, value)| !key.is_empty() && !value.is_empty())
    };
    if members.is_empty() || members.len() > STATE_MEMBERS_MAX || !members.iter().all(is_pair) {
        return None;
    }
    let list = members.join(",");
    (list.len() <= STATE_BYTES_MAX).then_some(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::clock::Timestamp;
    use crate::types::entropy::SystemEntropy;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn request() -> RequestId {
        RequestId::generate(Timestamp::from_unix_micros(0), &SystemEntropy::new())
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_valid_parents_are_taken_over() {
        let check = |value: &str, taken: bool| {
            let id = request();
            let trace = Trace::begin(&headers(&[("traceparent", value)]), id);
            let own = id.as_uuid().simple().to_string();
            assert_eq!(trace.id == TRACE, taken, "{value}");
            assert!(taken || trace.id == own, "{value}");
        };
        check(&format!("00-{TRACE}-00f067aa0ba902b7-01"), true);
        check(&format!("00-{TRACE}-00f067aa0ba902b7-00"), true);
        check(&format!("cc-{TRACE}-00f067aa0ba902b7-01"), true);
        check(&format!("cc-{TRACE}-00f067aa0ba902b7-01-of-tomorrow"), true);
        check(&format!("cc-{TRACE}-00f067aa0ba902b7-01.of-tomorrow"), false);
        check(&format!("00-{TRACE}-00f067aa0ba902b7-01-more"), false);
        check(&format!("ff-{TRACE}-00f067aa0ba902b7-01"), false);
        check(&format!("0-{TRACE}-00f067aa0ba902b7-01"), false);
        check(&format!("00-{TRACE}-0000000000000000-01"), false);
        check(&format!("00-{TRACE}-00f067aa0ba902b7"), false);
        check(&format!("00-{TRACE}-00f067aa0ba902b7-1"), false);
        check(&format!("00-{TRACE}-00f067aa0ba902b7-0g"), false);
        check(&format!("00-{TRACE}-00F067AA0BA902B7-01"), false);
        check(&format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()), false);
        check("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false);
        check("", false);
        check("nonsense", false);
    }

    #[test]
    fn two_parents_are_none() {
        let value = format!("00-{TRACE}-00f067aa0ba902b7-01");
        let trace = Trace::begin(
            &headers(&[("traceparent", &value), ("traceparent", &value)]),
            request(),
        );
        assert_ne!(trace.id, TRACE);
    }

    #[test]
    fn the_next_hop_is_told_our_span_not_the_clients() {
        let value = format!("00-{TRACE}-00f067aa0ba902b7-ff");
        let trace = Trace::begin(
            &headers(&[
                ("traceparent", &value),
                ("tracestate", "a=1, b=2"),
                ("tracestate", "c=3"),
            ]),
            request(),
        );
        let (first, second) = (trace.onward(0), trace.onward(1));
        assert!(first.parent.starts_with(&format!("00-{TRACE}-")));
        assert!(first.parent.ends_with("-03"), "unknown flags are not passed on");
        assert!(!first.parent.contains("00f067aa0ba902b7") && first.parent != second.parent);
        assert_eq!(first.state.as_deref(), Some("a=1,b=2,c=3"));
        assert_eq!(
            parent(&headers(&[("traceparent", &first.parent)])),
            Some((TRACE, 3))
        );
    }

    #[test]
    fn a_state_that_does_not_fit_is_left_out() {
        let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        let many = vec!["a=1"; 33].join(",");
        let long = format!("a={}", "x".repeat(511));
        for state in [many.as_str(), long.as_str(), "novalue", "a=", ",,"] {
            let with = headers(&[("traceparent", &parent), ("tracestate", state)]);
            assert_eq!(Trace::begin(&with, request()).onward(0).state, None, "{state}");
        }
        let alone = Trace::begin(&headers(&[("tracestate", "a=1")]), request());
        assert_eq!(
            alone.onward(0).state,
            None,
            "it belongs to a parent that is not there"
        );
    }
}
