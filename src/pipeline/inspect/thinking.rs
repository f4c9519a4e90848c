//! Whether a request asks the model to think before it answers, in each API's words.

use crate::dialect::json::{Kind, Token};
use crate::pipeline::inspect::bad::BadBody;
use crate::pipeline::inspect::messages::Part;
use crate::pipeline::inspect::place::Location;
use crate::pipeline::inspect::walk::{Seen, Walk};

/// The field of an object that says whether, or how much: `thinking.type`, `reasoning.effort`.
const KEYS: [&str; 2] = ["type", "effort"];

impl Walk<'_> {
    /// `thinking`, `reasoning` or `reasoning_effort`. Everything but an explicit no is a yes, as long as
    /// the field says something about it.
    pub(super) fn thinking(&mut self, value: Token) -> Result<(), BadBody> {
        match value.kind {
            Kind::Text(text) => {
                self.thinks |= !is_no(&text.unescape(self.body));
                self.push(text, Part::OtherField, Location::Top)
            }
            Kind::ObjectStart => {
                let mut seen = Seen::new(&KEYS, Location::Top);
                while let Some(key) = self.reader.next_key()? {
                    let known = seen.key(&key.unescape(self.body), key.range().start)?;
                    self.push(key, Part::OtherField, Location::Top)?;
                    let value = self.reader.advance()?;
                    if let (Some(_), Kind::Text(text)) = (known, value.kind) {
                        self.thinks |= !is_no(&text.unescape(self.body));
                    }
                    self.strings(value, Part::OtherField, Location::Top)?;
                }
                Ok(())
            }
            _ => self.strings(value, Part::OtherField, Location::Top),
        }
    }
}

fn is_no(word: &[u8]) -> bool {
    matches!(word, b"disabled" | b"none")
}
