//! A governed request from the moment that its caller is known.

use http::HeaderMap;

use crate::dialect::operation::Operation;
use crate::journal::leaf::act::{Act, Labels};
use crate::types::clock::Timestamp;
use crate::types::digest::Sha256;
use crate::types::ids::{ModelName, RequestId};
use crate::types::peer::Peer;
use crate::types::principal::Principal;

/// The longest label that is kept, in bytes.
const LABEL_BYTES_MAX: usize = 128;

/// What is known of a request, growing from stage to stage until it is recorded.
#[derive(Debug)]
pub struct Envelope {
    /// Its id.
    pub id: RequestId,
    /// When it began.
    pub started_at: Timestamp,
    /// The other end of the client's connection.
    pub peer: Peer,
    /// Who asks.
    pub principal: Principal,
    /// What for.
    pub operation: Operation,
    /// What the client says about itself; labels, never identity.
    pub labels: Labels,
    /// The configuration that it is governed by.
    pub config_generation: u64,
    /// The digest of its policies.
    pub policy_digest: Sha256,
    /// The model asked for, once the body has been read.
    pub requested_model: Option<ModelName>,
    /// Whether a stream is asked for.
    pub stream: bool,
    /// The digest of the body as received.
    pub request_digest: Option<Sha256>,
}

impl Envelope {
    /// Who does what to what, as every leaf of this request repeats it.
    pub fn act(&self) -> Act {
        Act {
            action: "invoke".into(),
            resource: self.requested_model.as_ref().map(|model| model.as_str().into()),
            labels: self.labels.clone(),
            peer: Some(self.peer.clone()),
            ..Act::of_request(self.id).by(&self.principal)
        }
    }
}

/// The labels in a client's head, cut to a bounded length.
pub fn labels(headers: &HeaderMap, trace_id: &str) -> Labels {
    let label = |name: &str| -> Option<Box<str>> {
        let value = headers.get(name)?.to_str().ok()?;
        Some(value.get(..LABEL_BYTES_MAX).unwrap_or(value).into())
    };
    Labels {
        trace: Some(trace_id.into()),
        session: label("x-claude-code-session-id"),
        task: label("x-claude-code-agent-id"),
        context: label("x-claude-code-prompt-id"),
        client: label("user-agent"),
    }
}
