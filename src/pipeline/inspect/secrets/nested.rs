//! Text that is still escaped: JSON in JSON strings, as tool arguments are.

use std::ops::Range;

use memchr::{memchr, memmem};

/// How often a text is unescaped.
pub(super) const DEPTH_MAX: usize = 3;
/// Bytes before and behind an escape that are looked at without it.
const BEFORE: usize = 1_024;
const BEHIND: usize = 4_096;

/// The parts of a text around escapes that could hide a secret: `\u00XX` and `\/`. Other escapes hide no character,
/// and rules know them.
pub(super) fn parts(text: &[u8]) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    let coded = memmem::find_iter(text, br"\u00");
    let slashes = memmem::find_iter(text, br"\/");
    let mut places: Vec<usize> = coded.chain(slashes).collect();
    places.sort_unstable();
    for place in places {
        let part = place.saturating_sub(BEFORE)..text.len().min(place + BEHIND);
        match parts.last_mut() {
            Some(last) if part.start <= last.end => last.end = part.end,
            _ => parts.push(part),
        }
    }
    parts
}

/// A text with its escapes undone, and where each part of it stood.
#[derive(Debug)]
pub(super) struct Unescaped {
    pub(super) text: Vec<u8>,
    /// Offsets behind each escape: in this text, and in the one that it was made from.
    places: Vec<(usize, usize)>,
}

impl Unescaped {
    pub(super) fn of(text: &[u8]) -> Self {
        let mut undone = Self {
            text: Vec::with_capacity(text.len()),
            places: Vec::new(),
        };
        let mut at = 0;
        while let Some(plain) = text.get(at..).and_then(|rest| memchr(b'\\', rest)) {
            let escape = at + plain;
            undone
                .text
                .extend_from_slice(text.get(at..escape).unwrap_or_default());
            let (length, byte) = escaped(text.get(escape + 1..).unwrap_or_default());
            undone.text.push(byte);
            at = escape + 1 + length;
            undone.places.push((undone.text.len(), at));
        }
        undone.text.extend_from_slice(text.get(at..).unwrap_or_default());
        undone
    }

    /// The offset in the text before of an offset in this one.
    pub(super) fn before(&self, offset: usize) -> usize {
        let passed = self.places.partition_point(|(after, _)| *after <= offset);
        match passed.checked_sub(1).and_then(|last| self.places.get(last)) {
            Some((after, original)) => original + (offset - after),
            None => offset,
        }
    }
}

/// The length behind the backslash, and the byte, of the escape with this rest. What is no escape stays a backslash.
fn escaped(rest: &[u8]) -> (usize, u8) {
    match rest.first() {
        Some(b'n') => (1, b'\n'),
        Some(b'r') => (1, b'\r'),
        Some(b't') => (1, b'\t'),
        Some(byte @ (b'"' | b'\'' | b'/' | b'\\')) => (1, *byte),
        Some(b'u') => match rest.get(1..5).and_then(|digits| std::str::from_utf8(digits).ok()) {
            Some(digits) => match u8::from_str_radix(digits, 16) {
                Ok(byte) if byte.is_ascii() => (5, byte),
                _ => (0, b'\\'),
            },
            None => (0, b'\\'),
        },
        _ => (0, b'\\'),
    }
}
