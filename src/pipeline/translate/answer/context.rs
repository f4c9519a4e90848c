//! What the way back must know of the way out.

use crate::dialect::openai::answer::ReasoningIn;
use crate::pipeline::translate::names::Names;
use crate::types::ids::ModelName;

/// What the translation of an answer needs to know of the request.
#[derive(Clone, Debug)]
pub struct AnswerContext {
    /// The model name that the client asked for; the answer bears it.
    pub requested_model: ModelName,
    /// Tool names that were changed, to be changed back.
    pub(crate) names: Names,
    /// All stop sequences of the request.
    pub(crate) stop_sequences: Vec<String>,
    /// Those of them that the upstream does not watch for.
    pub(crate) watched: Vec<String>,
    /// Where the upstream puts its reasoning.
    pub(crate) reasoning_in: Option<ReasoningIn>,
    /// Whether the client wants thinking blocks without their text (`thinking.display: omitted`).
    pub(crate) hide_thinking: bool,
    /// Whether thinking comes back to this upstream, so that hidden text must be kept.
    pub(crate) keep_hidden: bool,
    /// Our estimate of the input, until the upstream tells.
    pub(crate) input_tokens: u64,
}

impl AnswerContext {
    /// Our estimate of the input tokens.
    pub const fn input_tokens_estimate(&self) -> u64 {
        self.input_tokens
    }
}
