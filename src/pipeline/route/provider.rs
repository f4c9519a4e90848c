//! What is known about providers by their label: settings of a dialect, not code.

use crate::dialect::Dialect;
use crate::dialect::openai::profile::{ChatProfile, MaxTokensField, ReasoningIn, SystemMessages};
use crate::pipeline::route::upstream::CredentialScheme;

/// A provider's usual ways.
#[derive(Clone, Debug)]
pub struct Provider {
    /// What it speaks.
    pub dialect: Dialect,
    /// How it wants its credential.
    pub scheme: CredentialScheme,
    /// How its chat dialect differs from the plain one.
    pub chat: ChatProfile,
}

/// Every label that [`provider`] knows.
pub const LABELS: [&str; 15] = [
    "anthropic",
    "openai",
    "openai-compatible",
    "azure-openai",
    "deepseek",
    "moonshot",
    "qwen",
    "minimax",
    "groq",
    "mistral",
    "openrouter",
    "vllm",
    "ollama",
    "llama.cpp",
    "simulated",
];

/// The provider of this label; `None` for a label that is not known.
pub fn provider(label: &str) -> Option<Provider> {
    let chat = match label {
        "anthropic" | "simulated" => {
            return Some(Provider {
                dialect: Dialect::AnthropicMessages,
                scheme: CredentialScheme::XApiKey,
                chat: ChatProfile::default(),
            });
        }
        "openai" | "azure-openai" => ChatProfile {
            max_tokens_field: MaxTokensField::MaxCompletionTokens,
            effort: true,
            max_tool_id_bytes: 40,
            responses: true,
            ..ChatProfile::default()
        },
        "moonshot" => ChatProfile {
            max_tokens_field: MaxTokensField::MaxCompletionTokens,
            reasoning_in: Some(ReasoningIn::ReasoningContent),
            reasoning_out: Some("reasoning_content".to_owned()),
            ..ChatProfile::default()
        },
        "deepseek" | "qwen" => ChatProfile {
            reasoning_in: Some(ReasoningIn::ReasoningContent),
            reasoning_out: Some("reasoning_content".to_owned()),
            ..ChatProfile::default()
        },
        "minimax" => ChatProfile {
            reasoning_in: Some(ReasoningIn::ThinkTags),
            system_messages: SystemMessages::SingleLeading,
            ..ChatProfile::default()
        },
        "mistral" => ChatProfile {
            include_usage: false,
            ..ChatProfile::default()
        },
        "openrouter" => ChatProfile {
            reasoning_in: Some(ReasoningIn::Reasoning),
            ..ChatProfile::default()
        },
        "openai-compatible" | "groq" | "vllm" | "ollama" | "llama.cpp" => ChatProfile::default(),
        _ => return None,
    };
    Some(Provider {
        dialect: Dialect::OpenAiChat,
        scheme: CredentialScheme::Bearer,
        chat,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_is_known_and_no_other() {
        assert!(LABELS.iter().all(|label| provider(label).is_some()));
        assert!(provider("gemini").is_none());
    }
}
