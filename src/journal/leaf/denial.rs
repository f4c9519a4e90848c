//! The leaf of a request that was answered without being forwarded.

use serde::{Deserialize, Serialize};

use crate::journal::leaf::act::RequestFacts;
use crate::journal::leaf::decision::DecisionRow;
use crate::types::clock::Timestamp;

/// A request was answered without being forwarded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Denial {
    /// The request; of several coalesced ones, the first.
    pub facts: RequestFacts,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The kind of error that the answer names.
    pub error_kind: Box<str>,
    /// Why, for people; never holds a secret.
    pub reason: Box<str>,
    /// How many like requests this leaf stands for; at least 1.
    pub count: u32,
    /// When the last of them came, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Timestamp>,
    /// From the first byte to the answer, in microseconds.
    pub latency_us: u64,
    /// Each stage's decision.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<DecisionRow>,
}
