//! The one rule by which we estimate tokens where nobody tells them, for answers and requests alike: two
//! tokens for seven bytes of text as it stands in JSON, and 1,600 for a picture or a page.
//!
//! It lies a little high: clients decide by it when to compact, and bills are better met than missed. What must
//! be nearer the truth, an answer to `count_tokens`, is counted by a tokenizer instead.

/// Bytes of text per token, as a fraction: 3.5. English has more, code and other scripts have fewer.
const BYTES_PER_TOKEN: (u64, u64) = (7, 2);

/// What a picture costs at most by Claude's rule.
const TOKENS_PER_IMAGE: u64 = 1600;

/// About how many bytes of base64 a page of a PDF is, which costs like a picture.
const BYTES_PER_PAGE: usize = 100_000;

/// About how many tokens a text of this size is.
pub const fn tokens(bytes: u64) -> u64 {
    bytes
        .saturating_mul(BYTES_PER_TOKEN.1)
        .div_ceil(BYTES_PER_TOKEN.0)
}

/// About how many tokens a request with so much text and so many pictures and pages is.
pub const fn request(text_bytes: u64, images: u64) -> u64 {
    tokens(text_bytes).saturating_add(images.saturating_mul(TOKENS_PER_IMAGE))
}

/// About how many pages a PDF of so much base64 has.
pub(crate) fn pages(base64_bytes: usize) -> u64 {
    size(base64_bytes / BYTES_PER_PAGE).saturating_add(1)
}

/// The size of something in memory.
pub fn size(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_round_up() {
        assert_eq!([0, 1, 7, 8, 350].map(tokens), [0, 1, 2, 3, 100]);
        assert_eq!(request(350, 2), 3_300);
        assert_eq!([0, 99_999, 100_000].map(pages), [1, 1, 2]);
    }
}
