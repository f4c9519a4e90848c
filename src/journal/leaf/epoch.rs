//! The first leaf of every epoch.

use serde::{Deserialize, Serialize};

use crate::journal::origin::{Head, Origin};

/// The first leaf of every epoch: which history begins, and why the old one could not go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epoch {
    /// The history that begins with this leaf.
    pub origin: Origin,
    /// Why it begins.
    pub reason: EpochReason,
    /// The end of the old history, as the store knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<Head>,
    /// The end of the old history, as this journal holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Head>,
}

/// Why an epoch began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EpochReason {
    /// Neither the store nor the disk knows this node.
    First,
    /// The store knows this node, the disk does not: the journal was lost.
    Lost,
    /// The journal ends before what the store knows: a backup or a snapshot was restored.
    RolledBack,
    /// The journal holds another leaf where the store's newest one should stand.
    Diverged,
    /// The journal was written by another node.
    Moved,
    /// The store could not be asked, so nothing proves that the journal is the newest copy.
    Unverified,
}
