//! What a `reasoning` item carries of thinking that OpenAI did not make.
//!
//! Clients send such items back as they got them, their text in `summary` and what only the maker can
//! read in `encrypted_content`. There stands the maker's signature, bound to the text: an item whose text
//! was changed on the way would be refused by the maker, so it must be recognised before.

use crate::types::digest::Sha256;

/// How every content of ours begins.
const PREFIX: &str = "tgr1.";

/// The mark of a signature, with the digest of the signed text behind it.
const SIGNED: &str = "s.";

/// The mark of thinking that has no text for anybody but its maker.
const SEALED: &str = "r.";

/// How many digits of the text's digest are kept.
const DIGEST_DIGITS: usize = 16;

/// What an item carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried<'a> {
    /// The signature of a text.
    Signed(Signature<'a>),
    /// Thinking that only its maker can read.
    Sealed(&'a str),
}

/// A signature that is valid for one text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature<'a> {
    digest: &'a str,
    signature: &'a str,
}

impl<'a> Signature<'a> {
    /// The signature, if it is this text's.
    pub fn of(self, text: &str) -> Option<&'a str> {
        (digest(text) == self.digest).then_some(self.signature)
    }
}

/// The content of an item with a text and its signature.
pub fn signed(text: &str, signature: &str) -> String {
    format!("{PREFIX}{SIGNED}{}.{signature}", digest(text))
}

/// The content of an item that has no text.
pub fn sealed(data: &str) -> String {
    format!("{PREFIX}{SEALED}{data}")
}

/// What is carried; `None` for contents of others.
pub fn open(content: &str) -> Option<Carried<'_>> {
    let carried = content.strip_prefix(PREFIX)?;
    if let Some(data) = carried.strip_prefix(SEALED) {
        return Some(Carried::Sealed(data));
    }
    let (digest, signature) = carried.strip_prefix(SIGNED)?.split_once('.')?;
    Some(Carried::Signed(Signature { digest, signature }))
}

/// Whether this content is one of ours, which OpenAI would refuse.
pub fn is_ours(content: &str) -> bool {
    content.starts_with(PREFIX)
}

fn digest(text: &str) -> String {
    let mut digest = Sha256::of(text.as_bytes()).to_string();
    digest.truncate(DIGEST_DIGITS);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_comes_back_for_its_own_text_only() {
        for (text, signature) in [("", "EqQB+/=="), ("so, 330 m", "tg1.eA"), ("größer", "a.b.c")] {
            let content = signed(text, signature);
            let Some(Carried::Signed(carried)) = open(&content) else {
                panic!("{content}")
            };
            assert_eq!(carried.of(text), Some(signature));
            assert_eq!(carried.of("another text"), None);
        }
        assert_eq!(open(&sealed("EmwKAh")), Some(Carried::Sealed("EmwKAh")));
    }

    #[test]
    fn contents_of_others_are_left_alone() {
        for foreign in ["", "gAAAAABo", "tgr1", "tgr1.x.", "tgr1.s.nodot"] {
            assert_eq!(open(foreign), None, "{foreign}");
        }
        assert!(is_ours(&sealed("")) && !is_ours("gAAAAABo"));
    }
}
