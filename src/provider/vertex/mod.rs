//! Google Vertex AI: a project's models at one location.
//!
//! Input: Messages (`claude`) and Gemini's own requests (`gemini`). Output: requests whose path names project, location,
//! publisher and model. Never: a body in another dialect; only what Vertex AI wants otherwise is edited.

mod claude;
mod gemini;

use http::{HeaderName, HeaderValue};

use crate::provider::authorize::Authorization;
use crate::provider::declaration::Declaration;
use crate::provider::lending;
use crate::provider::options::Options;
use crate::provider::path::segment;
use crate::provider::{Misconfigured, Settings};
use crate::types::destination::Destination;
use crate::types::ids::ModelName;

/// The models of one publisher in a project at a location.
#[derive(Debug)]
struct Place {
    /// The path of all models.
    models: Box<str>,
    /// The project that quota is charged to, where that is another one.
    quota_project: Option<HeaderValue>,
    authorization: Authorization,
}

impl Place {
    fn open(declaration: &Declaration, settings: &Settings, publisher: &str) -> Result<Self, Misconfigured> {
        let options = &settings.options;
        let quota_project = options
            .get("quota_project")
            .map(|_| options.word("quota_project"));
        let quota_project = quota_project.transpose()?.map(HeaderValue::try_from).transpose();
        let models = format!(
            "{}/projects/{}/locations/{}/publishers/{publisher}/models/",
            settings.endpoint.base_path(),
            options.word("project")?,
            options.word("location")?,
        );
        Ok(Self {
            models: models.into(),
            quota_project: quota_project
                .map_err(|_| Misconfigured("option `quota_project` is no name of a project".to_owned()))?,
            authorization: lending::authorization(declaration, settings)?,
        })
    }

    /// The path of what is asked of a model. `@` stays, as in every client of Google's.
    fn target(&self, model: &ModelName, verb: &str) -> String {
        format!("{}{}:{verb}", self.models, segment(model.as_str(), b"@"))
    }

    fn quota(&self) -> Option<(HeaderName, Option<HeaderValue>)> {
        let project = self.quota_project.clone()?;
        Some((HeaderName::from_static("x-goog-user-project"), Some(project)))
    }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::provider::options::Options;
    use crate::provider::registry::Registry;
    use crate::provider::{Provider, Settings};

    /// An upstream of this provider at a location.
    pub(super) fn opened(provider: &str, location: &str) -> Box<dyn Provider> {
        let registry = Registry::collect().unwrap();
        let declaration = registry.find(provider).unwrap();
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
        let host = |provider: &str, location: &str| {
            let registry = Registry::collect().unwrap();
            let declaration = registry.find(provider).unwrap();
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
        for provider in ["vertex", "vertex-gemini"] {
            assert_eq!(host(provider, ""), "aiplatform.googleapis.com");
            assert_eq!(host(provider, "global"), "aiplatform.googleapis.com");
            assert_eq!(host(provider, "eu"), "aiplatform.eu.rep.googleapis.com");
            assert_eq!(host(provider, "us-east5"), "us-east5-aiplatform.googleapis.com");
        }
    }
}
