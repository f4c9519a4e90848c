//! Searches over the bytes of strings, written for speed: they see every byte of a body.

use memchr::{memchr, memchr2};

/// The raw length of the string that begins here, and whether it has escapes; `None` without an end.
pub(super) fn length_of_text(bytes: &[u8]) -> Option<(usize, bool)> {
    let mut at = quote_or_backslash(bytes)?;
    let escaped = bytes.get(at) == Some(&b'\\');
    if escaped {
        at += memchr(b'"', bytes.get(at..)?)?;
        // A quote ends the string if an even number of backslashes stands before it.
        while ends_in_odd_backslashes(bytes.get(..at)?) {
            at += 1 + memchr(b'"', bytes.get(at + 1..)?)?;
        }
    }
    Some((at, escaped))
}

pub(super) fn ends_in_odd_backslashes(bytes: &[u8]) -> bool {
    bytes.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// Whether every backslash stands before one of the characters that make an escape which hides
/// nothing. `false` says nothing: the second of two backslashes may stand before anything.
///
/// Text has an escape every few dozen bytes, and looking at each costs mispredicted branches. The
/// compiler makes vectors of this one.
pub(super) fn has_plain_escapes_only(raw: &[u8]) -> bool {
    let followers = raw.get(1..).unwrap_or_default();
    let pairs = raw.iter().zip(followers);
    let odd = |byte: &u8, follower: &u8| u8::from(*byte == b'\\') & u8::from(!is_plain_escape(*follower));
    pairs.fold(0, |found, (byte, follower)| found | odd(byte, follower)) == 0
}

/// Whether a backslash before this byte makes an escape that hides nothing.
#[inline]
pub(super) const fn is_plain_escape(byte: u8) -> bool {
    (byte == b'n')
        | (byte == b'"')
        | (byte == b'\\')
        | (byte == b't')
        | (byte == b'r')
        | (byte == b'b')
        | (byte == b'f')
}

/// The place of the first quote or backslash.
///
/// Most strings are short, and calling a vector search costs more than looking at their bytes in
/// words of eight.
#[inline]
fn quote_or_backslash(rest: &[u8]) -> Option<usize> {
    const WORDS: usize = 6;
    let (words, _) = rest.as_chunks::<8>();
    for (place, word) in words.iter().take(WORDS).enumerate() {
        let word = u64::from_le_bytes(*word);
        let hits = zero_bytes(word ^ (EACH_BYTE * 0x22)) | zero_bytes(word ^ (EACH_BYTE * 0x5C));
        if hits != 0 {
            let byte = usize::try_from(hits.trailing_zeros() / 8).unwrap_or(0);
            return Some(place * 8 + byte);
        }
    }
    let seen = words.len().min(WORDS) * 8;
    memchr2(b'"', b'\\', rest.get(seen..)?).map(|place| seen + place)
}

const EACH_BYTE: u64 = 0x0101_0101_0101_0101;

/// The high bit of each byte that is zero, exact up to the first one.
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(EACH_BYTE) & !word & (EACH_BYTE * 0x80)
}

/// Whether any byte is a control character; written so that the compiler makes vectors of it.
pub(super) fn has_control(body: &[u8]) -> bool {
    body.chunks(256)
        .any(|chunk| chunk.iter().fold(0xFF, |least: u8, byte| least.min(*byte)) < 0x20)
}
