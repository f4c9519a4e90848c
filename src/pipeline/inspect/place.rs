//! Where in a request something stands, in words that its sender understands.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::dialect::json::Text;

/// An object or item of the request that errors and findings can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Location {
    /// The request's own fields.
    Top,
    /// The system prompt, or one of its blocks.
    System(u32),
    /// A tool definition.
    Tool(u32),
    /// A connector that the upstream would call.
    McpServer(u32),
    /// A message.
    Message(u32),
    /// A content block of a message.
    Block(u32, u32),
    /// The texts to be embedded, or an input that is one text.
    Input,
    /// An item of the input.
    Item(u32),
    /// A part of an item's content.
    ItemPart(u32, u32),
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top => f.write_str("the request"),
            Self::System(block) => write!(f, "system[{block}]"),
            Self::Tool(tool) => write!(f, "tools[{tool}]"),
            Self::McpServer(server) => write!(f, "mcp_servers[{server}]"),
            Self::Message(message) => write!(f, "messages[{message}]"),
            Self::Input => f.write_str("input"),
            Self::Item(item) => write!(f, "input[{item}]"),
            Self::ItemPart(item, part) => write!(f, "input[{item}].content[{part}]"),
            Self::Block(message, block) => write!(f, "messages[{message}].content[{block}]"),
        }
    }
}

/// The kinds of text in a request; what happens to a secret depends on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// What the user wrote since the last answer.
    NewestUserText,
    /// What the model passed to a tool.
    ToolArguments,
    /// What a tool gave back.
    ToolResult,
    /// The system prompt and system messages.
    SystemText,
    /// Any text of an earlier turn, and text of the assistant.
    EarlierTurn,
    /// Names, descriptions and schemas of tools.
    ToolDefinition,
    /// Any other field of the request.
    OtherField,
}

impl Place {
    /// The kind in words for people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::NewestUserText => "the newest user message",
            Self::ToolArguments => "tool arguments",
            Self::ToolResult => "a tool result",
            Self::SystemText => "the system prompt",
            Self::EarlierTurn => "an earlier turn",
            Self::ToolDefinition => "a tool definition",
            Self::OtherField => "another field",
        }
    }
}

/// A text of the request and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacedText {
    /// The text in the body.
    pub text: Text,
    /// Its kind.
    pub place: Place,
    /// The object or item that holds it.
    pub location: Location,
}

impl PlacedText {
    /// Whether the next text goes on where this one ends, for a model that reads both: texts of one message, or of the
    /// system prompt, that somebody wrote.
    pub(super) fn continues_in(&self, next: &Self) -> bool {
        let same = match (self.location, next.location) {
            (Location::Block(one, first), Location::Block(other, second)) => {
                one == other && first.checked_add(1) == Some(second)
            }
            (Location::ItemPart(one, first), Location::ItemPart(other, second)) => {
                one == other && first.checked_add(1) == Some(second)
            }
            (Location::System(first), Location::System(second)) => first.checked_add(1) == Some(second),
            _ => false,
        };
        let is_prose = matches!(
            self.place,
            Place::NewestUserText | Place::SystemText | Place::EarlierTurn
        );
        same && is_prose && self.place == next.place
    }
}
