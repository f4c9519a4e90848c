//! The walk over tools and connectors: which powers do they ask for?

use crate::dialect::json::{Kind, Text, Token};
use crate::pipeline::inspect::bad::BadBody;
use crate::pipeline::inspect::messages::Part;
use crate::pipeline::inspect::place::Location;
use crate::pipeline::inspect::power::Power;
use crate::pipeline::inspect::walk::{Seen, Walk};

/// The fields of tools and connectors that governance reads.
const ITEM_KEYS: [&str; 3] = ["type", "name", "url"];
/// Tool names remembered at most, and bytes of each.
const TOOL_NAMES_MAX: usize = 128;
const TOOL_NAME_BYTES_MAX: usize = 128;

/// The fields of OpenAI's tools that governance reads.
const OPENAI_TOOL_KEYS: [&str; 7] = [
    "type",
    "name",
    "function",
    "custom",
    "server_url",
    "connector_id",
    "tools",
];

/// What was read of a tool or connector.
#[derive(Default)]
struct Item {
    kind: Option<Text>,
    url: Option<Text>,
}

impl Walk<'_> {
    pub(super) fn tools(&mut self, value: Token) -> Result<(), BadBody> {
        if value.kind != Kind::ListStart {
            return Err(BadBody::shape(Location::Top, "tools", value, "a list of tools"));
        }
        while let Some(tool) = self.reader.next_item()? {
            let at = Location::Tool(self.tools.count);
            if let Some(kind) = self.item(tool, at)?.kind
                && let Some(power) = Power::of_tool(&kind.to_str(self.body))
            {
                self.power(&power)?;
            }
            self.tools.count = self.tools.count.saturating_add(1);
        }
        Ok(())
    }

    pub(super) fn mcp_servers(&mut self, value: Token) -> Result<(), BadBody> {
        if value.kind != Kind::ListStart {
            return Err(BadBody::shape(
                Location::Top,
                "mcp_servers",
                value,
                "a list of servers",
            ));
        }
        let mut place = 0;
        while let Some(server) = self.reader.next_item()? {
            let url = self.item(server, Location::McpServer(place))?.url;
            let url = url.map(|url| url.to_str(self.body)).unwrap_or_default();
            self.power(&Power::mcp_connector(&url))?;
            place += 1;
        }
        Ok(())
    }

    /// One tool or connector. A connector's texts are left out: its token belongs there.
    fn item(&mut self, item: Token, at: Location) -> Result<Item, BadBody> {
        if item.kind != Kind::ObjectStart {
            return Err(BadBody::shape(at, "", item, "an object"));
        }
        let mut seen = Seen::new(&ITEM_KEYS, at);
        let mut read = Item::default();
        while let Some(key) = self.reader.next_key()? {
            let known = seen.key(&key.unescape(self.body), key.range().start)?;
            let value = self.reader.advance()?;
            match (known, value.kind) {
                (Some("type"), Kind::Text(kind)) => read.kind = Some(kind),
                (Some("url"), Kind::Text(url)) => read.url = Some(url),
                (Some("name"), Kind::Text(name)) => self.tool_name(name, at)?,
                (Some(key), _) => return Err(BadBody::shape(at, key, value, "a string")),
                (None, _) if matches!(at, Location::Tool(_)) => {
                    self.strings(value, Part::ToolDefinition, at)?;
                }
                (None, _) => self.reader.strings_of(value, |_| {})?,
            }
        }
        Ok(read)
    }

    fn tool_name(&mut self, name: Text, at: Location) -> Result<(), BadBody> {
        if !matches!(at, Location::Tool(_)) {
            return Ok(());
        }
        if self.tools.names.len() < TOOL_NAMES_MAX && name.raw_len() <= TOOL_NAME_BYTES_MAX {
            self.tools.names.push(name.to_str(self.body).into());
        }
        self.push(name, Part::ToolDefinition, at)
    }

    /// The tools of a request of OpenAI's API, those of its namespaces too.
    pub(super) fn openai_tools(&mut self, value: Token) -> Result<(), BadBody> {
        if value.kind != Kind::ListStart {
            return Err(BadBody::shape(Location::Top, "tools", value, "a list of tools"));
        }
        while let Some(tool) = self.reader.next_item()? {
            let at = Location::Tool(self.tools.count);
            self.tools.count = self.tools.count.saturating_add(1);
            self.openai_tool(tool, at)?;
        }
        Ok(())
    }

    fn openai_tool(&mut self, tool: Token, at: Location) -> Result<(), BadBody> {
        if tool.kind != Kind::ObjectStart {
            return Err(BadBody::shape(at, "", tool, "an object"));
        }
        let first = self.texts.len();
        let mut seen = Seen::new(&OPENAI_TOOL_KEYS, at);
        let mut read = Item::default();
        let mut is_function = false;
        while let Some(key) = self.reader.next_key()? {
            let known = seen.key(&key.unescape(self.body), key.range().start)?;
            let value = self.reader.advance()?;
            match (known, value.kind) {
                (Some("type"), Kind::Text(kind)) => read.kind = Some(kind),
                (Some("type"), _) => return Err(BadBody::shape(at, "type", value, "a string")),
                (Some("server_url"), Kind::Text(url)) => read.url = Some(url),
                (Some("name"), Kind::Text(name)) => self.tool_name(name, at)?,
                (Some("function" | "custom"), Kind::ObjectStart) => {
                    is_function = true;
                    self.openai_function(at)?;
                }
                (Some("tools"), _) => self.openai_tools(value)?,
                _ => self.strings(value, Part::ToolDefinition, at)?,
            }
        }
        let kind = read.kind.map(|kind| kind.to_str(self.body));
        match kind.as_deref() {
            Some("mcp") => {
                // A connector's texts are left out: its token belongs there.
                self.texts.truncate(first);
                let url = read.url.map(|url| url.to_str(self.body)).unwrap_or_default();
                self.power(&Power::mcp_connector(&url))
            }
            None if is_function => Ok(()),
            kind => match Power::of_openai_tool(kind.unwrap_or_default()) {
                Some(power) => self.power(&power),
                None => Ok(()),
            },
        }
    }

    /// The `functions` of older clients.
    pub(super) fn openai_functions(&mut self, value: Token) -> Result<(), BadBody> {
        if value.kind != Kind::ListStart {
            return Err(BadBody::shape(
                Location::Top,
                "functions",
                value,
                "a list of functions",
            ));
        }
        while let Some(function) = self.reader.next_item()? {
            let at = Location::Tool(self.tools.count);
            self.tools.count = self.tools.count.saturating_add(1);
            if function.kind != Kind::ObjectStart {
                return Err(BadBody::shape(at, "", function, "an object"));
            }
            self.openai_function(at)?;
        }
        Ok(())
    }

    /// A function's own fields; the brace that opens it has been read.
    fn openai_function(&mut self, at: Location) -> Result<(), BadBody> {
        const KEYS: [&str; 1] = ["name"];
        let mut seen = Seen::new(&KEYS, at);
        while let Some(key) = self.reader.next_key()? {
            let known = seen.key(&key.unescape(self.body), key.range().start)?;
            let value = self.reader.advance()?;
            match (known, value.kind) {
                (Some(_), Kind::Text(name)) => self.tool_name(name, at)?,
                _ => self.strings(value, Part::ToolDefinition, at)?,
            }
        }
        Ok(())
    }
}
