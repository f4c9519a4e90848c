//! What a request asks for, and in which wire format.

use serde::{Deserialize, Serialize};

use crate::dialect::Family;

/// One operation of a model API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// `POST /v1/messages`, Anthropic Messages.
    Messages,
    /// `POST /v1/messages/count_tokens`, Anthropic Messages.
    CountTokens,
    /// `POST /v1/chat/completions`, OpenAI.
    ChatCompletions,
    /// `POST /v1/embeddings`, OpenAI.
    Embeddings,
    /// `POST /v1/responses`, OpenAI.
    Responses,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Messages,
        Self::CountTokens,
        Self::ChatCompletions,
        Self::Embeddings,
        Self::Responses,
    ];

    /// The name that policies and records use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::CountTokens => "count_tokens",
            Self::ChatCompletions => "chat_completions",
            Self::Embeddings => "embeddings",
            Self::Responses => "responses",
        }
    }

    /// The path of this operation below the version.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Messages => "/messages",
            Self::CountTokens => "/messages/count_tokens",
            Self::ChatCompletions => "/chat/completions",
            Self::Embeddings => "/embeddings",
            Self::Responses => "/responses",
        }
    }

    /// Whose API the client speaks.
    pub const fn family(self) -> Family {
        match self {
            Self::Messages | Self::CountTokens => Family::Anthropic,
            Self::ChatCompletions | Self::Embeddings | Self::Responses => Family::OpenAi,
        }
    }

    /// The client's wire format, as the ledger names it.
    pub const fn wire_format(self) -> &'static str {
        match self {
            Self::Messages | Self::CountTokens => "anthropic_messages",
            Self::ChatCompletions => "openai_chat",
            Self::Embeddings => "openai_embeddings",
            Self::Responses => "openai_responses",
        }
    }
}
