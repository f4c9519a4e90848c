//! The walk over a request of OpenAI's API: its own fields, its turns and their parts.
//!
//! `null` is the same as absent everywhere, as SDKs of this API send it.

use crate::dialect::json::{Kind, Text, Token};
use crate::dialect::operation::Operation;
use crate::pipeline::inspect::asks::Store;
use crate::pipeline::inspect::bad::{BadBody, Field};
use crate::pipeline::inspect::messages::{Part, Role, WANT_CONTENT};
use crate::pipeline::inspect::place::Location;
use crate::pipeline::inspect::power::Power;
use crate::pipeline::inspect::responses::reference;
use crate::pipeline::inspect::walk::{MESSAGES_MAX, Seen, Walk, within};

/// The request fields that governance reads.
pub(super) const TOP_KEYS: [&str; 30] = [
    "model",
    "messages",
    "input",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "instructions",
    "stream",
    "stream_options",
    "thinking",
    "reasoning",
    "reasoning_effort",
    "n",
    "tools",
    "functions",
    "store",
    "background",
    "previous_response_id",
    "conversation",
    "prompt",
    "container",
    "thread",
    "web_search_options",
    "search_parameters",
    "enable_search",
    "plugins",
    "models",
    "fallbacks",
    "route",
    "mcp_servers",
];

/// The fields of a turn that governance reads.
const TURN_KEYS: [&str; 6] = [
    "role",
    "content",
    "tool_calls",
    "function_call",
    "audio",
    "tool_call_id",
];

/// The fields of parts, and of the objects in them, that governance reads.
const PART_KEYS: [&str; 9] = [
    "type",
    "url",
    "image_url",
    "file_url",
    "file_id",
    "file_data",
    "input_audio",
    "signature",
    "thought_signature",
];

pub(super) const WANT_INPUT: &str = "a string or a list";

/// How far into a `data:` URL its encoding stands at the latest.
const DATA_URL_HEAD_BYTES: usize = 256;

