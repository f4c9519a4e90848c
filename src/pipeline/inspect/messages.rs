//! The walk over messages and their content blocks.

use crate::dialect::json::{Kind, Text, Token};
use crate::pipeline::inspect::bad::{BadBody, Field};
use crate::pipeline::inspect::place::{Location, Place, PlacedText};
use crate::pipeline::inspect::power::Power;
use crate::pipeline::inspect::walk::{MESSAGES_MAX, Seen, Walk, within};

const MESSAGE_KEYS: [&str; 2] = ["role", "content"];

/// The fields of content blocks, and of the objects in them, that governance reads.
const BLOCK_KEYS: [&str; 14] = [
    "type",
    "text",
    "source",
    "content",
    "input",
    "file_id",
    "data",
    "thinking",
    "signature",
    "encrypted_content",
    "encrypted_index",
    "encrypted_stdout",
    "name",
    "url",
];

pub(super) const WANT_CONTENT: &str = "a string or a list of content blocks";

/// Who speaks in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    User,
    Assistant,
    Other,
}

/// The kind of a text as far as its block tells; the message's role tells the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Words,
    Input,
    Thinking,
    Data,
    Skipped,
    ToolArguments,
    ToolResult,
    SystemText,
    ToolDefinition,
    OtherField,
}

/// A text before its place is known.
pub(super) struct PartText {
    pub(super) text: Text,
    pub(super) part: Part,
    pub(super) location: Location,
}

impl PartText {
    /// The text in its place; `None` for what must not be read or touched.
    pub(super) fn placed(&self, roles: &[Role], newest: usize) -> Option<PlacedText> {
        let place = match self.part {
            Part::Skipped => return None,
            Part::ToolArguments => Place::ToolArguments,
            Part::ToolResult => Place::ToolResult,
            Part::SystemText => Place::SystemText,
            Part::ToolDefinition => Place::ToolDefinition,
            Part::OtherField => Place::OtherField,
            Part::Words | Part::Input | Part::Thinking | Part::Data => self.spoken(roles, newest),
        };
        Some(PlacedText {
            text: self.text,
            place,
            location: self.location,
        })
    }

    fn spoken(&self, roles: &[Role], newest: usize) -> Place {
        if self.location == Location::Input {
            return Place::NewestUserText;
        }
        let (Location::Message(message)
        | Location::Block(message, _)
        | Location::Item(message)
        | Location::ItemPart(message, _)) = self.location
        else {
            return Place::OtherField;
        };
        let message = usize::try_from(message).unwrap_or(usize::MAX);
        match roles.get(message) {
            Some(Role::User) if message >= newest => Place::NewestUserText,
            Some(Role::User | Role::Assistant) | None => Place::EarlierTurn,
            Some(Role::Other) => Place::SystemText,
        }
    }
}

/// The first message of the last unbroken run of user messages; system messages do not break it.
///
/// The API merges such a run into one turn, so a secret in any of its messages is new.
pub(super) fn newest_user_run(roles: &[Role]) -> usize {
    let upto = roles.iter().rposition(|role| *role == Role::User).unwrap_or(0);
    let before = roles.iter().take(upto).rposition(|role| *role == Role::Assistant);
    before.map_or(0, |assistant| assistant + 1)
}

/// What a block turned out to be.
#[derive(Default)]
struct BlockShape {
    kind: Option<Text>,
    file: bool,
}

