//! What a chat-completions upstream takes and gives.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

pub use crate::dialect::openai::answer::ReasoningIn;

/// The `reasoning_out` of upstreams that want thinking back in tags before the text.
pub const THINK_TAGS: &str = "think_tags";

/// How one upstream's chat completions differ from OpenAI's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatProfile {
    /// Which field limits the length of the answer.
    pub max_tokens_field: MaxTokensField,
    /// Where the upstream puts its reasoning. `None`: known fields are still accepted, tags are not.
    pub reasoning_in: Option<ReasoningIn>,
    /// The field of assistant messages in which earlier thinking is sent back, or [`THINK_TAGS`]; `None` drops it.
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
    /// Whether the upstream looks at pictures.
    pub images: bool,
    /// Whether the upstream reads files (`file` parts: PDF).
    pub documents: bool,
    /// Which choices between tools the upstream knows.
    pub tool_choice: ToolChoice,
    /// How the upstream is told whether to think, and how much; `None`: it cannot be told.
    pub thinking_switch: Option<ThinkingSwitch>,
    /// The efforts that the upstream knows, the least first; empty for all.
    pub efforts: Vec<String>,
    /// Whether the upstream takes `top_k`.
    pub top_k: bool,
    /// Whether a user may speak right behind a tool's result.
    pub user_after_tool: bool,
    /// What every request says there besides, by its name in chat completions.
    pub send: BTreeMap<String, Value>,
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
            images: true,
            documents: true,
            tool_choice: ToolChoice::Full,
            thinking_switch: None,
            efforts: Vec::new(),
            top_k: false,
            user_after_tool: true,
            send: BTreeMap::new(),
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
            // An empty name takes the field away again.
            reasoning_out: differs
                .reasoning_out
                .or(self.reasoning_out)
                .filter(|field| !field.is_empty()),
            system_messages: differs.system_messages.unwrap_or(self.system_messages),
            drop_params: differs.drop_params.unwrap_or(self.drop_params),
            effort: differs.effort.unwrap_or(self.effort),
            max_tool_id_bytes: differs.max_tool_id_bytes.unwrap_or(self.max_tool_id_bytes),
            include_usage: differs.include_usage.unwrap_or(self.include_usage),
            responses: differs.responses.unwrap_or(self.responses),
            images: differs.images.unwrap_or(self.images),
            documents: differs.documents.unwrap_or(self.documents),
            tool_choice: differs.tool_choice.unwrap_or(self.tool_choice),
            thinking_switch: differs.thinking_switch.or(self.thinking_switch),
            efforts: differs.efforts.unwrap_or(self.efforts),
            top_k: differs.top_k.unwrap_or(self.top_k),
            user_after_tool: differs.user_after_tool.unwrap_or(self.user_after_tool),
            send: differs.send.unwrap_or(self.send),
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
    /// The field of assistant messages in which earlier thinking is sent back, or `think_tags`, which stand before the
    /// text; empty for none.
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
    /// Whether the upstream looks at pictures; else they are refused.
    pub images: Option<bool>,
    /// Whether the upstream reads files; else PDF documents are refused.
    pub documents: Option<bool>,
    /// Which choices between tools the upstream knows.
    pub tool_choice: Option<ToolChoice>,
    /// How the upstream is told whether to think.
    pub thinking_switch: Option<ThinkingSwitch>,
    /// The efforts that the upstream knows, the least first; empty for all.
    pub efforts: Option<Vec<String>>,
    /// Whether the upstream takes `top_k`.
    pub top_k: Option<bool>,
    /// Whether a user may speak right behind a tool's result.
    pub user_after_tool: Option<bool>,
    /// What every request says there besides, by its name in chat completions.
    pub send: Option<BTreeMap<String, Value>>,
}

/// Which choices between tools an upstream knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolChoice {
    /// `auto`, `none`, `required`, and one tool by its name.
    Full,
    /// The same, with `any` instead of `required` (Mistral).
    Any,
    /// `auto` and `none` (Kimi).
    AutoOrNone,
}

/// How an upstream is told whether to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThinkingSwitch {
    /// `thinking: {type}` (DeepSeek, Kimi).
    Thinking,
    /// `enable_thinking` and `thinking_budget` (Qwen).
    EnableThinking,
    /// `chat_template_kwargs: {enable_thinking}` (vLLM, llama.cpp).
    ChatTemplate,
    /// `reasoning: {enabled | max_tokens | effort}` (OpenRouter).
    Reasoning,
}

impl ThinkingSwitch {
    /// How it looks on the wire, for documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Thinking => "thinking: {type}",
            Self::EnableThinking => "enable_thinking, thinking_budget",
            Self::ChatTemplate => "chat_template_kwargs: {enable_thinking}",
            Self::Reasoning => "reasoning: {enabled, max_tokens, effort}",
        }
    }
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
