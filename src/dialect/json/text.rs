//! Strings of a JSON text, unescaped only when somebody needs it.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

/// Which escapes a string holds, as far as anybody has to care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Escapes {
    /// None: the raw bytes are the text.
    None,
    /// Only `\" \\ \b \f \n \r \t`: every other character stands in the raw bytes as itself.
    Plain,
    /// Also `\uXXXX` or `\/`, which can hide any character from a search over raw bytes.
    Coded,
}

/// A string: where its bytes stand between the quotes, and which escapes they hold.
///
/// Only a [`Reader`](super::Reader) makes one, after it has checked every escape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) escapes: Escapes,
}

impl Text {
    /// The place between the quotes, in bytes of the body.
    pub const fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The number of raw bytes between the quotes.
    pub const fn raw_len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Which escapes it holds.
    pub const fn escapes(&self) -> Escapes {
        self.escapes
    }

    /// The raw bytes between the quotes of the body that it was read from.
    pub fn raw<'a>(&self, body: &'a [u8]) -> &'a [u8] {
        body.get(self.range()).unwrap_or_default()
    }

    /// The text; borrowed where it has no escapes.
    pub fn unescape<'a>(&self, body: &'a [u8]) -> Cow<'a, [u8]> {
        let raw = self.raw(body);
        if self.escapes == Escapes::None {
            return Cow::Borrowed(raw);
        }
        let mut text = Vec::with_capacity(raw.len());
        unescape_into(raw, &mut text);
        Cow::Owned(text)
    }

    /// The text as a string.
    pub fn to_str<'a>(&self, body: &'a [u8]) -> Cow<'a, str> {
        match self.unescape(body) {
            Cow::Borrowed(raw) => String::from_utf8_lossy(raw),
            Cow::Owned(text) => match String::from_utf8(text) {
                Ok(text) => Cow::Owned(text),
                Err(error) => Cow::Owned(String::from_utf8_lossy(error.as_bytes()).into_owned()),
            },
        }
    }

    /// A walk that turns offsets in the unescaped text into offsets in the body.
    pub fn places<'a>(&self, body: &'a [u8]) -> Places<'a> {
        Places {
            raw: self.raw(body),
            base: self.start as usize,
            at: 0,
            unescaped: 0,
        }
    }
}

/// Appends the unescaped form of checked raw bytes.
pub fn unescape_into(raw: &[u8], text: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(plain) = memchr(b'\\', rest) {
        let (before, escape) = rest.split_at(plain);
        text.extend_from_slice(before);
        let (length, character) = escape_at(escape);
        let mut buffer = [0u8; 4];
        text.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
        rest = escape.get(length..).unwrap_or_default();
    }
    text.extend_from_slice(rest);
}

/// The raw length and the character of the checked escape that these bytes start with.
fn escape_at(escape: &[u8]) -> (usize, char) {
    let short = |character| (2, character);
    match escape.get(1) {
        Some(b'b') => short('\u{8}'),
        Some(b'f') => short('\u{c}'),
        Some(b'n') => short('\n'),
        Some(b'r') => short('\r'),
        Some(b't') => short('\t'),
        Some(b'u') => {
            let high = hex4(escape.get(2..6)).unwrap_or(0);
            if !(0xD800..0xDC00).contains(&high) {
                return (6, char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            let low = hex4(escape.get(8..12)).unwrap_or(0);
            let code = 0x10000 + ((high & 0x3FF) << 10) + (low & 0x3FF);
            (12, char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
        }
        Some(other) => short(char::from(*other)),
        None => (1, '\\'),
    }
}

/// The value of four hex digits.
pub(super) fn hex4(digits: Option<&[u8]>) -> Option<u32> {
    let digits = digits.filter(|digits| digits.len() == 4)?;
    digits.iter().try_fold(0, |value, digit| {
        Some(value * 16 + char::from(*digit).to_digit(16)?)
    })
}

/// A walk over one string from front to back; asked offsets must not decrease.
///
/// The walk is linear over all questions together and keeps no table, whatever the string holds.
#[derive(Debug)]
pub struct Places<'a> {
    raw: &'a [u8],
    base: usize,
    at: usize,
    unescaped: usize,
}

impl Places<'_> {
    /// The offset in the body of the raw bytes that stand for the unescaped byte at `offset`.
    ///
    /// Inside a character that was written as an escape, that is the start of the escape.
    pub fn body_offset(&mut self, offset: usize) -> usize {
        while self.unescaped < offset {
            let rest = self.raw.get(self.at..).unwrap_or_default();
            let wanted = offset - self.unescaped;
            let plain = memchr(b'\\', rest.get(..wanted).unwrap_or(rest));
            let Some(plain) = plain else {
                let step = wanted.min(rest.len());
                self.at += step;
                self.unescaped += step;
                break;
            };
            let (length, character) = escape_at(rest.get(plain..).unwrap_or_default());
            if self.unescaped + plain + character.len_utf8() > offset {
                self.at += plain;
                self.unescaped += plain;
                break;
            }
            self.at += plain + length;
            self.unescaped += plain + character.len_utf8();
        }
        self.base + self.at
    }
}