impl Walk<'_> {
    pub(super) fn messages(&mut self, value: Token) -> Result<(), BadBody> {
        if value.kind != Kind::ListStart {
            return Err(BadBody::shape(
                Location::Top,
                "messages",
                value,
                "a list of messages",
            ));
        }
        let mut place = 0;
        while let Some(message) = self.reader.next_item()? {
            self.message(message, place)?;
            place += 1;
            within(self.roles.len(), MESSAGES_MAX, "messages")?;
        }
        Ok(())
    }

    fn message(&mut self, message: Token, place: u32) -> Result<(), BadBody> {
        let at = Location::Message(place);
        if message.kind != Kind::ObjectStart {
            return Err(BadBody::shape(at, "", message, "an object with role and content"));
        }
        let mut seen = Seen::new(&MESSAGE_KEYS, at);
        let (mut role, mut has_content) = (None, false);
        while let Some(key) = self.reader.next_key()? {
            let known = seen.key(&key.unescape(self.body), key.range().start)?;
            let value = self.reader.advance()?;
            match (known, value.kind) {
                (Some("role"), Kind::Text(text)) => role = Some(self.role(text)),
                (Some("role"), _) => return Err(BadBody::shape(at, "role", value, "user or assistant")),
                (Some("content"), _) => {
                    has_content = true;
                    self.content(value, place)?;
                }
                _ => self.loose(value, at)?,
            }
        }
        let missing = |key, wanted| BadBody::Missing {
            field: Field { of: at, key },
            wanted,
        };
        self.roles
            .push(role.ok_or_else(|| missing("role", "user or assistant"))?);
        if has_content {
            Ok(())
        } else {
            Err(missing("content", WANT_CONTENT))
        }
    }

    pub(super) fn role(&self, text: Text) -> Role {
        match text.unescape(self.body).as_ref() {
            b"user" => Role::User,
            b"assistant" => Role::Assistant,
            _ => Role::Other,
        }
    }

    pub(super) fn content(&mut self, value: Token, message: u32) -> Result<(), BadBody> {
        match value.kind {
            Kind::Text(text) => self.push(text, Part::Words, Location::Message(message)),
            Kind::ListStart => {
                let mut block = 0;
                while let Some(item) = self.reader.next_item()? {
                    self.loose(item, Location::Block(message, block))?;
                    block += 1;
                }
                Ok(())
            }
            _ => Err(BadBody::shape(
                Location::Message(message),
                "content",
                value,
                WANT_CONTENT,
            )),
        }
    }

    /// Any value inside messages: objects are read as blocks, wherever they stand, so that a block
    /// in a place unknown to us has the same powers and the same secrets.
    pub(super) fn loose(&mut self, value: Token, at: Location) -> Result<(), BadBody> {
        match value.kind {
            Kind::Text(text) => self.push(text, Part::Words, at),
            Kind::ObjectStart => self.block(at),
            Kind::ListStart => {
                while let Some(item) = self.reader.next_item()? {
                    self.loose(item, at)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn block(&mut self, at: Location) -> Result<(), BadBody> {
        let first = self.texts.len();
        let mut seen = Seen::new(&BLOCK_KEYS, at);
        let mut shape = BlockShape::default();
        while let Some(key) = self.reader.next_key()? {
            let known = seen.key(&key.unescape(self.body), key.range().start)?;
            let value = self.reader.advance()?;
            self.block_field(known, value, at, &mut shape)?;
        }
        if shape.file {
            self.power(&Power::upstream_state("file"))?;
        }
        let kind = shape.kind.map(|kind| kind.to_str(self.body)).unwrap_or_default();
        match kind.as_ref() {
            "image" => self.images = self.images.saturating_add(1),
            "thinking" => self.mark_only(first, Part::Thinking, Part::Skipped),
            "redacted_thinking" => self.mark_only(first, Part::Data, Part::Skipped),
            "tool_use" | "server_tool_use" | "mcp_tool_use" => {
                self.mark_only(first, Part::Input, Part::ToolArguments);
            }
            kind if kind.ends_with("tool_result") => self.mark(first, Part::ToolResult),
            _ => {}
        }
        Ok(())
    }

    fn block_field(
        &mut self,
        known: Option<&'static str>,
        value: Token,
        at: Location,
        shape: &mut BlockShape,
    ) -> Result<(), BadBody> {
        match (known, value.kind) {
            (Some("type"), Kind::Text(kind)) => shape.kind = Some(kind),
            (Some("type"), _) => return Err(BadBody::shape(at, "type", value, "a string")),
            (Some("thinking"), Kind::Text(text)) => self.push(text, Part::Thinking, at)?,
            (Some("data"), Kind::Text(text)) => self.push(text, Part::Data, at)?,
            (Some("source"), Kind::ObjectStart) => self.source(at)?,
            (Some("input"), _) => self.strings(value, Part::Input, at)?,
            (Some("file_id"), kind) => {
                shape.file |= kind != Kind::Null;
                self.loose(value, at)?;
            }
            // What the vendor signed or sealed can be neither read nor changed.
            (Some(key), Kind::Text(_)) if key == "signature" || key.starts_with("encrypted_") => {}
            _ => self.loose(value, at)?,
        }
        Ok(())
    }

    /// The source of an image or document: media are skipped, references are powers.
    fn source(&mut self, at: Location) -> Result<(), BadBody> {
        let first = self.texts.len();
        let mut seen = Seen::new(&BLOCK_KEYS, at);
        let mut shape = BlockShape::default();
        let mut url = None;
        while let Some(key) = self.reader.next_key()? {
            let known = seen.key(&key.unescape(self.body), key.range().start)?;
            let value = self.reader.advance()?;
            match (known, value.kind) {
                (Some("url"), Kind::Text(text)) => {
                    url = Some(text);
                    self.push(text, Part::Words, at)?;
                }
                _ => self.block_field(known, value, at, &mut shape)?,
            }
        }
        let kind = shape.kind.map(|kind| kind.to_str(self.body)).unwrap_or_default();
        if let Some(url) = url {
            self.power(&Power::url_source(&url.to_str(self.body)))?;
        } else if kind == "url" {
            self.power(&Power::url_source(""))?;
        }
        if shape.file || kind == "file" {
            self.power(&Power::upstream_state("file"))?;
        }
        match kind.as_ref() {
            "base64" => self.mark_only(first, Part::Data, Part::Skipped),
            "text" | "content" | "url" | "file" => {}
            _ => self.power(&Power::unknown_source())?,
        }
        Ok(())
    }

    /// Gives every text recorded since `first` this part, but for those that stay unread.
    pub(super) fn mark(&mut self, first: usize, part: Part) {
        let since = self.texts.iter_mut().skip(first);
        for text in since.filter(|text| text.part != Part::Skipped) {
            text.part = part;
        }
    }

    /// Gives those texts recorded since `first` that have the part `from` the part `to`.
    fn mark_only(&mut self, first: usize, from: Part, to: Part) {
        let since = self.texts.iter_mut().skip(first);
        for text in since.filter(|text| text.part == from) {
            text.part = to;
        }
    }
}