impl Walk<'_> {
    pub(super) fn openai_field(&mut self, key: Option<&'static str>, value: Token) -> Result<(), BadBody> {
        let is_response = self.operation == Operation::Responses;
        if key == Some("store") {
            self.asks.store = match value.kind {
                Kind::Null => Store::Null(value.range()),
                _ => Store::Said,
            };
        }
        if value.kind == Kind::Null && !matches!(key, Some("model" | "messages" | "input" | "stream_options"))
        {
            return Ok(());
        }
        let is_chat = self.operation == Operation::ChatCompletions;
        match key {
            Some("model") => self.model_field(value),
            Some("messages") if is_chat => self.turns(value),
            Some("input") if is_response => self.items(value),
            Some("input") if !is_chat => self.strings(value, Part::Words, Location::Input),
            Some("instructions") if is_response => self.strings(value, Part::SystemText, Location::Top),
            Some(key @ ("previous_response_id" | "conversation" | "prompt")) if is_response => {
                Err(reference(Location::Top, key))
            }
            Some(key @ ("max_tokens" | "max_completion_tokens" | "max_output_tokens")) => {
                self.max_tokens_field(key, value)
            }
            Some("n") => {
                self.asks.choices = Some(self.count("n", value)?);
                Ok(())
            }
            Some("stream") => match value.kind {
                Kind::Bool(stream) => {
                    self.stream = stream;
                    Ok(())
                }
                _ => Err(BadBody::shape(Location::Top, "stream", value, "true or false")),
            },
            Some("stream_options") => self.stream_options(value),
            Some("thinking" | "reasoning" | "reasoning_effort") => self.thinking(value),
            Some("tools") => self.openai_tools(value),
            Some("functions") => self.openai_functions(value),
            Some(key) => self.openai_power_field(key, value),
            None => self.strings(value, Part::OtherField, Location::Top),
        }
    }

    /// A field that asks for something that the upstream runs or keeps.
    fn openai_power_field(&mut self, key: &'static str, value: Token) -> Result<(), BadBody> {
        let power = match key {
            "store" => Power::upstream_state("store"),
            "background" => Power::upstream_state("background"),
            "previous_response_id" => Power::upstream_state("response"),
            "conversation" => Power::upstream_state("conversation"),
            "container" => Power::upstream_state("container"),
            "thread" => Power::upstream_state("thread"),
            "web_search_options" | "search_parameters" | "enable_search" => Power::hosted("web_search"),
            "plugins" => Power::hosted("unknown"),
            "models" | "fallbacks" | "route" => Power::fallback_models(),
            "mcp_servers" => return self.mcp_servers(value),
            _ => return self.strings(value, Part::OtherField, Location::Top),
        };
        if value.kind == Kind::Bool(false) {
            return Ok(());
        }
        self.state_field(value, &power)
    }

    /// The messages of a conversation.
    fn turns(&mut self, value: Token) -> Result<(), BadBody> {
        if value.kind != Kind::ListStart {
            return Err(BadBody::shape(
                Location::Top,
                "messages",
                value,
                "a list of messages",
            ));
        }
        let mut place = 0;
        while let Some(turn) = self.reader.next_item()? {
            self.turn(turn, place)?;
            place += 1;
            within(self.roles.len(), MESSAGES_MAX, "messages")?;
        }
        Ok(())
    }

    fn turn(&mut self, turn: Token, place: u32) -> Result<(), BadBody> {
        let at = Location::Message(place);
        if turn.kind != Kind::ObjectStart {
            return Err(BadBody::shape(at, "", turn, "an object with role and content"));
        }
        let first = self.texts.len();
        let mut seen = Seen::new(&TURN_KEYS, at);
        let mut role = None;
        while let Some(key) = self.reader.next_key()? {
            let known = seen.key(&key.unescape(self.body), key.range().start)?;
            let value = self.reader.advance()?;
            match (known, value.kind) {
                (Some("role"), Kind::Text(text)) => role = Some(text),
                (Some("role"), _) => return Err(BadBody::shape(at, "role", value, "a string")),
                (_, Kind::Null) => {}
                (Some("content"), _) => self.parts(value, at, &|part| Location::Block(place, part))?,
                (Some("tool_calls" | "function_call"), _) => self.strings(value, Part::ToolArguments, at)?,
                (Some("audio"), _) => {
                    self.power(&Power::upstream_state("audio"))?;
                    self.part_value(value, at)?;
                }
                _ => self.part_value(value, at)?,
            }
        }
        let role = role.ok_or(BadBody::Missing {
            field: Field { of: at, key: "role" },
            wanted: "system, developer, user, assistant or tool",
        })?;
        // A tool's result is new to the model as a user's words are, so it belongs to the user's turn.
        match role.unescape(self.body).as_ref() {
            b"tool" | b"function" => {
                self.mark(first, Part::ToolResult);
                self.roles.push(Role::User);
            }
            _ => self.roles.push(self.role(role)),
        }
        Ok(())
    }

    /// Content: a text, or a list of parts with places of their own.
    pub(super) fn parts(
        &mut self,
        value: Token,
        at: Location,
        place: &dyn Fn(u32) -> Location,
    ) -> Result<(), BadBody> {
        match value.kind {
            Kind::Text(text) => self.push(text, Part::Words, at),
            Kind::ListStart => {
                let mut part = 0;
                while let Some(item) = self.reader.next_item()? {
                    self.part_value(item, place(part))?;
                    part += 1;
                }
                Ok(())
            }
            _ => Err(BadBody::shape(at, "content", value, WANT_CONTENT)),
        }
    }

    /// Any value inside turns: objects are read as parts, wherever they stand, so that a part in a
    /// place unknown to us has the same powers and the same secrets.
    pub(super) fn part_value(&mut self, value: Token, at: Location) -> Result<(), BadBody> {
        match value.kind {
            Kind::Text(text) => self.push(text, Part::Words, at),
            Kind::ObjectStart => self.part(at),
            Kind::ListStart => {
                while let Some(item) = self.reader.next_item()? {
                    self.part_value(item, at)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn part(&mut self, at: Location) -> Result<(), BadBody> {
        let mut seen = Seen::new(&PART_KEYS, at);
        while let Some(key) = self.reader.next_key()? {
            let known = seen.key(&key.unescape(self.body), key.range().start)?;
            let value = self.reader.advance()?;
            match (known, value.kind) {
                (_, Kind::Null) => {}
                (Some("type"), Kind::Text(kind)) => {
                    let kind = kind.unescape(self.body);
                    let is_image = matches!(kind.as_ref(), b"image_url" | b"input_image");
                    self.images = self.images.saturating_add(u32::from(is_image));
                }
                (Some("type"), _) => return Err(BadBody::shape(at, "type", value, "a string")),
                (Some("url" | "image_url" | "file_url"), Kind::Text(url)) => self.address(url, at)?,
                (Some("file_data"), Kind::Text(data)) => self.data(data, at)?,
                (Some("file_id"), _) => {
                    self.power(&Power::upstream_state("file"))?;
                    self.part_value(value, at)?;
                }
                (Some("input_audio"), Kind::ObjectStart) => self.audio()?,
                // What the vendor signed can be neither read nor changed.
                (Some("signature" | "thought_signature"), Kind::Text(_)) => {}
                _ => self.part_value(value, at)?,
            }
        }
        Ok(())
    }

    /// An address is a power, unless it carries its content itself.
    fn address(&mut self, url: Text, at: Location) -> Result<(), BadBody> {
        let raw = url.raw(self.body);
        if raw
            .get(..5)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"data:"))
        {
            return self.data(url, at);
        }
        self.power(&Power::url_source(&url.to_str(self.body)))?;
        self.push(url, Part::Words, at)
    }

    /// Content in a `data:` URL: media are skipped, text is read.
    fn data(&mut self, data: Text, at: Location) -> Result<(), BadBody> {
        let raw = data.raw(self.body);
        let head = raw.get(..DATA_URL_HEAD_BYTES.min(raw.len())).unwrap_or_default();
        let is_media = head.starts_with(b"data:")
            && !head.starts_with(b"data:text")
            && memchr::memmem::find(head, b";base64,").is_some();
        if is_media {
            Ok(())
        } else {
            self.push(data, Part::Words, at)
        }
    }

    /// Recorded sound: nothing in it is text.
    fn audio(&mut self) -> Result<(), BadBody> {
        while self.reader.next_key()?.is_some() {
            let value = self.reader.advance()?;
            self.reader.strings_of(value, |_| {})?;
        }
        Ok(())
    }
}
