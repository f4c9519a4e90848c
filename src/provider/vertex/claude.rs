//! Claude on Vertex AI: Messages whose path names the model and whose body names the API's version.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue};

use crate::dialect::member;
use crate::dialect::operation::Operation;
use crate::dialect::raw::Members;
use crate::provider::authorize::Authorization;
use crate::provider::betas::{Betas, asked};
use crate::provider::declaration::Declaration;
use crate::provider::registry::Code;
use crate::provider::vertex::{Place, endpoint};
use crate::provider::{Ask, Edits, Misconfigured, Provider, Settings, Unfit};
use crate::types::ids::ModelName;

/// The version of the Messages API as Vertex AI named it first.
const VERSION: &str = "vertex-2023-10-16";

/// The version of the Messages API that is named alike everywhere.
const VERSION_2026: &str = "2026-10-21";

inventory::submit! { Code { label: "vertex", endpoint: Some(endpoint), open } }

/// Anthropic's models.
#[derive(Debug)]
struct Claude {
    place: Place,
    /// The betas that its models take.
    betas: Betas,
}

fn open(declaration: &Declaration, settings: &Settings) -> Result<Box<dyn Provider>, Misconfigured> {
    let betas = declaration.betas.clone().unwrap_or_default();
    Ok(Box::new(Claude {
        place: Place::open(declaration, settings, "anthropic")?,
        betas: betas.with(settings.options.get("betas").unwrap_or_default()),
    }))
}

impl Claude {
    /// The counter of tokens takes no betas at all.
    fn betas(&self, ask: &Ask<'_>) -> Cow<'_, Betas> {
        match ask.operation {
            Operation::CountTokens => Cow::Owned(Betas::default()),
            _ => Cow::Borrowed(&self.betas),
        }
    }
}

impl Provider for Claude {
    /// The client's query is Anthropic's own (`beta=true`), and unknown here.
    fn target(&self, ask: &Ask<'_>) -> String {
        if ask.operation == Operation::CountTokens {
            return self.place.target(&ModelName::from("count-tokens"), "rawPredict");
        }
        let verb = if ask.stream {
            "streamRawPredict"
        } else {
            "rawPredict"
        };
        self.place.target(ask.model, verb)
    }

    /// The path names the model, unless tokens are only counted; the version stands in the body.
    fn edits(&self, ask: &Ask<'_>, body: &[u8]) -> Result<Edits, Unfit> {
        let unfit = || Unfit("body: a JSON object in UTF-8 is wanted".to_owned());
        let text = std::str::from_utf8(body).map_err(|_| unfit())?;
        let members = Members::read(text).ok_or_else(unfit)?;
        let mut edits = Vec::new();
        if ask.operation != Operation::CountTokens {
            edits.extend(member::without(text, "model"));
        }
        if !members.contains("anthropic_version") {
            let version = match ask.client.get("anthropic-version") {
                Some(version) if version == VERSION_2026 => VERSION_2026,
                _ => VERSION,
            };
            // In the place of a model that stands first, or before all others.
            let member = format!(r#""anthropic_version":"{version}""#);
            edits.insert(0, member::first(text, &member).ok_or_else(unfit)?);
        }
        Ok(Edits {
            splices: edits,
            lost: self.betas(ask).of(asked(ask.client)).1,
        })
    }

    fn headers(&self, ask: &Ask<'_>) -> Vec<(HeaderName, Option<HeaderValue>)> {
        let version = (HeaderName::from_static("anthropic-version"), None);
        let own = [version, self.betas(ask).header(ask.client)];
        own.into_iter().chain(self.place.quota()).collect()
    }

    fn authorization(&self) -> &Authorization {
        &self.place.authorization
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;
    use crate::dialect::splice;
    use crate::provider::vertex::tests::opened;

    #[test]
    fn the_path_names_model_and_verb() {
        let vertex = opened("vertex", "us-east5");
        let check = |operation, model: &str, stream, end: &str| {
            let target = vertex.target(&Ask {
                operation,
                model: &ModelName::from(model),
                stream,
                query: Some("beta=true"),
                client: &HeaderMap::new(),
            });
            assert_eq!(
                target,
                format!("/v1/projects/acme/locations/us-east5/publishers/anthropic/models/{end}")
            );
        };
        let dated = "claude-opus-4-5@20251101";
        check(
            Operation::Messages,
            dated,
            true,
            "claude-opus-4-5@20251101:streamRawPredict",
        );
        check(Operation::Messages, "a/b;c", false, "a%2Fb%3Bc:rawPredict");
        check(Operation::CountTokens, dated, false, "count-tokens:rawPredict");
    }

    #[test]
    fn the_body_names_the_version_and_no_model() {
        let vertex = opened("vertex", "global");
        let check = |operation, version: Option<&'static str>, body: &str, sent: &str| {
            let mut client = HeaderMap::new();
            if let Some(version) = version {
                client.insert("anthropic-version", HeaderValue::from_static(version));
            }
            let ask = Ask {
                operation,
                model: &ModelName::from("m"),
                stream: false,
                query: None,
                client: &client,
            };
            let edits = vertex.edits(&ask, body.as_bytes()).unwrap();
            let bytes = splice::apply(&Bytes::copy_from_slice(body.as_bytes()), &edits.splices).unwrap();
            assert_eq!(std::str::from_utf8(&bytes).unwrap(), sent);
        };
        let old = Some("2023-06-01");
        check(
            Operation::Messages,
            old,
            r#"{"model":"m","messages":[ ]}"#,
            r#"{"anthropic_version":"vertex-2023-10-16","messages":[ ]}"#,
        );
        check(
            Operation::Messages,
            Some(VERSION_2026),
            r#"{"system":"s", "model":"m"}"#,
            r#"{"anthropic_version":"2026-10-21","system":"s"}"#,
        );
        check(
            Operation::Messages,
            None,
            r#"{"anthropic_version":"vertex-2023-10-16","model":"m"}"#,
            r#"{"anthropic_version":"vertex-2023-10-16"}"#,
        );
        check(
            Operation::CountTokens,
            old,
            r#"{"model":"m"}"#,
            r#"{"anthropic_version":"vertex-2023-10-16","model":"m"}"#,
        );
    }
}
