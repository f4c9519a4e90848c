//! Gemini's own API: the method stands in the path, and so does the model.

use crate::dialect::operation::Operation;
use crate::provider::authorize::Authorization;
use crate::provider::declaration::Declaration;
use crate::provider::path::segment;
use crate::provider::registry::Code;
use crate::provider::{Ask, Misconfigured, Provider, Settings};

inventory::submit! {
    Code {
        label: "gemini",
        endpoint: None,
        open: Gemini::open,
    }
}

/// The version of the API, where an endpoint names none.
const VERSION: &str = "/v1beta";

/// One upstream of Gemini's API.
#[derive(Debug)]
struct Gemini {
    /// What stands before `/models`.
    base: Box<str>,
    authorization: Authorization,
}

impl Gemini {
    fn open(declaration: &Declaration, settings: &Settings) -> Result<Box<dyn Provider>, Misconfigured> {
        let base = settings.endpoint.base_path();
        let version = if base.is_empty() { VERSION } else { "" };
        Ok(Box::new(Self {
            base: format!("{base}{version}").into(),
            authorization: Authorization::fixed(declaration.scheme, settings.key.as_ref())?,
        }))
    }
}

impl Provider for Gemini {
    fn target(&self, ask: &Ask<'_>) -> String {
        let method = match (ask.operation, ask.stream) {
            (Operation::CountTokens, _) => "countTokens",
            (_, true) => "streamGenerateContent?alt=sse",
            (_, false) => "generateContent",
        };
        let name = ask.model.as_str();
        let name = name.strip_prefix("models/").unwrap_or(name);
        format!("{}/models/{}:{method}", self.base, segment(name, b""))
    }

    fn authorization(&self) -> &Authorization {
        &self.authorization
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::provider::options::Options;
    use crate::provider::registry::Registry;
    use crate::types::destination::Destination;
    use crate::types::ids::ModelName;
    use crate::types::secret::Secret;

    fn target(endpoint: &str, model: &str, operation: Operation, stream: bool) -> String {
        let registry = Registry::collect().unwrap();
        let settings = Settings {
            endpoint: Destination::parse(endpoint).unwrap(),
            key: Some(Secret::new("k".to_owned())),
            options: Options::default(),
            lending: None,
        };
        let declaration = registry.find("gemini").unwrap();
        let provider = registry.open(declaration, &settings).unwrap();
        assert!(
            matches!(provider.authorization(), Authorization::Fixed(name, _) if name == "x-goog-api-key")
        );
        provider.target(&Ask {
            operation,
            model: &ModelName::from(model),
            stream,
            query: Some("beta=true"),
            client: &HeaderMap::new(),
        })
    }

    #[test]
    fn model_and_method_stand_in_the_path() {
        let google = "https://generativelanguage.googleapis.com";
        let path = target(google, "gemini-3-pro", Operation::Messages, false);
        assert_eq!(path, "/v1beta/models/gemini-3-pro:generateContent");
        let path = target(&format!("{google}/v1"), "models/g", Operation::Messages, true);
        assert_eq!(path, "/v1/models/g:streamGenerateContent?alt=sse");
        let path = target(google, "a/b:c?d", Operation::CountTokens, false);
        assert_eq!(path, "/v1beta/models/a%2Fb%3Ac%3Fd:countTokens");
    }
}
