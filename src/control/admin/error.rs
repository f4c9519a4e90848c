//! Why a command was not carried out, in words for the person who gave it.

use serde::{Deserialize, Serialize};

use crate::control::admin::ledger::RecordError;
use crate::store::StoreError;

/// A command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "kind", content = "message", rename_all = "snake_case")]
pub enum AdminError {
    /// The command makes no sense as given.
    #[error("{0}")]
    Invalid(String),
    /// What it names does not exist.
    #[error("{0}")]
    NotFound(String),
    /// What it wants is so already, or cannot be beside what is.
    #[error("{0}")]
    Conflict(String),
    /// It could not be recorded, so nothing was changed.
    #[error("{0}")]
    NotRecorded(String),
    /// Something broke; the node's log says what.
    #[error("{0}")]
    Failed(String),
    /// This Unix user is not served.
    #[error("{0}")]
    Refused(String),
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict | StoreError::NothingChanged => Self::Conflict(
                "somebody else changed the same thing at the same time; look at it and try again".to_owned(),
            ),
            StoreError::Connect { .. }
            | StoreError::Migrate { .. }
            | StoreError::Newer { .. }
            | StoreError::Older { .. }
            | StoreError::Foreign { .. }
            | StoreError::Query { .. }
            | StoreError::Deadline { .. }
            | StoreError::Unreadable { .. } => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "an administrative command failed"
                );
                Self::Failed(format!("{error}; the node's log has the reason"))
            }
        }
    }
}

impl From<RecordError> for AdminError {
    fn from(error: RecordError) -> Self {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "an administrative change could not be recorded"
        );
        Self::NotRecorded(
            "the change could not be recorded in the audit journal, so nothing was changed; the node's log \
             has the reason"
                .to_owned(),
        )
    }
}
