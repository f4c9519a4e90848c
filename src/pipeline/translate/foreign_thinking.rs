//! Thinking of other vendors' models, taken out of requests to Anthropic.
//!
//! A conversation that began with a model that signs nothing carries thinking blocks with our signature,
//! or with none. Anthropic would refuse the whole request, now and ever after. Everything else in the
//! body keeps its bytes.

use bytes::Bytes;
use memchr::memmem;

use crate::dialect::anthropic::signature;
use crate::dialect::element;
use crate::dialect::raw::{Members, Raw};
use crate::dialect::splice::Splice;
use crate::pipeline::translate::dropped::{Dropped, Losses, Place};

/// What becomes of thinking with an empty signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptySignatures {
    /// The upstream checks signatures: the block goes.
    Removed,
    /// The upstream signs nothing itself: the block may be its own.
    Kept,
}

/// The edits that take foreign thinking out of a Messages request, and what is lost by them.
///
/// A turn of which nothing is left goes as a whole. A model with a thinking budget insists on thinking
/// before the tool calls that it is to go on from; where that was removed, it is told not to think.
pub fn foreign_thinking(body: &Bytes, empty: EmptySignatures) -> (Vec<Splice>, Vec<Dropped>) {
    let request = std::str::from_utf8(body)
        .ok()
        .filter(|_| may_be_foreign(body, empty))
        .and_then(Members::read);
    let messages = request
        .as_ref()
        .and_then(|request| request.get("messages"))
        .and_then(Raw::elements);
    let (Some(request), Some(messages)) = (request, messages) else {
        return (Vec::new(), Vec::new());
    };
    let mut found = Found {
        body,
        empty,
        removed: Vec::new(),
        losses: Losses::default(),
    };
    let emptied: Vec<bool> = messages
        .iter()
        .enumerate()
        .map(|(index, message)| found.take_message(index, *message))
        .collect();
    let last = messages
        .iter()
        .rposition(|message| role_is(*message, "assistant"));
    let last = last.and_then(|last| messages.get(last)).copied();
    let last_lost = last.is_some_and(|last| calls_tools(last) && found.touched(last));
    found.removed.extend(element::without(body, &messages, &emptied));
    if last_lost {
        found.stop_thinking(&request);
    }
    (found.removed, found.losses.into_list())
}

/// A quick look for a signature that is empty or ours; it may err on the side of a closer look.
fn may_be_foreign(body: &[u8], empty: EmptySignatures) -> bool {
    const KEY: &[u8] = b"\"signature\"";
    let suspicious = |at: usize| {
        let value = body.get(at + KEY.len()..).unwrap_or_default().trim_ascii_start();
        let value = value.strip_prefix(b":").unwrap_or_default().trim_ascii_start();
        let ours = value.strip_prefix(b"\"").is_some_and(signature::begins);
        ours || (empty == EmptySignatures::Removed && value.starts_with(b"\"\""))
    };
    memmem::find_iter(body, KEY).any(suspicious)
}

struct Found<'b> {
    body: &'b Bytes,
    empty: EmptySignatures,
    removed: Vec<Splice>,
    losses: Losses,
}

impl Found<'_> {
    /// Removes foreign blocks of a message; tells whether none would be left, in which case none is
    /// removed here.
    fn take_message(&mut self, index: usize, message: Raw<'_>) -> bool {
        if !role_is(message, "assistant") {
            return false;
        }
        let content = message.members().and_then(|message| message.get("content"));
        let blocks = content.and_then(Raw::elements).unwrap_or_default();
        let foreign: Vec<bool> = blocks.iter().map(|block| self.is_foreign(*block)).collect();
        let messages = Place::Body.member("messages");
        let message = messages.element(index);
        for (index, _) in foreign.iter().enumerate().filter(|(_, foreign)| **foreign) {
            self.losses.loss(
                message.member("content").element(index),
                "thinking of another vendor's model",
            );
        }
        let nothing_left = !foreign.is_empty() && foreign.iter().all(|foreign| *foreign);
        if !nothing_left {
            self.removed
                .extend(element::without(self.body, &blocks, &foreign));
        }
        nothing_left
    }

    fn is_foreign(&self, block: Raw<'_>) -> bool {
        let Some(block) = block.members() else {
            return false;
        };
        let is_thinking = block.string("type").is_some_and(|kind| kind == "thinking");
        let signature = block.string("signature").unwrap_or_default();
        is_thinking
            && if signature.is_empty() {
                self.empty == EmptySignatures::Removed
            } else {
                signature::is_unsigned(&signature)
            }
    }

    /// Whether something of this message was removed.
    fn touched(&self, message: Raw<'_>) -> bool {
        let place = message.place_in(self.body);
        place.is_some_and(|place| {
            self.removed
                .iter()
                .any(|removed| place.contains(&removed.range.start))
        })
    }

    /// Tells a model with a thinking budget not to think. Newer ones decide for themselves.
    fn stop_thinking(&mut self, request: &Members<'_>) {
        let thinking = request.get("thinking");
        let kind = thinking
            .and_then(Raw::members)
            .and_then(|thinking| thinking.string("type"));
        let range = thinking.and_then(|thinking| thinking.place_in(self.body));
        if let Some(range) = range.filter(|_| kind.is_some_and(|kind| kind == "enabled")) {
            self.removed.push(Splice {
                range,
                with: Bytes::from_static(br#"{"type":"disabled"}"#),
            });
            self.losses.loss(
                Place::Body.member("thinking"),
                "the last turn's thinking is another vendor's",
            );
        }
    }
}

