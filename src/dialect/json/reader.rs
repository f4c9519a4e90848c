//! The reader: one token after the other, each with its place.

use std::ops::Range;

use memchr::memchr;

use crate::dialect::json::bad::{BadJson, Problem};
use crate::dialect::json::number::number_length;
use crate::dialect::json::strings::{
    ends_in_odd_backslashes, has_control, has_plain_escapes_only, is_plain_escape, length_of_text,
};
use crate::dialect::json::text::{Escapes, Text, hex4};

/// The deepest nesting of objects and lists that is accepted; one bit of a `u128` each.
pub const DEPTH_MAX: u32 = 128;

/// One token and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    start: u32,
    end: u32,
}

impl Token {
    /// Its place in the body; strings with their quotes.
    pub const fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// The kinds of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{`
    ObjectStart,
    /// `}`
    ObjectEnd,
    /// `[`
    ListStart,
    /// `]`
    ListEnd,
    /// A key of an object, its colon already read.
    Key(Text),
    /// A string value.
    Text(Text),
    /// A number, as it is spelled.
    Number,
    /// `true` or `false`
    Bool(bool),
    /// `null`
    Null,
    /// The end of the body.
    End,
}

/// What the grammar allows next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    CommaOrEnd,
    Nothing,
}

/// Reads one JSON text token by token.
#[derive(Debug)]
pub struct Reader<'a> {
    body: &'a [u8],
    at: usize,
    next: Next,
    depth: u32,
    /// One bit per open container, the innermost lowest: set for objects.
    objects: u128,
    /// Whether a byte below 0x20 stands anywhere; if not, strings need not be searched for one.
    has_control: bool,
}

impl<'a> Reader<'a> {
    /// A reader of these bytes.
    ///
    /// # Errors
    /// [`BadJson`] for a byte order mark and for bytes that are not UTF-8.
    pub fn new(body: &'a [u8]) -> Result<Self, BadJson> {
        if u32::try_from(body.len()).is_err() {
            return Err(Problem::TooLong.at(0));
        }
        if body.starts_with(b"\xEF\xBB\xBF") {
            return Err(Problem::ByteOrderMark.at(0));
        }
        if let Err(error) = std::str::from_utf8(body) {
            return Err(Problem::NotUtf8.at(error.valid_up_to()));
        }
        Ok(Self {
            body,
            at: 0,
            next: Next::Value,
            depth: 0,
            objects: 0,
            has_control: has_control(body),
        })
    }

    /// The bytes that are read.
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The next token; after [`Kind::End`] always that.
    ///
    /// # Errors
    /// [`BadJson`] where the body leaves the grammar.
    pub fn advance(&mut self) -> Result<Token, BadJson> {
        let mut byte = self.after_space();
        if self.next == Next::CommaOrEnd {
            match byte {
                Some(b',') => {
                    self.at += 1;
                    self.next = if self.in_object() { Next::Key } else { Next::Value };
                    byte = self.after_space();
                }
                Some(b'}' | b']') => return self.close(byte),
                Some(_) => return Err(Problem::CommaWanted.at(self.at)),
                None => return Err(Problem::Truncated.at(self.at)),
            }
        }
        match (self.next, byte) {
            (Next::Nothing, None) => Ok(self.token(Kind::End, self.at)),
            (Next::Nothing, Some(_)) => Err(Problem::Trailing.at(self.at)),
            (_, None) if self.depth == 0 => Err(Problem::Empty.at(self.at)),
            (_, None) => Err(Problem::Truncated.at(self.at)),
            (Next::Key | Next::KeyOrEnd, Some(b'"')) => self.key(),
            (Next::KeyOrEnd, Some(b'}')) | (Next::ValueOrEnd, Some(b']')) => self.close(byte),
            (Next::Key | Next::KeyOrEnd, Some(_)) => Err(Problem::KeyWanted.at(self.at)),
            (_, Some(byte)) => self.value(byte),
        }
    }

