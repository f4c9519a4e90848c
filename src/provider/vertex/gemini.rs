//! Gemini on Vertex AI: Gemini's own requests, but for the fields that only the other API knows.

use std::ops::Range;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use crate::dialect::member;
use crate::dialect::operation::Operation;
use crate::dialect::raw::{Members, Raw};
use crate::dialect::splice::Splice;
use crate::provider::authorize::Authorization;
use crate::provider::declaration::Declaration;
use crate::provider::registry::Code;
use crate::provider::vertex::{Place, endpoint};
use crate::provider::{Ask, Edits, Misconfigured, Provider, Settings, Unfit};

inventory::submit! { Code { label: "vertex-gemini", endpoint: Some(endpoint), open } }

/// Google's own models.
#[derive(Debug)]
struct Gemini(Place);

fn open(declaration: &Declaration, settings: &Settings) -> Result<Box<dyn Provider>, Misconfigured> {
    Ok(Box::new(Gemini(Place::open(declaration, settings, "google")?)))
}

impl Provider for Gemini {
    fn target(&self, ask: &Ask<'_>) -> String {
        let verb = match (ask.operation, ask.stream) {
            (Operation::CountTokens, _) => "countTokens",
            (_, true) => "streamGenerateContent?alt=sse",
            (_, false) => "generateContent",
        };
        self.0.target(ask.model, verb)
    }

    /// A count is asked without the wrapping, and what tells calls apart is their order: an `id` is refused.
    fn edits(&self, ask: &Ask<'_>, body: &[u8]) -> Result<Edits, Unfit> {
        let unfit = || Unfit("body: a JSON object in UTF-8 is wanted".to_owned());
        let text = std::str::from_utf8(body).map_err(|_| unfit())?;
        let members = Members::read(text).ok_or_else(unfit)?;
        let mut edits = Vec::new();
        let asked = if ask.operation == Operation::CountTokens {
            let wrapped = members.get("generateContentRequest").ok_or_else(unfit)?;
            let place = wrapped.place_in(body).ok_or_else(unfit)?;
            let asked = wrapped.members().ok_or_else(unfit)?;
            edits.push(gone(0..place.start));
            edits.push(gone(place.end..text.len()));
            edits.extend(
                ["model", "toolConfig"]
                    .iter()
                    .filter_map(|name| without(text, wrapped, name)),
            );
            asked
        } else {
            members
        };
        edits.extend(ids(text, &asked));
        Ok(edits.into())
    }

    fn headers(&self, _: &Ask<'_>) -> Vec<(HeaderName, Option<HeaderValue>)> {
        self.0.quota().into_iter().collect()
    }

    fn authorization(&self) -> &Authorization {
        &self.0.authorization
    }
}

/// The edits that take the ids out of all calls and their results.
fn ids(text: &str, asked: &Members<'_>) -> Vec<Splice> {
    let contents = asked.get("contents").and_then(Raw::elements).unwrap_or_default();
    let parts = contents
        .into_iter()
        .filter_map(|content| content.members()?.get("parts")?.elements());
    let of_part = |part: Raw<'_>| {
        let part = part.members()?;
        let named = part
            .get("functionCall")
            .or_else(|| part.get("functionResponse"))?;
        without(text, named, "id")
    };
    parts.flatten().filter_map(of_part).collect()
}

/// The edit that takes a member out of an object within the text.
fn without(text: &str, object: Raw<'_>, name: &str) -> Option<Splice> {
    let place = object.place_in(text.as_bytes())?;
    let edit = member::without(object.text(), name)?;
    let range = edit.range.start + place.start..edit.range.end + place.start;
    Some(Splice { range, ..edit })
}

fn gone(range: Range<usize>) -> Splice {
    Splice {
        range,
        with: Bytes::new(),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::dialect::splice;
    use crate::provider::vertex::tests::opened;
    use crate::types::ids::ModelName;

    fn check(operation: Operation, stream: bool, body: &str, target: &str, sent: &str) {
        let provider = opened("vertex-gemini", "us-east5");
        let ask = Ask {
            operation,
            model: &ModelName::from("gemini-3-pro"),
            stream,
            query: Some("beta=true"),
            client: &HeaderMap::new(),
        };
        let models = "/v1/projects/acme/locations/us-east5/publishers/google/models";
        assert_eq!(provider.target(&ask), format!("{models}/gemini-3-pro:{target}"));
        let edits = provider.edits(&ask, body.as_bytes()).unwrap();
        let bytes = splice::apply(&Bytes::copy_from_slice(body.as_bytes()), &edits.splices).unwrap();
        assert_eq!(std::str::from_utf8(&bytes).unwrap(), sent);
        let project = provider.headers(&ask);
        assert_eq!(project[0].0, "x-goog-user-project");
    }

    #[test]
    fn calls_and_results_go_without_ids() {
        check(
            Operation::Messages,
            true,
            r#"{"contents":[{"role":"user","parts":[{"text":"\"id\":1"}]},{"role":"model","parts":[{"functionCall":{"id":"a","name":"f","args":{"id":1}}}]},{"role":"user","parts":[{"functionResponse":{"name":"f", "id":"a"}}]}]}"#,
            "streamGenerateContent?alt=sse",
            r#"{"contents":[{"role":"user","parts":[{"text":"\"id\":1"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{"id":1}}}]},{"role":"user","parts":[{"functionResponse":{"name":"f"}}]}]}"#,
        );
        check(Operation::Messages, false, "{}", "generateContent", "{}");
    }

    #[test]
    fn a_count_is_asked_as_the_other_api_does_not() {
        check(
            Operation::CountTokens,
            false,
            r#"{"generateContentRequest":{"model":"models/gemini-3-pro","contents":[{"parts":[{"functionCall":{"id":"a","name":"f"}}]}],"tools":[],"toolConfig":{}}}"#,
            "countTokens",
            r#"{"contents":[{"parts":[{"functionCall":{"name":"f"}}]}],"tools":[]}"#,
        );
    }
}
