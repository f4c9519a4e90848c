//! Wire formats as bytes: no I/O, no policy, no configuration.
//!
//! Input: bodies and chunks as they came. Output: places in them, events of a stream, edits to make.
//! Nothing here ever re-serialises what it did not understand.

pub mod element;
pub mod json;
pub mod member;
pub mod operation;
pub mod raw;
pub mod splice;
pub mod sse;

pub mod anthropic;
pub mod converse;
pub mod gemini;
pub mod openai;

use serde::Deserialize;

/// Whose API a wire format belongs to: formats of one family share errors, lists of models and headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// Errors are `{"type":"error","error":{"type","message"},"request_id"}`.
    Anthropic,
    /// Errors are `{"error":{"message","type","param","code"}}`.
    OpenAi,
}

/// A wire format that upstreams speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// Anthropic Messages: `POST /v1/messages`.
    AnthropicMessages,
    /// OpenAI chat completions: `POST …/chat/completions`.
    #[serde(rename = "openai_chat")]
    OpenAiChat,
    /// Gemini's own: `POST …/models/{model}:generateContent`.
    Gemini,
    /// Amazon Bedrock's own: `POST /model/{model}/converse`.
    Converse,
}

impl Dialect {
    /// The name in logs, metrics and the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AnthropicMessages => "anthropic_messages",
            Self::OpenAiChat => "openai_chat",
            Self::Gemini => "gemini",
            Self::Converse => "converse",
        }
    }

    /// The API of clients that it belongs to; none, where no client speaks it.
    pub const fn family(self) -> Option<Family> {
        match self {
            Self::AnthropicMessages => Some(Family::Anthropic),
            Self::OpenAiChat => Some(Family::OpenAi),
            Self::Gemini | Self::Converse => None,
        }
    }
}
