//! Administrative changes in the journal: the ledger that the admin service records in.

use std::sync::Arc;

use async_trait::async_trait;

use crate::control::admin::ledger::{AdminEvent, AdminLedger, Phase, RecordError};
use crate::journal::Journal;
use crate::journal::leaf::admin::{Actor, Admin};
use crate::journal::leaf::decision::{Json, Verdict};

/// Records in a node's journal.
pub struct JournalLedger(Arc<Journal>);

impl JournalLedger {
    /// Records in this journal.
    pub const fn new(journal: Arc<Journal>) -> Self {
        Self(journal)
    }
}

#[async_trait]
impl AdminLedger for JournalLedger {
    async fn record(&self, event: &AdminEvent) -> Result<(), RecordError> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| RecordError(error);
        let (outcome, reason) = match event.phase {
            Phase::Intended => (Verdict::Allow, None),
            Phase::Failed => (Verdict::Deny, Some("the change was recorded, then failed".into())),
        };
        let leaf = Admin {
            actor: Actor {
                uid: Some(event.peer_uid),
                user: None,
                session: None,
            },
            tenant: event.tenant,
            request: None,
            action: event.action.into(),
            resource: Some(event.resource.as_str().into()),
            outcome,
            reason,
            policy_digest: None,
            detail: Some(Json::of(&event.detail).map_err(|error| failed(error.into()))?),
        };
        self.0
            .append_admin(&leaf)
            .await
            .map_err(|error| failed(error.into()))?;
        Ok(())
    }
}
