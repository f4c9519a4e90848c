//! A configured upstream, ready to be asked.

use std::sync::Arc;

use crate::dialect::Dialect;
use crate::dialect::openai::profile::ChatProfile;
use crate::pipeline::route::guard::Guard;
use crate::provider::Provider;
use crate::provider::declaration::ByModel;
use crate::telemetry::metrics::meters::UpstreamMeters;
use crate::types::destination::Destination;
use crate::types::ids::{ModelName, UpstreamName};

/// One upstream.
#[derive(Debug)]
pub struct Upstream {
    /// Its configured name.
    pub name: UpstreamName,
    /// The provider's label, as prices and policies spell it.
    pub label: Box<str>,
    /// Where it lives.
    pub destination: Destination,
    /// What it speaks, unless its provider says otherwise of a model.
    pub dialect: Dialect,
    /// Its vendor's ways: paths, edits, credentials.
    pub provider: Box<dyn Provider>,
    /// Whether thinking that is sent to it must carry the signatures of Anthropic's own models.
    pub signed_thinking: bool,
    /// How its chat dialect differs from the plain one.
    pub chat: ByModel,
    /// Whether it is told which trace a request belongs to.
    pub trace_context: bool,
    /// What it can bear.
    pub guard: Arc<Guard>,
    /// What is counted about it.
    pub meters: UpstreamMeters,
}

impl Upstream {
    /// How its chat dialect differs from the plain one for this model.
    pub fn chat(&self, model: &ModelName) -> &ChatProfile {
        self.chat.of(model)
    }
}
