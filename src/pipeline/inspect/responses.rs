//! The walk over what the Responses API has of its own: items for messages, and what it keeps unless it
//! is told otherwise.

use crate::dialect::json::{Kind, Token};
use crate::pipeline::inspect::bad::{BadBody, Field};
use crate::pipeline::inspect::messages::{Part, Role};
use crate::pipeline::inspect::place::Location;
use crate::pipeline::inspect::walk::{MESSAGES_MAX, Seen, Walk, within};

/// The fields of an item that governance reads.
const ITEM_KEYS: [&str; 8] = [
    "type",
    "role",
    "content",
    "arguments",
    "input",
    "action",
    "output",
    "encrypted_content",
];

const WANT_ITEMS: &str = "a string or a list of items";

/// Refuses a reference to what the upstream keeps: whose it is cannot be proven.
pub(super) const fn reference(of: Location, key: &'static str) -> BadBody {
    BadBody::WrongShape {
        field: Field { of, key },
        found: "a reference to what the upstream keeps, and nobody here knows for whom",
        wanted: "the whole conversation and its instructions instead",
    }
}

impl Walk<'_> {
    /// `input`: the user's words, or the items of a conversation.
    pub(super) fn items(&mut self, value: Token) -> Result<(), BadBody> {
        match value.kind {
            Kind::Text(text) => {
                self.roles.push(Role::User);
                self.push(text, Part::Words, Location::Input)
            }
            Kind::ListStart => {
                let mut place = 0;
                while let Some(item) = self.reader.next_item()? {
                    self.response_item(item, place)?;
                    place += 1;
                    within(self.roles.len(), MESSAGES_MAX, "items")?;
                }
                Ok(())
            }
            _ => Err(BadBody::shape(Location::Top, "input", value, WANT_ITEMS)),
        }
    }

    fn response_item(&mut self, item: Token, place: u32) -> Result<(), BadBody> {
        let at = Location::Item(place);
        if item.kind != Kind::ObjectStart {
            return Err(BadBody::shape(at, "", item, "an object"));
        }
        let first = self.texts.len();
        let mut seen = Seen::new(&ITEM_KEYS, at);
        let (mut kind, mut role) = (None, None);
        while let Some(key) = self.reader.next_key()? {
            let known = seen.key(&key.unescape(self.body), key.range().start)?;
            let value = self.reader.advance()?;
            match (known, value.kind) {
                (_, Kind::Null) => {}
                (Some("type"), Kind::Text(text)) => kind = Some(text),
                (Some("role"), Kind::Text(text)) => role = Some(text),
                (Some(key @ ("type" | "role")), _) => {
                    return Err(BadBody::shape(at, key, value, "a string"));
                }
                (Some("content"), _) => {
                    self.parts(value, at, &|part| Location::ItemPart(place, part))?;
                }
                (Some("arguments" | "input" | "action"), _) => {
                    self.strings(value, Part::ToolArguments, at)?;
                }
                // What the vendor sealed can be neither read nor changed.
                (Some("encrypted_content"), Kind::Text(_)) => {}
                _ => self.part_value(value, at)?,
            }
        }
        let kind = kind.map(|kind| kind.to_str(self.body)).unwrap_or_default();
        let role = match (role, kind.as_ref()) {
            (_, "item_reference") => return Err(reference(at, "type")),
            (Some(role), _) => self.role(role),
            (None, "" | "message") => {
                return Err(BadBody::Missing {
                    field: Field { of: at, key: "role" },
                    wanted: "user, assistant, system or developer",
                });
            }
            (None, kind) if kind.ends_with("_output") || kind.ends_with("_response") => {
                // A result is new to the model as a user's words are, so it belongs to the user's turn.
                self.mark(first, Part::ToolResult);
                Role::User
            }
            (None, _) => Role::Assistant,
        };
        self.roles.push(role);
        Ok(())
    }
}
