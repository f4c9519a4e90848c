//! Estimates of token counts, for when an upstream does not tell.

/// Bytes of text per token, as a fraction: 3.5. A little low, so that estimates lie a little high.
const BYTES_PER_TOKEN: (u64, u64) = (7, 2);

/// What a picture costs at most by Claude's rule.
pub(crate) const TOKENS_PER_IMAGE: u64 = 1600;

/// About how many tokens a text of this size is.
pub(crate) const fn tokens(bytes: u64) -> u64 {
    bytes
        .saturating_mul(BYTES_PER_TOKEN.1)
        .div_ceil(BYTES_PER_TOKEN.0)
}

/// The size of something in memory.
pub(crate) fn size(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #[test]
    fn estimates_round_up() {
        assert_eq!([0, 1, 7, 8, 350].map(super::tokens), [0, 1, 2, 3, 100]);
    }
}
