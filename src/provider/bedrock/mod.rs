//! Amazon Bedrock: Claude by `InvokeModel` and `InvokeModelWithResponseStream`, all other models by
//! `Converse` and `ConverseStream`. The model's name decides.
//!
//! Input: Messages requests, byte for byte but for the edits of `body`, or requests in the words of Converse.
//! Output: requests that Bedrock takes, signed by `signing` or with an API key; `stream` takes the binary
//! frames of its answers apart. `models` knows what names say, and `count` asks for tokens.
//! Never: a request for a picture or file behind an address, which Bedrock does not fetch.

mod body;
mod count;
mod models;
mod signing;
mod stream;

use std::sync::Arc;

use http::header::ACCEPT;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::dialect::Dialect;
use crate::dialect::operation::Operation;
use crate::provider::authorize::{Authorization, Scheme};
use crate::provider::bedrock::models::Claude;
use crate::provider::bedrock::signing::{AccessKey, Signing};
use crate::provider::bedrock::stream::EventStream;
use crate::provider::betas::Betas;
use crate::provider::declaration::Declaration;
use crate::provider::frames::Frames;
use crate::provider::lending::aws;
use crate::provider::path::segment;
use crate::provider::registry::Code;
use crate::provider::{Ask, Counting, Edits, Misconfigured, Provider, Settings, Unfit};
use crate::types::clock::SystemClock;
use crate::types::ids::ModelName;

inventory::submit! {
    Code {
        label: "bedrock",
        endpoint: None,
        open: Bedrock::open,
    }
}

/// What binary streams are called.
const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";

/// One upstream on Bedrock.
#[derive(Debug)]
struct Bedrock {
    base: Box<str>,
    claude: Claude,
    /// The betas that its models take.
    betas: Betas,
    authorization: Authorization,
}

impl Bedrock {
    fn open(declaration: &Declaration, settings: &Settings) -> Result<Box<dyn Provider>, Misconfigured> {
        let authorization = authorization(settings)?;
        let betas = declaration.betas.clone().unwrap_or_default();
        Ok(Box::new(Self {
            betas: betas.with(settings.options.get("betas").unwrap_or_default()),
            base: settings.endpoint.base_path().into(),
            claude: Claude::named(settings.options.get("claude").unwrap_or_default()),
            authorization,
        }))
    }
}

/// Signatures by the keys of a role or by static ones, or an API key.
fn authorization(settings: &Settings) -> Result<Authorization, Misconfigured> {
    let region = settings.options.get("region").unwrap_or_default();
    let lending = settings.lending.as_ref();
    match (lending, settings.options.get("access_key_id"), &settings.key) {
        (Some(lending), None, _) => {
            let sign = Signing::by_lent_keys(region, &lending.clock);
            let leases = aws::leases(lending, &settings.options, sign)?;
            Ok(Authorization::Leased(Box::new(leases)))
        }
        (None, None, key) => Authorization::fixed(Scheme::Bearer, key.as_ref()),
        (None, Some(id), Some(secret)) => {
            let key = AccessKey::read(id, secret);
            let signing = Signing::new(region, key, Arc::new(SystemClock));
            Ok(Authorization::Leased(Box::new(signing)))
        }
        (None, Some(_), None) => {
            let problem = "`access_key_id` needs its secret: name it by `api_key_secret`";
            Err(Misconfigured(problem.to_owned()))
        }
        (Some(_), Some(_), _) => {
            let problem = "`access_key_id` and `credentials` exclude each other: remove one";
            Err(Misconfigured(problem.to_owned()))
        }
    }
}

impl Provider for Bedrock {
    fn dialect(&self, usual: Dialect, model: &ModelName) -> Dialect {
        if self.claude.is(model) {
            usual
        } else {
            Dialect::Converse
        }
    }

    /// Profiles cannot be asked, only the models behind them.
    fn counting(&self, model: &ModelName) -> Counting {
        models::foundation(model).map_or(Counting::Not, |_| Counting::Under(count::MEMBER))
    }

    fn target(&self, ask: &Ask<'_>) -> String {
        let counted = models::foundation(ask.model).filter(|_| ask.operation == Operation::CountTokens);
        let (model, action) = match (counted, self.claude.is(ask.model), ask.stream) {
            (Some(foundation), ..) => (foundation, "count-tokens"),
            (None, true, false) => (ask.model.as_str(), "invoke"),
            (None, true, true) => (ask.model.as_str(), "invoke-with-response-stream"),
            (None, false, false) => (ask.model.as_str(), "converse"),
            (None, false, true) => (ask.model.as_str(), "converse-stream"),
        };
        format!("{}/model/{}/{action}", self.base, segment(model, b""))
    }

    fn edits(&self, ask: &Ask<'_>, body: &[u8]) -> Result<Edits, Unfit> {
        if !self.claude.is(ask.model) {
            // Translated for it, and for it alone.
            return Ok(Edits::default());
        }
        let edits = body::edits(ask.client, &self.betas, body)?;
        if ask.operation == Operation::CountTokens {
            return count::edits(body, edits);
        }
        Ok(edits)
    }

    fn headers(&self, ask: &Ask<'_>) -> Vec<(HeaderName, Option<HeaderValue>)> {
        let kind = if ask.stream {
            EVENT_STREAM
        } else {
            "application/json"
        };
        let mut headers = vec![(ACCEPT, Some(HeaderValue::from_static(kind)))];
        headers.extend(own_headers(ask.client).map(|name| (name, None)));
        headers.push((HeaderName::from_static("anthropic-version"), None));
        headers
    }

    fn frames(&self, content_type: &str) -> Option<Box<dyn Frames>> {
        let is_binary = content_type.starts_with(EVENT_STREAM);
        is_binary.then(|| Box::new(EventStream::default()) as Box<dyn Frames>)
    }

    fn authorization(&self) -> &Authorization {
        &self.authorization
    }
}

/// Headers of Anthropic's own API: on Bedrock the body says what they say.
fn own_headers(client: &HeaderMap) -> impl Iterator<Item = HeaderName> {
    client
        .keys()
        .filter(|name| name.as_str().starts_with("anthropic-"))
        .cloned()
}

#[cfg(test)]
mod tests;
