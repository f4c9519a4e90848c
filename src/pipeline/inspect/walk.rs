//! The walk over a request: its own fields and the system prompt.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::dialect::Family;
use crate::dialect::json::{Kind, Reader, Text, Token};
use crate::dialect::operation::Operation;
use crate::pipeline::inspect::asks::Asks;
use crate::pipeline::inspect::bad::{BadBody, Field};
use crate::pipeline::inspect::chat;
use crate::pipeline::inspect::index::{Index, ToolsOffered};
use crate::pipeline::inspect::messages::{Part, PartText, Role};
use crate::pipeline::inspect::place::Location;
use crate::pipeline::inspect::power::Power;
use crate::types::ids::ModelName;

/// Texts recorded at most; a body of 32 MiB could otherwise hold millions.
pub(super) const TEXTS_MAX: usize = 250_000;
/// Messages at most, as the vendor has it.
pub(super) const MESSAGES_MAX: usize = 100_000;
/// Distinct powers at most: each one is a question to the policies.
const POWERS_MAX: usize = 64;
/// Raw bytes below which no text can hold a secret.
const TEXT_BYTES_MIN: usize = 8;
/// Bytes of a model name at most.
const MODEL_BYTES_MAX: usize = 256;

/// The request fields that governance reads.
const TOP_KEYS: [&str; 13] = [
    "model",
    "messages",
    "max_tokens",
    "stream",
    "thinking",
    "system",
    "tools",
    "mcp_servers",
    "container",
    "previous_response_id",
    "conversation",
    "thread",
    "fallbacks",
];

const WANT_MODEL: &str = "a non-empty string of at most 256 bytes, the model's name";
const WANT_MESSAGES: &str = "a list of messages";
const WANT_MAX_TOKENS: &str = "an integer of 0 or more";

/// Which governed keys of one object were met.
pub(super) struct Seen {
    keys: &'static [&'static str],
    of: Location,
    bits: u32,
}

impl Seen {
    pub(super) const fn new(keys: &'static [&'static str], of: Location) -> Self {
        Self { keys, of, bits: 0 }
    }

    /// The governed key with this name, if it is one; twice is an error.
    pub(super) fn key(&mut self, name: &[u8], offset: usize) -> Result<Option<&'static str>, BadBody> {
        let found = self
            .keys
            .iter()
            .zip(0u32..)
            .find(|(key, _)| key.as_bytes() == name);
        let Some((key, place)) = found else {
            return Ok(None);
        };
        let bit = 1u32 << place;
        if self.bits & bit != 0 {
            let field = Field { of: self.of, key };
            return Err(BadBody::Duplicate { field, offset });
        }
        self.bits |= bit;
        Ok(Some(key))
    }

    /// Refuses a key that equals a governed one but for case: some upstreams ignore case.
    fn refuse_lookalike(&self, name: &[u8], offset: usize) -> Result<(), BadBody> {
        let like = |key: &&&'static str| key.as_bytes().eq_ignore_ascii_case(name);
        match self.keys.iter().find(like) {
            Some(key) => Err(BadBody::Lookalike {
                field: Field { of: self.of, key },
                offset,
            }),
            None => Ok(()),
        }
    }
}

/// A walk in progress.
pub(super) struct Walk<'a> {
    pub(super) reader: Reader<'a>,
    pub(super) body: &'a [u8],
    pub(super) texts: Vec<PartText>,
    pub(super) roles: Vec<Role>,
    whole: &'a Bytes,
    pub(super) operation: Operation,
    powers: BTreeSet<Power>,
    model: Option<(Text, Token)>,
    pub(super) max_tokens: Option<u64>,
    pub(super) stream: bool,
    pub(super) tools: ToolsOffered,
    pub(super) asks: Asks,
    pub(super) thinks: bool,
    pub(super) images: u32,
}

impl<'a> Walk<'a> {
    pub(super) fn new(body: &'a Bytes, operation: Operation) -> Result<Self, BadBody> {
        Ok(Self {
            reader: Reader::new(body)?,
            body,
            texts: Vec::new(),
            roles: Vec::new(),
            whole: body,
            operation,
            powers: BTreeSet::new(),
            model: None,
            max_tokens: None,
            stream: false,
            tools: ToolsOffered::default(),
            asks: Asks::default(),
            thinks: false,
            images: 0,
        })
    }

