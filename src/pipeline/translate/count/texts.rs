//! What of a Messages request a model reads.

use crate::dialect::raw::{Members, Raw};
use crate::pipeline::translate::answer::tally;

/// How deep content may lie in content: a document in the result of a tool.
const DEPTH_MAX: u32 = 4;

/// A piece of a request that a model reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    /// As it stands in the body.
    pub(super) written: &'a str,
    /// Whether it is the inside of a JSON string.
    pub(super) escaped: bool,
}

/// What a request comes to.
#[derive(Debug, Default)]
pub(super) struct Asked<'a> {
    pub(super) texts: Vec<Text<'a>>,
    pub(super) messages: u64,
    pub(super) tools: u64,
    /// Pictures, and pages of documents that are no text.
    pub(super) images: u64,
}

impl<'a> Asked<'a> {
    /// Reads a body; `None` where it is no JSON object.
    pub(super) fn read(body: &'a str) -> Option<Self> {
        let request = Members::read(body)?;
        let mut asked = Self::default();
        if let Some(system) = request.get("system") {
            asked.messages += 1;
            asked.content(system, 0);
        }
        for message in elements(&request, "messages") {
            asked.messages = asked.messages.saturating_add(1);
            if let Some(content) = message.get("content") {
                asked.content(content, 0);
            }
        }
        for tool in request.get("tools").and_then(Raw::elements).unwrap_or_default() {
            asked.tools = asked.tools.saturating_add(1);
            asked.json(tool);
        }
        Some(asked)
    }

    /// A string, or a list of blocks.
    fn content(&mut self, content: Raw<'a>, depth: u32) {
        if let Some(written) = content.escaped() {
            self.texts.push(Text {
                written,
                escaped: true,
            });
            return;
        }
        let blocks = content.elements().unwrap_or_default();
        for block in blocks.into_iter().filter_map(Raw::members) {
            self.block(&block, depth);
        }
    }

    fn block(&mut self, block: &Members<'a>, depth: u32) {
        match block.string("type").unwrap_or_default().as_ref() {
            "text" => self.field(block, "text"),
            "image" => self.images = self.images.saturating_add(1),
            "document" => self.document(block, depth),
            "tool_use" => {
                self.field(block, "name");
                block.get("input").into_iter().for_each(|input| self.json(input));
            }
            "tool_result" | "search_result" => {
                self.field(block, "title");
                self.below(block, depth);
            }
            // Earlier thinking does not go to models that did not think it, and results of server tools that
            // others ran are told in their titles at most.
            _ => {}
        }
    }

    fn document(&mut self, block: &Members<'a>, depth: u32) {
        self.field(block, "title");
        self.field(block, "context");
        let Some(source) = block.members("source") else {
            return;
        };
        match source.string("type").unwrap_or_default().as_ref() {
            "text" => self.field(&source, "data"),
            "content" => self.below(&source, depth),
            _ => {
                let data = source.get("data").and_then(Raw::escaped).unwrap_or_default();
                self.images = self.images.saturating_add(tally::pages(data.len()));
            }
        }
    }

    fn below(&mut self, block: &Members<'a>, depth: u32) {
        if let Some(content) = block.get("content").filter(|_| depth < DEPTH_MAX) {
            self.content(content, depth + 1);
        }
    }

    fn field(&mut self, block: &Members<'a>, key: &str) {
        let written = block.get(key).and_then(Raw::escaped);
        self.texts.extend(written.map(|written| Text {
            written,
            escaped: true,
        }));
    }

    fn json(&mut self, value: Raw<'a>) {
        self.texts.push(Text {
            written: value.text(),
            escaped: false,
        });
    }
}

fn elements<'a>(of: &Members<'a>, key: &str) -> Vec<Members<'a>> {
    let list = of.get(key).and_then(Raw::elements).unwrap_or_default();
    list.into_iter().filter_map(Raw::members).collect()
}
