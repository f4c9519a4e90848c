//! A vendor that is only settings of a dialect.

use http::{HeaderName, HeaderValue};

use crate::dialect::Dialect;
use crate::provider::authorize::Authorization;
use crate::provider::betas::{Betas, asked};
use crate::provider::declaration::Declaration;
use crate::provider::lending;
use crate::provider::{Ask, Edits, Misconfigured, Provider, Settings, Unfit};

/// An upstream whose declaration says everything about it.
#[derive(Debug)]
pub struct Declared {
    /// What stands before the path of every operation, the version included.
    base: Box<str>,
    /// The betas that it takes, where it does not take all.
    betas: Option<Betas>,
    authorization: Authorization,
}

impl Declared {
    /// An upstream of this declaration.
    ///
    /// # Errors
    /// A credential that HTTP cannot carry.
    pub fn open(declaration: &Declaration, settings: &Settings) -> Result<Box<dyn Provider>, Misconfigured> {
        let base = settings.endpoint.base_path();
        // Both spellings of an Anthropic base URL are in use, with and without the version.
        let version = match declaration.dialect {
            Dialect::AnthropicMessages if !base.ends_with("/v1") => "/v1",
            Dialect::AnthropicMessages | Dialect::OpenAiChat | Dialect::Gemini | Dialect::Converse => "",
        };
        Ok(Box::new(Self {
            base: format!("{base}{version}").into(),
            betas: declaration.betas.clone(),
            authorization: lending::authorization(declaration, settings)?,
        }))
    }
}

impl Provider for Declared {
    fn target(&self, ask: &Ask<'_>) -> String {
        let operation = ask.operation.path();
        let question = if ask.query.is_some() { "?" } else { "" };
        let query = ask.query.unwrap_or_default();
        format!("{}{operation}{question}{query}", self.base)
    }

    fn edits(&self, ask: &Ask<'_>, _: &[u8]) -> Result<Edits, Unfit> {
        let betas = self.betas.as_ref();
        Ok(Edits {
            lost: betas
                .map(|betas| betas.of(asked(ask.client)).1)
                .unwrap_or_default(),
            ..Edits::default()
        })
    }

    fn headers(&self, ask: &Ask<'_>) -> Vec<(HeaderName, Option<HeaderValue>)> {
        let betas = self.betas.as_ref();
        betas.map(|betas| betas.header(ask.client)).into_iter().collect()
    }

    fn authorization(&self) -> &Authorization {
        &self.authorization
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::dialect::operation::Operation;
    use crate::provider::options::Options;
    use crate::types::destination::Destination;
    use crate::types::ids::ModelName;

    fn target(dialect: &str, endpoint: &str, operation: Operation, query: Option<&str>) -> String {
        let text = format!("[a]\nsummary = \"A.\"\ndialect = \"{dialect}\"\ncredential = \"bearer\"\n");
        let settings = Settings {
            endpoint: Destination::parse(endpoint).unwrap(),
            key: None,
            options: Options::default(),
            lending: None,
        };
        let declarations = Declaration::read_all(&text).unwrap();
        let provider = Declared::open(&declarations[0], &settings).unwrap();
        assert!(matches!(provider.authorization(), Authorization::None));
        provider.target(&Ask {
            operation,
            model: &ModelName::from("m"),
            stream: false,
            query,
            client: &HeaderMap::new(),
        })
    }

    #[test]
    fn base_urls_are_taken_as_people_write_them() {
        for base in ["https://h", "https://h/", "https://h/v1", "https://h/v1/"] {
            let path = target("anthropic_messages", base, Operation::Messages, Some("beta=true"));
            assert_eq!(path, "/v1/messages?beta=true", "{base}");
        }
        let path = target(
            "openai_chat",
            "https://h/openai/v1",
            Operation::ChatCompletions,
            None,
        );
        assert_eq!(path, "/openai/v1/chat/completions");
        let path = target("openai_chat", "https://h", Operation::Embeddings, None);
        assert_eq!(path, "/embeddings");
    }
}