    pub(super) fn run(mut self) -> Result<Index, BadBody> {
        let top = self.reader.advance()?;
        if top.kind != Kind::ObjectStart {
            return Err(BadBody::shape(Location::Top, "", top, "one JSON object"));
        }
        self.asks.top = top.range().end;
        let family = self.operation.family();
        let (keys, content, wanted) = match (family, self.operation) {
            (Family::Anthropic, _) => (&TOP_KEYS[..], "messages", WANT_MESSAGES),
            (_, Operation::ChatCompletions) => (&chat::TOP_KEYS[..], "messages", WANT_MESSAGES),
            (_, _) => (&chat::TOP_KEYS[..], "input", chat::WANT_INPUT),
        };
        let mut seen = Seen::new(keys, Location::Top);
        let mut had_content = false;
        while let Some(key) = self.reader.next_key()? {
            let name = key.unescape(self.body);
            let offset = key.range().start;
            let known = seen.key(&name, offset)?;
            if known.is_none() {
                seen.refuse_lookalike(&name, offset)?;
            }
            had_content |= known == Some(content);
            let value = self.reader.advance()?;
            match family {
                Family::Anthropic => self.field(known, value)?,
                Family::OpenAi => self.openai_field(known, value)?,
            }
        }
        self.reader.advance()?;
        if !had_content {
            return Err(missing(content, wanted));
        }
        self.finish()
    }

    fn field(&mut self, key: Option<&'static str>, value: Token) -> Result<(), BadBody> {
        match key {
            Some("model") => self.model_field(value),
            Some("max_tokens") => self.max_tokens_field("max_tokens", value),
            Some("stream") => match value.kind {
                Kind::Bool(stream) => {
                    self.stream = stream;
                    Ok(())
                }
                _ => Err(BadBody::shape(Location::Top, "stream", value, "true or false")),
            },
            Some("thinking") => self.thinking(value),
            Some("messages") => self.messages(value),
            Some("system") => self.system(value),
            Some("tools") => self.tools(value),
            Some("mcp_servers") => self.mcp_servers(value),
            Some("container") => self.state_field(value, &Power::upstream_state("container")),
            Some("previous_response_id") => self.state_field(value, &Power::upstream_state("response")),
            Some("conversation") => self.state_field(value, &Power::upstream_state("conversation")),
            Some("thread") => self.state_field(value, &Power::upstream_state("thread")),
            Some("fallbacks") => self.state_field(value, &Power::fallback_models()),
            _ => self.strings(value, Part::OtherField, Location::Top),
        }
    }

    pub(super) fn model_field(&mut self, value: Token) -> Result<(), BadBody> {
        let Kind::Text(text) = value.kind else {
            return Err(BadBody::shape(Location::Top, "model", value, WANT_MODEL));
        };
        let name = text.to_str(self.body);
        let found = match name.trim().len() {
            0 => "empty",
            _ if name.len() > MODEL_BYTES_MAX => "too long",
            _ if name.chars().any(char::is_control) => "a string with control characters",
            _ => {
                self.model = Some((text, value));
                return Ok(());
            }
        };
        Err(wrong("model", found, WANT_MODEL))
    }

    pub(super) fn max_tokens_field(&mut self, key: &'static str, value: Token) -> Result<(), BadBody> {
        self.max_tokens = Some(self.count(key, value)?);
        Ok(())
    }