    /// Inside an object: its next key, or `None` at its end.
    ///
    /// # Errors
    /// [`BadJson`] where the body leaves the grammar.
    pub fn next_key(&mut self) -> Result<Option<Text>, BadJson> {
        Ok(match self.advance()?.kind {
            Kind::Key(key) => Some(key),
            _ => None,
        })
    }

    /// Inside a list: the first token of its next item, or `None` at its end.
    ///
    /// # Errors
    /// [`BadJson`] where the body leaves the grammar.
    pub fn next_item(&mut self) -> Result<Option<Token>, BadJson> {
        let token = self.advance()?;
        Ok(match token.kind {
            Kind::ListEnd | Kind::End => None,
            _ => Some(token),
        })
    }

    /// Reads the value that `first` starts to its end, and calls `visit` with each string in it,
    /// keys included.
    ///
    /// # Errors
    /// [`BadJson`] where the body leaves the grammar.
    pub fn strings_of(&mut self, first: Token, mut visit: impl FnMut(Text)) -> Result<(), BadJson> {
        let mut open = 0u32;
        let mut token = first;
        loop {
            match token.kind {
                Kind::ObjectStart | Kind::ListStart => open += 1,
                Kind::ObjectEnd | Kind::ListEnd => open = open.saturating_sub(1),
                Kind::Key(text) | Kind::Text(text) => visit(text),
                Kind::Number | Kind::Bool(_) | Kind::Null | Kind::End => {}
            }
            if open == 0 {
                return Ok(());
            }
            token = self.advance()?;
        }
    }

