//! A configured upstream, ready to be asked.

use std::sync::Arc;

use crate::dialect::Dialect;
use crate::dialect::openai::profile::ChatProfile;
use crate::dialect::operation::Operation;
use crate::pipeline::route::guard::Guard;
use crate::telemetry::metrics::meters::UpstreamMeters;
use crate::types::destination::Destination;
use crate::types::ids::UpstreamName;
use crate::types::secret::Secret;

/// How an upstream wants its credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialScheme {
    /// `x-api-key: KEY`
    XApiKey,
    /// `authorization: Bearer KEY`
    Bearer,
}

/// One upstream.
#[derive(Debug)]
pub struct Upstream {
    /// Its configured name.
    pub name: UpstreamName,
    /// The provider's label, as prices and policies spell it.
    pub provider: Box<str>,
    /// Where it lives.
    pub destination: Destination,
    /// What it speaks.
    pub dialect: Dialect,
    /// How it wants its credential.
    pub scheme: CredentialScheme,
    /// The credential, where it wants one.
    pub credential: Option<Secret<String>>,
    /// How its chat dialect differs from the plain one.
    pub chat: ChatProfile,
    /// Whether it is told which trace a request belongs to.
    pub trace_context: bool,
    /// What it can bear.
    pub guard: Arc<Guard>,
    /// What is counted about it.
    pub meters: UpstreamMeters,
}

impl Upstream {
    /// The path of an operation of its dialect, with the client's query where that is the client's own.
    pub fn path(&self, operation: Operation, query: Option<&str>) -> String {
        let base = self.destination.base_path();
        let operation = operation.path();
        // Both spellings of an Anthropic base URL are in use, with and without the version.
        let version = match self.dialect {
            Dialect::AnthropicMessages if !base.ends_with("/v1") => "/v1",
            _ => "",
        };
        let question = if query.is_some() { "?" } else { "" };
        format!(
            "{base}{version}{operation}{question}{}",
            query.unwrap_or_default()
        )
    }
}