    /// A whole number.
    pub(super) fn count(&self, key: &'static str, value: Token) -> Result<u64, BadBody> {
        if value.kind != Kind::Number {
            return Err(BadBody::shape(Location::Top, key, value, WANT_MAX_TOKENS));
        }
        let digits = self.body.get(value.range()).unwrap_or_default();
        let number = std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.parse().ok());
        let found = "a number that is negative, too large or no integer";
        number.ok_or_else(|| wrong(key, found, WANT_MAX_TOKENS))
    }

    pub(super) fn system(&mut self, value: Token) -> Result<(), BadBody> {
        match value.kind {
            Kind::Text(text) => self.push(text, Part::SystemText, Location::System(0)),
            Kind::ListStart => {
                let mut place = 0;
                while let Some(block) = self.reader.next_item()? {
                    let first = self.texts.len();
                    self.loose(block, Location::System(place))?;
                    self.mark(first, Part::SystemText);
                    place += 1;
                }
                Ok(())
            }
            _ => Err(BadBody::shape(
                Location::Top,
                "system",
                value,
                "a string or a list of text blocks",
            )),
        }
    }

    /// A field that asks for a power by being there; `null` and `[]` ask for nothing.
    pub(super) fn state_field(&mut self, value: Token, power: &Power) -> Result<(), BadBody> {
        let mut asks = value.kind != Kind::Null;
        if value.kind == Kind::ListStart {
            asks = false;
            while let Some(item) = self.reader.next_item()? {
                asks = true;
                self.strings(item, Part::OtherField, Location::Top)?;
            }
        } else {
            self.strings(value, Part::OtherField, Location::Top)?;
        }
        if asks { self.power(power) } else { Ok(()) }
    }

    pub(super) fn power(&mut self, power: &Power) -> Result<(), BadBody> {
        if !self.powers.contains(power) {
            self.powers.insert(power.clone());
        }
        within(
            self.powers.len(),
            POWERS_MAX,
            "different server-side tools, connectors and sources",
        )
    }

    /// Records a text, unless it is too short to matter.
    pub(super) fn push(&mut self, text: Text, part: Part, location: Location) -> Result<(), BadBody> {
        if text.raw_len() < TEXT_BYTES_MIN {
            return Ok(());
        }
        self.texts.push(PartText { text, part, location });
        within(self.texts.len(), TEXTS_MAX, "text values")
    }

    /// Records every string of a value, keys included.
    pub(super) fn strings(&mut self, first: Token, part: Part, location: Location) -> Result<(), BadBody> {
        let texts = &mut self.texts;
        let mut room = TEXTS_MAX.saturating_sub(texts.len());
        self.reader.strings_of(first, |text| {
            if text.raw_len() >= TEXT_BYTES_MIN && room > 0 {
                texts.push(PartText { text, part, location });
                room -= 1;
            }
        })?;
        within(if room == 0 { usize::MAX } else { 0 }, TEXTS_MAX, "text values")
    }

    fn finish(self) -> Result<Index, BadBody> {
        let (model, token) = self.model.ok_or_else(|| missing("model", WANT_MODEL))?;
        if self.max_tokens.is_none() && self.operation == Operation::Messages {
            return Err(missing("max_tokens", WANT_MAX_TOKENS));
        }
        let newest = crate::pipeline::inspect::messages::newest_user_run(&self.roles);
        let placed = self
            .texts
            .iter()
            .filter_map(|text| text.placed(&self.roles, newest));
        Ok(Index {
            texts: placed.collect(),
            model: ModelName::new(model.to_str(self.body)),
            body: self.whole.clone(),
            operation: self.operation,
            model_range: token.range(),
            stream: self.stream,
            max_tokens: self.max_tokens,
            messages: u32::try_from(self.roles.len()).unwrap_or(u32::MAX),
            tools: self.tools,
            powers: self.powers.into_iter().collect(),
            usage_edit: self.asks.usage_edit(self.operation, self.stream),
            store_edit: self.asks.store_edit(self.operation),
            choices: self.asks.choices.unwrap_or(1),
            thinks: self.thinks,
            images: self.images,
        })
    }
}

pub(super) fn within(count: usize, limit: usize, what: &'static str) -> Result<(), BadBody> {
    if count > limit {
        return Err(BadBody::TooMany { what, limit });
    }
    Ok(())
}

const fn missing(key: &'static str, wanted: &'static str) -> BadBody {
    let field = Field {
        of: Location::Top,
        key,
    };
    BadBody::Missing { field, wanted }
}

const fn wrong(key: &'static str, found: &'static str, wanted: &'static str) -> BadBody {
    let field = Field {
        of: Location::Top,
        key,
    };
    BadBody::WrongShape { field, found, wanted }
}
