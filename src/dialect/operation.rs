//! What a request asks for, and in which wire format.

use serde::{Deserialize, Serialize};

/// One operation of a model API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// `POST /v1/messages`, Anthropic Messages.
    Messages,
    /// `POST /v1/messages/count_tokens`, Anthropic Messages.
    CountTokens,
}

impl Operation {
    /// The name that policies and records use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::CountTokens => "count_tokens",
        }
    }
}
