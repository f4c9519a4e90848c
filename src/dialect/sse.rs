//! Server-sent events, decoded from bytes as they arrive.
//!
//! Lines end with LF, CRLF or CR and with nothing else; UTF-8 is no concern here, so a character that
//! two reads share cannot break. Follows the WHATWG HTML standard, section 9.2, with one leniency: an
//! event that the end of input leaves unterminated is handed out by [`Decoder::finish`].

use memchr::memchr2;

/// The longest line, and the longest data of one event, that is accepted.
pub const LINE_BYTES_MAX: usize = 16 << 20;

/// One event with data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The `event:` field; empty where there was none.
    pub name: &'a [u8],
    /// The `data:` fields, joined by LF.
    pub data: &'a [u8],
}

/// What ended at the place where [`Decoder::next`] stopped. Whatever stands before that place may be
/// forwarded: the next byte begins something new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// An event with data.
    Event(Event<'a>),
    /// A comment, or a blank line that ends nothing. It says that the other side lives.
    Idle,
}

/// A line or the data of one event exceeds [`LINE_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a server-sent event is longer than {LINE_BYTES_MAX} bytes")]
pub struct TooLong;

/// The state between two reads. Buffers are kept from event to event.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    name: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// Whether the last event was handed out, so that its fields are to be cleared.
    handed_out: bool,
    /// Whether the last byte was a CR, so that a LF still belongs to it.
    after_cr: bool,
    past_first_line: bool,
}