fn role_is(message: Raw<'_>, role: &str) -> bool {
    message
        .members()
        .and_then(|message| message.string("role"))
        .is_some_and(|said| said == role)
}

fn calls_tools(message: Raw<'_>) -> bool {
    let content = message.members().and_then(|message| message.get("content"));
    let blocks = content.and_then(Raw::elements).unwrap_or_default();
    blocks
        .into_iter()
        .filter_map(Raw::members)
        .any(|block| block.string("type").is_some_and(|kind| kind == "tool_use"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::splice::apply;

    const OURS: &str = r#"{"type":"thinking","thinking":"a","signature":"tg1."}"#;
    const EMPTY: &str = r#"{"type":"thinking","thinking":"b","signature" : ""}"#;
    const REAL: &str = r#"{"type":"thinking","thinking":"c","signature":"EqQBCkYIBxgCKkA"}"#;

    fn cleaned(body: &str, empty: EmptySignatures) -> (String, Vec<String>) {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let (splices, dropped) = foreign_thinking(&body, empty);
        let cleaned = apply(&body, &splices).unwrap();
        let paths = dropped.into_iter().map(|dropped| dropped.path).collect();
        (String::from_utf8(cleaned.to_vec()).unwrap(), paths)
    }

    fn check(body: &str, expected: &str, paths: &[&str]) {
        let (cleaned, dropped) = cleaned(body, EmptySignatures::Removed);
        assert_eq!(cleaned, expected);
        assert_eq!(dropped, paths, "{body}");
        serde_json::from_str::<serde_json::Value>(&cleaned).unwrap();
    }

    fn said(blocks: &str) -> String {
        format!(
            r#"{{"messages":[{{"role":"user","content":"x"}} , {{"role":"assistant","content":[{blocks}]}}, {{"role":"user","content":"y"}}],"n":1.0}}"#
        )
    }

    #[test]
    fn foreign_blocks_go_and_all_other_bytes_stay() {
        let text = r#"{"type":"text", "text":"t"}"#;
        let first = ["messages[1].content[0]"];
        check(&said(&format!("{OURS} , {text}")), &said(text), &first);
        check(
            &said(&format!("{text}, {OURS}")),
            &said(text),
            &["messages[1].content[1]"],
        );
        check(
            &said(&format!("{EMPTY},{REAL} ,{text}")),
            &said(&format!("{REAL} ,{text}")),
            &first,
        );
        let both = ["messages[1].content[1]", "messages[1].content[2]"];
        check(
            &said(&format!("{text} , {OURS},{EMPTY} , {REAL}")),
            &said(&format!("{text} , {REAL}")),
            &both,
        );
        check(
            &said(&format!("{REAL}, {text}")),
            &said(&format!("{REAL}, {text}")),
            &[],
        );
    }

    #[test]
    fn a_turn_of_which_nothing_is_left_goes_as_a_whole() {
        let expected =
            r#"{"messages":[{"role":"user","content":"x"} , {"role":"user","content":"y"}],"n":1.0}"#;
        check(&said(OURS), expected, &["messages[1].content[0]"]);
        let last = format!(
            r#"{{"messages":[{{"role":"user","content":"x"}} , {{"role":"assistant","content":[{OURS}]}} ]}}"#
        );
        check(
            &last,
            r#"{"messages":[{"role":"user","content":"x"} ]}"#,
            &["messages[1].content[0]"],
        );
    }

    #[test]
    fn a_budget_model_is_told_not_to_think_without_its_last_thinking() {
        let call = r#"{"type":"tool_use","id":"t","name":"f","input":{}}"#;
        let text = r#"{"type":"text","text":"t"}"#;
        let with = |thinking: &str, blocks: &str| {
            said(blocks).replace(r#""n":1.0"#, &format!(r#""thinking": {thinking}"#))
        };
        let enabled = r#"{"type":"enabled", "budget_tokens":2048}"#;
        check(
            &with(enabled, &format!("{OURS},{call}")),
            &with(r#"{"type":"disabled"}"#, call),
            &["messages[1].content[0]", "thinking"],
        );
        let first = ["messages[1].content[0]"];
        check(
            &with(enabled, &format!("{OURS},{text}")),
            &with(enabled, text),
            &first,
        );
        let adaptive = r#"{"type":"adaptive"}"#;
        check(
            &with(adaptive, &format!("{OURS},{call}")),
            &with(adaptive, call),
            &first,
        );
        check(&with(enabled, call), &with(enabled, call), &[]);
    }

    #[test]
    fn upstreams_that_sign_nothing_keep_their_own_blocks() {
        let body = said(&format!("{EMPTY},{OURS}"));
        assert_eq!(cleaned(&body, EmptySignatures::Kept).0, said(EMPTY));
    }

    #[test]
    fn what_only_looks_like_a_signature_stays() {
        let tool =
            r#"{"type":"tool_use","id":"t","name":"f","input":{"signature":"tg1.x","type":"thinking"}}"#;
        check(&said(tool), &said(tool), &[]);
        check(
            &said(r#"{"type":"text","text":"\"signature\":\"\""}"#),
            &said(r#"{"type":"text","text":"\"signature\":\"\""}"#),
            &[],
        );
        let user = format!(r#"{{"messages":[{{"role":"user","content":[{OURS}]}}]}}"#);
        check(&user, &user, &[]);
        for odd in ["[]", "{\"messages\":7,\"signature\":\"\"}", "\"signature\":\"\""] {
            let body = Bytes::copy_from_slice(odd.as_bytes());
            assert_eq!(foreign_thinking(&body, EmptySignatures::Removed).0, []);
        }
    }
}
