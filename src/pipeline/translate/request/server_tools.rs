//! What Anthropic's own tools left in a conversation, told as plain text.
//!
//! Never as tool calls: no result would answer them. Encrypted content is left out, nobody else can read
//! it.

use crate::dialect::raw::{Members, Raw, compact, escape, is_blank};
use crate::pipeline::translate::request::parts::{BLANK_LINE, Block};

/// The escaped text of such a block; `None` where it is none, empty where nothing can be told.
pub(crate) fn tell(block: &Block<'_>) -> Option<String> {
    let members = &block.members;
    match block.kind.as_ref() {
        "server_tool_use" | "mcp_tool_use" => {
            let name = members.get("name").and_then(Raw::escaped).unwrap_or("tool");
            let input = members
                .get("input")
                .map(|input| escape(&compact(input)))
                .unwrap_or_default();
            Some(format!("[used {name}: {input}]"))
        }
        "compaction" => Some(
            members
                .get("content")
                .and_then(Raw::escaped)
                .unwrap_or_default()
                .to_owned(),
        ),
        "web_search_tool_result"
        | "web_fetch_tool_result"
        | "code_execution_tool_result"
        | "bash_code_execution_tool_result"
        | "text_editor_code_execution_tool_result"
        | "tool_search_tool_result"
        | "advisor_tool_result"
        | "mcp_tool_result" => {
            let mut lines = Vec::new();
            if let Some(content) = members.get("content") {
                gather(content, 0, &mut lines);
            }
            let told = if lines.is_empty() {
                "no readable content".to_owned()
            } else {
                lines.join("\\n")
            };
            Some(format!("[result]{BLANK_LINE}{told}"))
        }
        _ => None,
    }
}

/// How deep a result is searched for text.
const DEPTH_MAX: u32 = 8;

/// The members of results that people can read.
const READABLE: [&str; 9] = [
    "title",
    "url",
    "text",
    "stdout",
    "stderr",
    "error_code",
    "tool_name",
    "data",
    "content",
];

/// Gathers the readable texts of a result, in order.
fn gather(value: Raw<'_>, depth: u32, lines: &mut Vec<String>) {
    if depth > DEPTH_MAX {
        return;
    }
    if let Some(text) = value.escaped() {
        lines.extend((!is_blank(text)).then(|| text.to_owned()));
    } else if let Some(elements) = value.elements() {
        elements
            .into_iter()
            .for_each(|element| gather(element, depth + 1, lines));
    } else if let Some(members) = value.members() {
        gather_members(&members, depth, lines);
    }
}

fn gather_members(members: &Members<'_>, depth: u32, lines: &mut Vec<String>) {
    // The data of pictures and PDFs is no text.
    let is_base64 = members.string("type").is_some_and(|kind| kind == "base64");
    for key in READABLE
        .iter()
        .chain(&["source"])
        .filter(|key| !(is_base64 && **key == "data"))
    {
        if let Some(value) = members.get(key) {
            gather(value, depth + 1, lines);
        }
    }
}