impl Decoder {
    /// A decoder at the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Consumes input up to the end of the next item; `None` when all of it is consumed without one.
    ///
    /// # Errors
    /// [`TooLong`]; the stream cannot be decoded any further.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Item<'_>>, TooLong> {
        self.forget_last();
        loop {
            if self.after_cr && !input.is_empty() {
                self.after_cr = false;
                *input = input.strip_prefix(b"\n").unwrap_or(input);
            }
            let Some(end) = memchr2(b'\n', b'\r', input) else {
                self.hold(input)?;
                *input = &[];
                return Ok(None);
            };
            let (head, tail) = input.split_at(end);
            let (was_cr, tail) = (tail.starts_with(b"\r"), tail.get(1..).unwrap_or_default());
            self.after_cr = was_cr && tail.is_empty();
            *input = if was_cr {
                tail.strip_prefix(b"\n").unwrap_or(tail)
            } else {
                tail
            };
            match self.end_line(head)? {
                Line::Field => {}
                Line::Comment if self.has_fields() => {}
                Line::Blank if self.has_data && !self.data.is_empty() => return Ok(Some(self.hand_out())),
                Line::Comment | Line::Blank => {
                    self.clear();
                    return Ok(Some(Item::Idle));
                }
            }
        }
    }

    /// The event that the end of input left unterminated, if it has data. Its data may be cut.
    ///
    /// # Errors
    /// [`TooLong`], as for [`Decoder::next`].
    pub fn finish(&mut self) -> Result<Option<Event<'_>>, TooLong> {
        self.forget_last();
        if !self.line.is_empty() {
            self.end_line(b"")?;
        }
        if !self.has_data || self.data.is_empty() {
            return Ok(None);
        }
        match self.hand_out() {
            Item::Event(event) => Ok(Some(event)),
            Item::Idle => Ok(None),
        }
    }

    /// Bytes kept for an item whose end has not come yet.
    pub fn held_bytes(&self) -> usize {
        self.line.len() + self.data.len() + self.name.len()
    }

    fn has_fields(&self) -> bool {
        self.has_data || !self.name.is_empty()
    }

    fn hand_out(&mut self) -> Item<'_> {
        self.handed_out = true;
        Item::Event(Event {
            name: &self.name,
            data: &self.data,
        })
    }

    fn forget_last(&mut self) {
        if self.handed_out {
            self.clear();
        }
    }

    fn clear(&mut self) {
        self.name.clear();
        self.data.clear();
        self.has_data = false;
        self.handed_out = false;
    }

    fn hold(&mut self, part: &[u8]) -> Result<(), TooLong> {
        if self.line.len() + part.len() > LINE_BYTES_MAX {
            return Err(TooLong);
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    /// Takes the line that `rest` completes.
    fn end_line(&mut self, rest: &[u8]) -> Result<Line, TooLong> {
        if self.line.is_empty() {
            return self.take_line(rest);
        }
        self.hold(rest)?;
        let mut line = std::mem::take(&mut self.line);
        let taken = self.take_line(&line);
        line.clear();
        self.line = line;
        taken
    }

    fn take_line(&mut self, mut line: &[u8]) -> Result<Line, TooLong> {
        if !self.past_first_line {
            self.past_first_line = true;
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if line.is_empty() {
            return Ok(Line::Blank);
        }
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        let (field, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"" => return Ok(Line::Comment),
            b"data" => self.add_data(value)?,
            b"event" => {
                self.name.clear();
                self.name.extend_from_slice(value);
            }
            _ => {}
        }
        Ok(Line::Field)
    }

    fn add_data(&mut self, value: &[u8]) -> Result<(), TooLong> {
        if self.data.len() + value.len() >= LINE_BYTES_MAX {
            return Err(TooLong);
        }
        if self.has_data {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(value);
        self.has_data = true;
        Ok(())
    }
}

/// What a line was.
enum Line {
    Field,
    Comment,
    Blank,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes the input cut into pieces of this size and prints every item with the place where it ended.
    fn decode(input: &[u8], cut: usize) -> (Vec<String>, usize) {
        let mut decoder = Decoder::new();
        let (mut seen, mut border, mut read) = (Vec::new(), 0, 0);
        for piece in input.chunks(cut) {
            let mut rest = piece;
            while let Some(item) = decoder.next(&mut rest).unwrap() {
                border = read + piece.len() - rest.len();
                if let Item::Event(event) = item {
                    seen.push(show(event));
                }
            }
            read += piece.len();
        }
        seen.extend(
            decoder
                .finish()
                .unwrap()
                .map(|event| format!("unterminated {}", show(event))),
        );
        (seen, border)
    }

    fn show(event: Event<'_>) -> String {
        format!(
            "{}={}",
            String::from_utf8_lossy(event.name),
            String::from_utf8_lossy(event.data)
        )
    }

    #[test]
    fn decodes_alike_wherever_the_input_is_cut() {
        let cases: &[(&[u8], &[&str])] = &[
            (b"data: a\n\ndata: b\n\n", &["=a", "=b"]),
            (b"\xef\xbb\xbfdata: a\n\n", &["=a"]),
            (b"data:a\r\n\r\ndata:  b\r\n\r\n", &["=a", "= b"]),
            (b"data: a\r\rdata: b\r\r", &["=a", "=b"]),
            (
                b"event: x\nid: 7\nretry: 1\nfoo: bar\ndata: a\ndata: b\n\n",
                &["x=a\nb"],
            ),
            (b": hi\n\n:\n\ndata: a\n: mid\ndata: b\n\n", &["=a\nb"]),
            (b"event: lonely\n\ndata: a\n\n", &["=a"]),
            (b"data:\n\ndata\n\ndata: \n\n", &[]),
            (
                b"data: a\xe2\x80\xa8b\x0bc\x0cd\xc2\x85e\n\n",
                &["=a\u{2028}b\u{b}c\u{c}d\u{85}e"],
            ),
            (
                b"data: a\n\nevent: e\ndata: {\"x\"",
                &["=a", "unterminated e={\"x\""],
            ),
            (b"data: a\n", &["unterminated =a"]),
            (b"\n\n\n", &[]),
        ];
        for (input, expected) in cases {
            for cut in 1..=input.len() {
                let (seen, _) = decode(input, cut);
                assert_eq!(
                    &seen,
                    expected,
                    "{:?} cut by {cut}",
                    String::from_utf8_lossy(input)
                );
            }
        }
    }

    #[test]
    fn names_the_border_up_to_which_bytes_may_go_out() {
        let check = |input: &[u8], border| assert_eq!(decode(input, input.len()).1, border);
        check(b"data: a\n\ndata: b", 9);
        check(b"data: a\r\n\r\ndata: b\r\n", 11);
        check(b": ping\ndata: b", 7);
        check(b"data: a\n: inside\n", 0);
    }

    #[test]
    fn an_endless_line_is_an_error_and_not_a_full_memory() {
        let piece = vec![b'x'; 1 << 20];
        let mut decoder = Decoder::new();
        let outcome = (0..32).find_map(|_| decoder.next(&mut piece.as_slice()).err());
        assert_eq!(outcome, Some(TooLong));
        assert!(decoder.held_bytes() <= LINE_BYTES_MAX);

        let mut decoder = Decoder::new();
        let line = [b"data:".as_slice(), &piece, b"\n"].concat();
        let outcome = (0..32).find_map(|_| decoder.next(&mut line.as_slice()).err());
        assert_eq!(outcome, Some(TooLong));
    }
}
