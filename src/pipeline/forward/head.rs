//! The head that goes upstream, built from a list of what may pass.

use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName};
use pingora_http::RequestHeader;

use crate::dialect::Family;
use crate::pipeline::forward::failure::Failure;
use crate::pipeline::route::Candidate;
use crate::pipeline::translate::prepare::Prepared;
use crate::provider::Ask;
use crate::provider::authorize::{Credential, Unsigned};
use crate::types::destination::Destination;

/// The version of the Messages API in which translated requests are written.
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// What of the client's head matters upstream.
pub struct ClientHead<'a> {
    /// The client's headers.
    pub headers: &'a HeaderMap,
    /// The query as it came, without the question mark.
    pub query: Option<&'a str>,
    /// What the upstream is told about the trace, if anything.
    pub onward: Option<Onward>,
}

/// The trace as the next hop is told (W3C Trace Context).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Onward {
    /// `traceparent`
    pub parent: String,
    /// `tracestate`
    pub state: Option<String>,
}

/// Builds the head of the request to an upstream.
///
/// # Errors
/// A path that HTTP cannot carry, or a credential that cannot sign.
pub fn build(
    candidate: &Candidate,
    prepared: &Prepared,
    client: &ClientHead<'_>,
    credential: &Credential<'_>,
) -> Result<RequestHeader, Failure> {
    let mut head = assemble(candidate, prepared, client).map_err(Failure::Head)?;
    match credential {
        Credential::None => {}
        Credential::Fixed(name, value) => {
            head.insert_header(*name, *value).map_err(Failure::Head)?;
        }
        Credential::Leased(lease) => {
            let proof = lease.sign(&Unsigned {
                authority: &candidate.upstream.destination.authority(),
                target: head.uri.path_and_query().map_or("/", |target| target.as_str()),
                headers: &head.headers,
                body: &prepared.body,
            })?;
            for (name, value) in proof {
                head.insert_header(name, value).map_err(Failure::Head)?;
            }
        }
    }
    Ok(head)
}

fn assemble(
    candidate: &Candidate,
    prepared: &Prepared,
    client: &ClientHead<'_>,
) -> pingora_error::Result<RequestHeader> {
    let upstream = &candidate.upstream;
    let family = candidate.dialect().family();
    let presented = presented_credentials(client.headers);
    let repeats = |text: &[u8]| {
        presented
            .iter()
            .any(|secret| memchr::memmem::find(text, secret).is_some())
    };
    let query = client
        .query
        .filter(|query| prepared.same_dialect && !repeats(query.as_bytes()));
    let ask = Ask {
        operation: prepared.operation,
        model: &candidate.served_model,
        stream: prepared.stream,
        query,
        client: client.headers,
    };
    let path = upstream.provider.target(&ask);
    let mut head = RequestHeader::build(http::Method::POST, path.as_bytes(), Some(16))?;
    head.insert_header(http::header::HOST, upstream.destination.authority())?;
    if prepared.same_dialect {
        // A header that repeats the client's credential stays behind, whatever its name.
        for (name, value) in client.headers {
            if family.is_some_and(|family| is_listed(name, family)) && !repeats(value.as_bytes()) {
                head.append_header(name.clone(), value.clone())?;
            }
        }
    } else {
        head.insert_header(ACCEPT, "application/json, text/event-stream")?;
        if family == Some(Family::Anthropic) {
            head.insert_header("anthropic-version", ANTHROPIC_VERSION)?;
        }
    }
    head.insert_header(CONTENT_TYPE, "application/json")?;
    head.insert_header(http::header::CONTENT_LENGTH, prepared.body.len())?;
    if let Some(onward) = &client.onward {
        head.insert_header("traceparent", &onward.parent)?;
        if let Some(state) = onward.state.as_ref().filter(|state| !repeats(state.as_bytes())) {
            head.insert_header("tracestate", state)?;
        }
    }
    for (name, value) in upstream.provider.headers(&ask) {
        match value {
            Some(value) => head.insert_header(name, value)?,
            None => drop(head.remove_header(&name)),
        }
    }
    Ok(head)
}

/// The same head for HTTP/2, where the authority is part of the target (RFC 9113, 8.3.1).
///
/// # Errors
/// A path that HTTP cannot carry.
pub(super) fn for_http2(head: &RequestHeader, to: &Destination) -> Result<RequestHeader, Failure> {
    let mut head = head.clone();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let uri = http::Uri::builder()
        .scheme(if to.tls() { "https" } else { "http" })
        .authority(to.authority())
        .path_and_query(path)
        .build();
    head.set_uri(uri.map_err(|_| {
        let kind = pingora_error::ErrorType::InvalidHTTPHeader;
        Failure::Head(pingora_error::Error::explain(kind, "upstream target"))
    })?);
    head.remove_header(&http::header::HOST);
    Ok(head)
}

/// What upstreams of the client's own dialect may see. Organization and project belong to OpenAI's
/// credential, which is ours, so the client's stay behind.
fn is_listed(name: &HeaderName, family: Family) -> bool {
    let text = name.as_str();
    let own = match family {
        Family::Anthropic => {
            text.starts_with("anthropic-") && text != "anthropic-dangerous-direct-browser-access"
        }
        Family::OpenAi => text == "openai-beta",
    };
    own || matches!(*name, ACCEPT | USER_AGENT) || text.starts_with("x-stainless-")
}

/// The credentials in the client's head, in every spelling in which they may come.
fn presented_credentials(client: &HeaderMap) -> Vec<&[u8]> {
    let bare =
        |value: &'_ [u8]| -> usize { value.iter().position(|byte| *byte == b' ').map_or(0, |at| at + 1) };
    let mut found = Vec::new();
    for value in client.get_all("x-api-key") {
        found.push(value.as_bytes());
    }
    for value in client.get_all(http::header::AUTHORIZATION) {
        found.push(value.as_bytes().get(bare(value.as_bytes())..).unwrap_or_default());
    }
    found.retain(|secret| !secret.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn credentials_are_found_in_every_spelling() {
        let mut headers = HeaderMap::new();
        headers.append("x-api-key", HeaderValue::from_static("k1"));
        headers.append("authorization", HeaderValue::from_static("Bearer k2"));
        headers.append("authorization", HeaderValue::from_static("k3"));
        headers.append("x-api-key", HeaderValue::from_static(""));
        assert_eq!(presented_credentials(&headers), [b"k1", b"k2", b"k3"]);
    }

    #[test]
    fn only_listed_headers_pass() {
        for (name, passes) in [
            ("anthropic-beta", true),
            ("anthropic-something-new", true),
            ("user-agent", true),
            ("x-stainless-lang", true),
            ("anthropic-dangerous-direct-browser-access", false),
            ("authorization", false),
            ("x-api-key", false),
            ("cookie", false),
            ("accept-encoding", false),
            ("x-forwarded-for", false),
            ("traceparent", false),
            ("tracestate", false),
        ] {
            let listed = is_listed(&HeaderName::from_static(name), Family::Anthropic);
            assert_eq!(listed, passes, "{name}");
        }
        for (name, passes) in [
            ("openai-beta", true),
            ("openai-organization", false),
            ("anthropic-beta", false),
        ] {
            let listed = is_listed(&HeaderName::from_static(name), Family::OpenAi);
            assert_eq!(listed, passes, "{name}");
        }
    }
}
