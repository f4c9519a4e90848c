//! What was seen of an answer while it passed.

use crate::pipeline::translate::answer::fault::Fault;
use crate::types::ids::ModelName;
use crate::types::usage::Usage;

/// What was seen of an answer so far. It holds at every moment, also when the client goes away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Token counts; `None` before anything came.
    pub usage: Option<Usage>,
    /// Whether `usage` is (partly) our estimate, because the upstream has not told or never tells.
    pub usage_estimated: bool,
    /// The stop reason, in Messages words.
    pub stop_reason: Option<String>,
    /// The model that the upstream says it ran.
    pub served_model: Option<ModelName>,
    /// The upstream's id of the answer.
    pub upstream_id: Option<String>,
    /// Tool calls in the answer.
    pub tool_calls: u32,
    /// How it ended.
    pub outcome: Outcome,
}

/// How an answer ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// It has not.
    #[default]
    Open,
    /// Properly.
    Complete,
    /// With an error that the upstream, or whoever aborted the stream, named.
    Failed(Fault),
    /// Cut off, or not understandable.
    Broken,
}
