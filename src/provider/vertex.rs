//! Claude on Google Vertex AI: Messages whose path names the model and whose body names the API's version.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue};

use crate::dialect::member;
use crate::dialect::operation::Operation;
use crate::dialect::raw::Members;
use crate::provider::authorize::Authorization;
use crate::provider::betas::{Betas, asked};
use crate::provider::declaration::Declaration;
use crate::provider::lending;
use crate::provider::options::Options;
use crate::provider::path::segment;
use crate::provider::registry::Code;
use crate::provider::{Ask, Edits, Misconfigured, Provider, Settings, Unfit};
use crate::types::destination::Destination;

/// The version of the Messages API as Vertex AI named it first.
const VERSION: &str = "vertex-2023-10-16";

/// The version of the Messages API that is named alike everywhere.
const VERSION_2026: &str = "2026-10-21";

inventory::submit! { Code { label: "vertex", endpoint: Some(endpoint), open } }

/// A project's models at one location.
#[derive(Debug)]
struct Vertex {
    /// The path of all models of the publisher.
    models: Box<str>,
    /// The betas that its models take.
    betas: Betas,
    /// The project that quota is charged to, where that is another one.
    quota_project: Option<HeaderValue>,
    authorization: Authorization,
}

/// Where a location is served: the global endpoint, one of a group of regions, or a region's own.
fn endpoint(options: &Options) -> Result<Destination, Misconfigured> {
    let location = options.word("location")?;
    let host = match location {
        "global" => "aiplatform.googleapis.com".to_owned(),
        "us" | "eu" => format!("aiplatform.{location}.rep.googleapis.com"),
        region => format!("{region}-aiplatform.googleapis.com"),
    };
    Destination::parse(&format!("https://{host}/v1"))
        .map_err(|_| Misconfigured(format!("option `location`: `{location}` is no location")))
}

fn open(declaration: &Declaration, settings: &Settings) -> Result<Box<dyn Provider>, Misconfigured> {
    let options = &settings.options;
    let quota_project = options
        .get("quota_project")
        .map(|_| options.word("quota_project"));
    let quota_project = quota_project.transpose()?.map(HeaderValue::try_from).transpose();
    let models = format!(
        "{}/projects/{}/locations/{}/publishers/anthropic/models/",
        settings.endpoint.base_path(),
        options.word("project")?,
        options.word("location")?,
    );
    let betas = declaration.betas.clone().unwrap_or_default();
    Ok(Box::new(Vertex {
        models: models.into(),
        betas: betas.with(options.get("betas").unwrap_or_default()),
        quota_project: quota_project
            .map_err(|_| Misconfigured("option `quota_project` is no name of a project".to_owned()))?,
        authorization: lending::authorization(declaration, settings)?,
    }))
}

impl Vertex {
    /// The counter of tokens takes no betas at all.
    fn betas(&self, ask: &Ask<'_>) -> Cow<'_, Betas> {
        match ask.operation {
            Operation::CountTokens => Cow::Owned(Betas::default()),
            _ => Cow::Borrowed(&self.betas),
        }
    }
}

impl Provider for Vertex {
    /// The client's query is Anthropic's own (`beta=true`), and unknown here.
    fn target(&self, ask: &Ask<'_>) -> String {
        let (model, verb) = match ask.operation {
            Operation::CountTokens => ("count-tokens".to_owned(), "rawPredict"),
            // `@` stays, as in every client of Google's.
            _ if ask.stream => (segment(ask.model.as_str(), b"@"), "streamRawPredict"),
            _ => (segment(ask.model.as_str(), b"@"), "rawPredict"),
        };
        format!("{}{model}:{verb}", self.models)
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
        let mut headers = vec![
            (HeaderName::from_static("anthropic-version"), None),
            self.betas(ask).header(ask.client),
        ];
        if let Some(project) = &self.quota_project {
            headers.push((
                HeaderName::from_static("x-goog-user-project"),
                Some(project.clone()),
            ));
        }
        headers
    }

    fn authorization(&self) -> &Authorization {
        &self.authorization
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;
    use crate::dialect::splice;
    use crate::provider::registry::Registry;
    use crate::types::ids::ModelName;

    fn vertex(location: &str) -> Box<dyn Provider> {
        let registry = Registry::collect().unwrap();
        let declaration = registry.find("vertex").unwrap();
        let written = BTreeMap::from([
            ("project".to_owned(), "acme".to_owned()),
            ("location".to_owned(), location.to_owned()),
            ("quota_project".to_owned(), "billing".to_owned()),
        ]);
        let options = Options::new(&declaration.options, &written).unwrap();
        let settings = Settings {
            endpoint: registry.endpoint(declaration, &options).unwrap(),
            key: None,
            options,
            lending: None,
        };
        registry.open(declaration, &settings).unwrap()
    }

    #[test]
    fn every_kind_of_location_has_its_host() {
        let host = |location: &str| {
            let registry = Registry::collect().unwrap();
            let declaration = registry.find("vertex").unwrap();
            let mut written = BTreeMap::from([("project".to_owned(), "acme".to_owned())]);
            if !location.is_empty() {
                written.insert("location".to_owned(), location.to_owned());
            }
            let options = Options::new(&declaration.options, &written).unwrap();
            registry
                .endpoint(declaration, &options)
                .unwrap()
                .host()
                .to_owned()
        };
        assert_eq!(host(""), "aiplatform.googleapis.com");
        assert_eq!(host("global"), "aiplatform.googleapis.com");
        assert_eq!(host("eu"), "aiplatform.eu.rep.googleapis.com");
        assert_eq!(host("us-east5"), "us-east5-aiplatform.googleapis.com");
    }

    #[test]
    fn the_path_names_model_and_verb() {
        let vertex = vertex("us-east5");
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
        let vertex = vertex("global");
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
