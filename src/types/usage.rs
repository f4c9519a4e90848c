//! Tokens, as upstreams count them.

use serde::{Deserialize, Serialize};

/// Token counts of one answer, in Anthropic's terms: the four input kinds never overlap.
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
