//! What the way back to a client of chat completions must know of the way out.

use crate::pipeline::translate::names::Names;
use crate::types::ids::ModelName;

/// How `reasoning_details` say that a signature in them is Anthropic's; others know it by this word, too.
pub(crate) const REASONING_FORMAT: &str = "anthropic-claude-v1";

/// What the translation of an answer needs to know of the request.
#[derive(Clone, Debug)]
pub struct CompletionContext {
    /// The model name that the client asked for; the answer bears it.
    pub requested_model: ModelName,
    /// Whether a stream shall tell its usage.
    pub(crate) include_usage: bool,
    /// Tool names that were changed, to be changed back.
    pub(crate) names: Names,
}

/// What an answer is called.
#[derive(Clone, Debug)]
pub struct CompletionName {
    /// Its id, as in `chatcmpl-…`.
    pub id: String,
    /// When it was made, in seconds since 1970.
    pub created: u64,
}
