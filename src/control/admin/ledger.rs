//! Where administrative changes are recorded before they are made.

use async_trait::async_trait;
use serde::Serialize;

use crate::types::ids::TenantId;

/// One administrative change, as it is recorded. It never holds a secret.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AdminEvent {
    /// The Unix user who asked for it.
    pub peer_uid: u32,
    /// Noun and verb: `tenant.create`.
    pub action: &'static str,
    /// What it is about: `user/ada@acme.test`, `key/<id>`.
    pub resource: String,
    /// The tenant that it concerns, where it concerns one.
    pub tenant: Option<TenantId>,
    /// How far it is.
    pub phase: Phase,
    /// What else describes it.
    pub detail: serde_json::Value,
}

/// How far a change is when it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It is about to be made. Without a later [`Phase::Failed`] it was made, unless the node died there.
    Intended,
    /// It was intended and reported as failed.
    Failed,
}

/// The change could not be recorded.
#[derive(Debug, thiserror::Error)]
#[error("the administrative change cannot be recorded")]
pub struct RecordError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Where changes are recorded.
#[async_trait]
pub trait AdminLedger: Send + Sync {
    /// Returns once the event is durable.
    async fn record(&self, event: &AdminEvent) -> Result<(), RecordError>;
}
