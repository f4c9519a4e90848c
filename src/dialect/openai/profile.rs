//! What a chat-completions upstream takes and gives.

use serde::Deserialize;

pub use crate::dialect::openai::answer::ReasoningIn;

/// How one upstream's chat completions differ from OpenAI's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatProfile {
    /// Which field limits the length of the answer.
    pub max_tokens_field: MaxTokensField,
    /// Where the upstream puts its reasoning. `None`: known fields are still accepted, tags are not.
    pub reasoning_in: Option<ReasoningIn>,
    /// The field of assistant messages in which earlier thinking is sent back; `None` drops it.
    pub reasoning_out: Option<String>,
    /// Where system messages may stand.
    pub system_messages: SystemMessages,
    /// Request parameters that the upstream refuses, by their Messages or chat name.
    pub drop_params: Vec<String>,
    /// Whether the upstream takes `reasoning_effort`.
    pub effort: bool,
    /// The longest tool-call id that the upstream takes. Below 10, ids have exactly this length and no
    /// other characters than letters and digits (Mistral).
    pub max_tool_id_bytes: usize,
    /// Whether a stream is asked for its usage by `stream_options`.
    pub include_usage: bool,
    /// Whether the upstream serves `/v1/responses`, too.
    pub responses: bool,
}

impl Default for ChatProfile {
    /// What OpenAI-compatible servers have in common.
    fn default() -> Self {
        Self {
            max_tokens_field: MaxTokensField::MaxTokens,
            reasoning_in: None,
            reasoning_out: None,
            system_messages: SystemMessages::Anywhere,
            drop_params: Vec::new(),
            effort: false,
            max_tool_id_bytes: 40,
            include_usage: true,
            responses: false,
        }
    }
}

impl ChatProfile {
    /// The same with what differs.
    #[must_use]
    pub fn with(self, differs: &ChatDifferences) -> Self {
        let differs = differs.clone();
        Self {
            max_tokens_field: differs.max_tokens_field.unwrap_or(self.max_tokens_field),
            reasoning_in: differs.reasoning_in.or(self.reasoning_in),
            reasoning_out: differs.reasoning_out.or(self.reasoning_out),
            system_messages: differs.system_messages.unwrap_or(self.system_messages),
            drop_params: differs.drop_params.unwrap_or(self.drop_params),
            effort: differs.effort.unwrap_or(self.effort),
            max_tool_id_bytes: differs.max_tool_id_bytes.unwrap_or(self.max_tool_id_bytes),
            include_usage: differs.include_usage.unwrap_or(self.include_usage),
            responses: differs.responses.unwrap_or(self.responses),
        }
    }
}

/// What differs from another profile, as providers declare it and operators configure it; absent means that
/// it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatDifferences {
    /// The field that carries the token limit.
    pub max_tokens_field: Option<MaxTokensField>,
    /// Where answers carry reasoning.
    pub reasoning_in: Option<ReasoningIn>,
    /// The field of assistant messages in which earlier thinking is sent back.
    pub reasoning_out: Option<String>,
    /// Where system messages may stand.
    pub system_messages: Option<SystemMessages>,
    /// Request parameters that the upstream rejects.
    pub drop_params: Option<Vec<String>>,
    /// Whether the upstream takes `reasoning_effort`.
    pub effort: Option<bool>,
    /// The longest tool id that the upstream takes, in bytes.
    pub max_tool_id_bytes: Option<usize>,
    /// Whether to ask for usage in streams (`stream_options`).
    pub include_usage: Option<bool>,
    /// Whether the upstream serves `/v1/responses`, too.
    pub responses: Option<bool>,
}

/// Which field limits the length of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensField {
    /// `max_tokens`: most vendors.
    MaxTokens,
    /// `max_completion_tokens`: OpenAI, Azure, Kimi.
    MaxCompletionTokens,
}

impl MaxTokensField {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

/// Where system messages may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SystemMessages {
    /// Anywhere, any number.
    Anywhere,
    /// Exactly one, and first.
    SingleLeading,
}
