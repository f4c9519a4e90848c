//! What an answer used, as upstreams count it.

use serde::{Deserialize, Serialize};

/// What one answer used, in Anthropic's terms: the four input kinds never overlap.
///
/// Total input is `input + cache_read + cache_write_5m + cache_write_1h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Input tokens neither read from nor written to a cache.
    pub input: u64,
    /// Output tokens, thinking included.
    pub output: u64,
    /// Input tokens read from a cache.
    pub cache_read: u64,
    /// Input tokens written to a cache for five minutes, or of unstated lifetime.
    pub cache_write_5m: u64,
    /// Input tokens written to a cache for one hour.
    pub cache_write_1h: u64,
    /// The part of `output` that was thinking, where the upstream tells it.
    pub thinking: u64,
    /// The part of `input` that was sound, where the upstream tells it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub audio_input: u64,
    /// The part of `output` that was sound, where the upstream tells it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub audio_output: u64,
    /// Tools that the upstream ran and bills by use.
    #[serde(default, skip_serializing_if = "ServerTools::is_none")]
    pub server_tools: ServerTools,
    /// On what terms the upstream served it.
    #[serde(default, skip_serializing_if = "Terms::are_usual")]
    pub terms: Terms,
}

impl Usage {
    /// All input tokens, whatever the cache did.
    pub const fn total_input(&self) -> u64 {
        self.input
            .saturating_add(self.cache_read)
            .saturating_add(self.cache_write_5m)
            .saturating_add(self.cache_write_1h)
    }
}

/// How often tools were used that the upstream runs itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerTools {
    /// Searches of the web.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub web_search: u64,
    /// Pages of the web that were fetched.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub web_fetch: u64,
    /// Searches of files that the upstream keeps.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub file_search: u64,
    /// Runs of code at the upstream.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub code_run: u64,
}

impl ServerTools {
    /// Whether none was used.
    pub const fn is_none(&self) -> bool {
        self.web_search == 0 && self.web_fetch == 0 && self.file_search == 0 && self.code_run == 0
    }
}

/// On what terms an answer was served, as far as they change its price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The service tier that the upstream says it used.
    #[serde(default, skip_serializing_if = "ServiceTier::is_standard")]
    pub tier: ServiceTier,
    /// Whether it ran in Anthropic's fast mode (`speed`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fast: bool,
    /// Whether it was bound to the United States (`inference_geo`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub us_only: bool,
}

impl Terms {
    /// Whether nothing about them changes the price.
    pub fn are_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// How soon an upstream promised to answer, which some sell apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceTier {
    /// As usual, or nothing was said.
    #[default]
    Standard,
    /// Within hours.
    Batch,
    /// When there is room.
    Flex,
    /// Before others.
    Priority,
    /// On the fastest machines.
    Ultrafast,
    /// One that we don't know: its price is not known either.
    Other,
}

impl ServiceTier {
    /// The tier of this word of an upstream. What was asked for (`auto`) is not what was used, and upstreams
    /// that repeat it mean their usual one.
    pub fn of_word(word: &str) -> Self {
        match word {
            "" | "standard" | "default" | "auto" | "on_demand" => Self::Standard,
            "batch" => Self::Batch,
            "flex" => Self::Flex,
            "priority" => Self::Priority,
            "ultrafast" => Self::Ultrafast,
            _ => Self::Other,
        }
    }

    /// The stored word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Batch => "batch",
            Self::Flex => "flex",
            Self::Priority => "priority",
            Self::Ultrafast => "ultrafast",
            Self::Other => "other",
        }
    }

    /// Whether it is the usual one.
    pub const fn is_standard(&self) -> bool {
        matches!(self, Self::Standard)
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a function of a reference"
)]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_usual_is_not_written_and_reads_back() {
        let usual = Usage {
            input: 3,
            ..Usage::default()
        };
        let text = serde_json::to_string(&usual).unwrap();
        assert_eq!(
            text,
            r#"{"input":3,"output":0,"cache_read":0,"cache_write_5m":0,"cache_write_1h":0,"thinking":0}"#
        );
        let rare = Usage {
            audio_input: 1,
            server_tools: ServerTools {
                web_search: 2,
                ..ServerTools::default()
            },
            terms: Terms {
                tier: ServiceTier::of_word("priority"),
                fast: true,
                us_only: true,
            },
            ..usual
        };
        for usage in [usual, rare] {
            let text = serde_json::to_string(&usage).unwrap();
            assert_eq!(serde_json::from_str::<Usage>(&text).unwrap(), usage);
        }
    }

    #[test]
    fn a_tier_that_nobody_knows_is_not_the_usual_one() {
        for word in ["", "standard", "default", "auto", "on_demand"] {
            assert_eq!(ServiceTier::of_word(word), ServiceTier::Standard, "{word}");
        }
        for word in ["batch", "flex", "priority", "ultrafast"] {
            assert_eq!(ServiceTier::of_word(word).as_str(), word);
        }
        assert_eq!(ServiceTier::of_word("scale"), ServiceTier::Other);
    }
}
