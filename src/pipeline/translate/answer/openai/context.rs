//! What the way back to a client of OpenAI's API must know of the way out.

use crate::pipeline::translate::answer::openai::kinds::CallKinds;
use crate::pipeline::translate::names::Names;
use crate::types::ids::ModelName;

/// How `reasoning_details` say that a signature in them is Anthropic's; others know it by this word, too.
pub(crate) const REASONING_FORMAT: &str = "anthropic-claude-v1";

/// What passing chunks needs to know of the request.
#[derive(Clone, Debug)]
pub struct ChatBytes {
    /// The name that the client asked for, if another one was sent.
    pub alias: Option<ModelName>,
    /// Whether we asked for the usage, so that the chunk that only tells it stays here.
    pub withhold_usage: bool,
    /// How many answers were asked for.
    pub choices: u64,
    /// Our estimate of the input, until the upstream tells.
    pub input_tokens: u64,
}

/// What passing a response needs to know of the request.
#[derive(Clone, Debug)]
pub struct ResponseBytes {
    /// The name that the client asked for, if another one was sent.
    pub alias: Option<ModelName>,
    /// Our estimate of the input, until the upstream tells.
    pub input_tokens: u64,
}

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

/// What telling a response needs to know of the request.
#[derive(Clone, Debug)]
pub struct ResponseContext {
    /// The model name that the client asked for; the answer bears it.
    pub requested_model: ModelName,
    /// Tool names that were changed, to be changed back.
    pub(crate) names: Names,
    /// The tools that are no plain functions.
    pub(crate) kinds: CallKinds,
    /// What a response repeats of its request: members, each with a comma before it.
    pub(crate) echo: String,
}

/// What a response is called.
#[derive(Clone, Debug)]
pub struct ResponseName {
    /// What its id and those of its items have in common: hex digits.
    pub id: String,
    /// When it was made, in seconds since 1970.
    pub created: u64,
}
