//! The signature that we give to thinking of models that sign nothing.
//!
//! Clients send thinking blocks back with their signature, also to another model later on. A real
//! Anthropic model refuses a foreign signature for the rest of the conversation, so ours must be
//! recognisable. It can carry the text of a thinking block that the client asked to be hidden but that
//! the upstream wants back.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// How every signature of ours begins.
const PREFIX: &str = "tg1.";

/// The longest hidden text that a signature carries; a longer one is dropped.
pub const HIDDEN_BYTES_MAX: usize = 256 << 10;

/// A signature that carries this hidden text, which may be empty.
pub fn seal(hidden: &str) -> String {
    let carried = if hidden.len() > HIDDEN_BYTES_MAX {
        ""
    } else {
        hidden
    };
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(carried))
}

/// The hidden text, where the signature is ours.
pub fn open(signature: &str) -> Option<String> {
    let carried = URL_SAFE_NO_PAD.decode(signature.strip_prefix(PREFIX)?).ok()?;
    String::from_utf8(carried).ok()
}

/// Whether these bytes begin like a signature of ours.
pub fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(PREFIX.as_bytes())
}

/// Whether Anthropic would refuse a thinking block with this signature: it is empty, or ours.
pub fn is_unsigned(signature: &str) -> bool {
    signature.is_empty() || signature.starts_with(PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_text_comes_back() {
        for text in ["", "so, 330 m", "größer"] {
            assert_eq!(open(&seal(text)).as_deref(), Some(text));
            assert!(is_unsigned(&seal(text)));
        }
        let long = "x".repeat(HIDDEN_BYTES_MAX + 1);
        assert_eq!(open(&seal(&long)).as_deref(), Some(""));
    }

    #[test]
    fn foreign_signatures_are_left_alone() {
        for foreign in ["EqQBCkYIBxgCKkA", "gw-opaque-1", "tg1"] {
            assert_eq!((open(foreign), is_unsigned(foreign)), (None, false));
        }
        assert!(is_unsigned(""));
    }
}