    /// Skips white space and looks at the byte behind it.
    #[inline]
    fn after_space(&mut self) -> Option<u8> {
        loop {
            let byte = *self.body.get(self.at)?;
            if byte > b' ' || !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    const fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }

    /// The token from `start` to here.
    fn token(&self, kind: Kind, start: usize) -> Token {
        Token {
            kind,
            start: place(start),
            end: place(self.at),
        }
    }

    /// What follows a whole value.
    const fn settle(&mut self) {
        self.next = if self.depth == 0 {
            Next::Nothing
        } else {
            Next::CommaOrEnd
        };
    }

    fn key(&mut self) -> Result<Token, BadJson> {
        let start = self.at;
        let text = self.text()?;
        let key = self.token(Kind::Key(text), start);
        match self.after_space() {
            Some(b':') => self.at += 1,
            Some(_) => return Err(Problem::ColonWanted.at(self.at)),
            None => return Err(Problem::Truncated.at(self.at)),
        }
        self.next = Next::Value;
        Ok(key)
    }

    fn value(&mut self, first: u8) -> Result<Token, BadJson> {
        let start = self.at;
        let kind = match first {
            b'{' => return self.open(Kind::ObjectStart, 1, Next::KeyOrEnd),
            b'[' => return self.open(Kind::ListStart, 0, Next::ValueOrEnd),
            b'"' => Kind::Text(self.text()?),
            b'-' | b'0'..=b'9' => self.number()?,
            b't' => self.word(b"true", Kind::Bool(true))?,
            b'f' => self.word(b"false", Kind::Bool(false))?,
            b'n' => self.word(b"null", Kind::Null)?,
            _ => return Err(Problem::ValueWanted.at(start)),
        };
        self.settle();
        Ok(self.token(kind, start))
    }

    fn open(&mut self, kind: Kind, object: u128, next: Next) -> Result<Token, BadJson> {
        if self.depth == DEPTH_MAX {
            return Err(Problem::TooDeep { limit: DEPTH_MAX }.at(self.at));
        }
        self.depth += 1;
        self.objects = self.objects << 1 | object;
        self.next = next;
        self.at += 1;
        Ok(self.token(kind, self.at - 1))
    }

    fn close(&mut self, byte: Option<u8>) -> Result<Token, BadJson> {
        let kind = match (self.in_object(), byte) {
            (true, Some(b'}')) => Kind::ObjectEnd,
            (false, Some(b']')) => Kind::ListEnd,
            _ => return Err(Problem::CommaWanted.at(self.at)),
        };
        self.depth = self.depth.saturating_sub(1);
        self.objects >>= 1;
        self.at += 1;
        self.settle();
        Ok(self.token(kind, self.at - 1))
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Result<Kind, BadJson> {
        let rest = self.body.get(self.at..).unwrap_or_default();
        if rest.starts_with(word) {
            self.at += word.len();
            Ok(kind)
        } else if word.starts_with(rest) {
            Err(Problem::Truncated.at(self.body.len()))
        } else {
            Err(Problem::ValueWanted.at(self.at))
        }
    }

    fn number(&mut self) -> Result<Kind, BadJson> {
        let rest = self.body.get(self.at..).unwrap_or_default();
        let length = number_length(rest).ok_or(Problem::BadNumber.at(self.at))?;
        self.at += length;
        Ok(Kind::Number)
    }

    /// Reads a string from its opening quote to behind its closing one.
    #[inline]
    fn text(&mut self) -> Result<Text, BadJson> {
        let start = self.at + 1;
        let rest = self.body.get(start..).unwrap_or_default();
        let (length, escaped) = length_of_text(rest).ok_or(Problem::Truncated.at(self.body.len()))?;
        let end = start + length;
        let raw = self.body.get(start..end).unwrap_or_default();
        if self.has_control
            && let Some(place) = raw.iter().position(|byte| *byte < 0x20)
        {
            return Err(Problem::ControlCharacter.at(start + place));
        }
        let escapes = if escaped {
            self.check_escapes(start, end)?
        } else {
            Escapes::None
        };
        self.at = end + 1;
        Ok(Text {
            start: place(start),
            end: place(end),
            escapes,
        })
    }

    /// Checks every escape of a string; a piece of it with none but plain ones is passed at once.
    fn check_escapes(&self, start: usize, end: usize) -> Result<Escapes, BadJson> {
        const PIECE: usize = 512;
        let mut escapes = Escapes::Plain;
        let mut at = start;
        while at < end {
            let upto = end.min(at + PIECE);
            let piece = self.body.get(at..upto).unwrap_or_default();
            let followed = self.body.get(at..end.min(upto + 1)).unwrap_or_default();
            if has_plain_escapes_only(followed) {
                at = upto + usize::from(ends_in_odd_backslashes(piece));
                continue;
            }
            while let Some(next) = memchr(b'\\', self.body.get(at..upto).unwrap_or_default()) {
                let (length, kind) = self.escape(at + next)?;
                escapes = escapes.max(kind);
                at += next + length;
            }
            at = at.max(upto);
        }
        Ok(escapes)
    }

    /// Checks the escape at `at`: its length and kind.
    #[inline]
    fn escape(&self, at: usize) -> Result<(usize, Escapes), BadJson> {
        match self.body.get(at + 1) {
            Some(byte) if is_plain_escape(*byte) => Ok((2, Escapes::Plain)),
            Some(b'/') => Ok((2, Escapes::Coded)),
            Some(b'u') => {
                let unit = hex4(self.body.get(at + 2..at + 6)).ok_or(Problem::BadEscape.at(at))?;
                match unit {
                    0xD800..=0xDBFF if self.low_surrogate_at(at + 6) => Ok((12, Escapes::Coded)),
                    0xD800..=0xDFFF => Err(Problem::LoneSurrogate.at(at)),
                    _ => Ok((6, Escapes::Coded)),
                }
            }
            Some(_) => Err(Problem::BadEscape.at(at)),
            None => Err(Problem::Truncated.at(self.body.len())),
        }
    }

    fn low_surrogate_at(&self, at: usize) -> bool {
        let marked = self.body.get(at..at + 2) == Some(b"\\u");
        let unit = hex4(self.body.get(at + 2..at + 6));
        marked && unit.is_some_and(|unit| (0xDC00..0xE000).contains(&unit))
    }
}

/// A place in a body of less than 4 GiB, as [`Reader::new`] has checked. Tokens are passed about by
/// the thousand, and half the size is a quarter of the time.
fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
