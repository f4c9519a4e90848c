//! What an answer, or an event of its stream, says.

use std::borrow::Cow;

use crate::dialect::openai::answer::ToolDelta;
use crate::dialect::raw::{Members, Raw, compact, escape};

/// The events of a stream, as frames name them.
pub const EVENTS: [&str; 6] = [
    "messageStart",
    "contentBlockStart",
    "contentBlockDelta",
    "contentBlockStop",
    "messageStop",
    "metadata",
];

/// A piece of an answer. Texts are escaped and may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The answer's text.
    Text(&'a str),
    /// The model's reasoning.
    Thinking(&'a str),
    /// What proves the reasoning before it.
    Signature(Cow<'a, str>),
    /// Reasoning that only its maker can read, in base64.
    Redacted(Cow<'a, str>),
    /// A call, or more of its arguments.
    Call(ToolDelta<'a>),
}

/// What an event of a stream brings; most events bring nothing.
pub fn piece<'a>(event: &Members<'a>) -> Option<Piece<'a>> {
    if let Some(begun) = event.members("contentBlockStart") {
        // Text and reasoning begin with their first delta.
        let call = begun.members("start")?.members("toolUse")?;
        return Some(Piece::Call(begin(&call, begun.count("contentBlockIndex"))));
    }
    let more = event.members("contentBlockDelta")?;
    let delta = more.members("delta")?;
    if let Some(text) = delta.get("text").and_then(Raw::escaped) {
        return Some(Piece::Text(text));
    }
    if let Some(call) = delta.members("toolUse") {
        let input = call.get("input").and_then(Raw::escaped);
        return Some(Piece::Call(ToolDelta {
            index: more.count("contentBlockIndex"),
            id: Cow::Borrowed(""),
            name: Cow::Borrowed(""),
            arguments: Cow::Borrowed(input.unwrap_or_default()),
        }));
    }
    let reasoning = delta.members("reasoningContent")?;
    let text = reasoning.get("text").and_then(Raw::escaped);
    text.map(Piece::Thinking)
        .or_else(|| Some(Piece::Signature(filled(&reasoning, "signature")?)))
        .or_else(|| Some(Piece::Redacted(filled(&reasoning, "redactedContent")?)))
}

/// What a whole answer holds, in order; `None` where it has no message.
pub fn pieces<'a>(answer: &Members<'a>) -> Option<Vec<Piece<'a>>> {
    let message = answer.members("output")?.members("message")?;
    let blocks = message.get("content").and_then(Raw::elements).unwrap_or_default();
    let mut pieces = Vec::with_capacity(blocks.len());
    for (index, block) in blocks.into_iter().filter_map(Raw::members).enumerate() {
        if let Some(text) = block.get("text").and_then(Raw::escaped) {
            pieces.push(Piece::Text(text));
        } else if let Some(cited) = block.members("citationsContent") {
            let parts = cited.get("content").and_then(Raw::elements).unwrap_or_default();
            let texts = parts
                .into_iter()
                .filter_map(|part| part.members()?.get("text")?.escaped());
            pieces.extend(texts.map(Piece::Text));
        } else if let Some(call) = block.members("toolUse") {
            let input = call.get("input").filter(|input| input.text().starts_with('{'));
            let arguments = input.map_or(Cow::Borrowed(""), |input| Cow::Owned(escape(&compact(input))));
            let index = u64::try_from(index).ok();
            pieces.push(Piece::Call(ToolDelta {
                arguments,
                ..begin(&call, index)
            }));
        } else if let Some(reasoning) = block.members("reasoningContent") {
            let told = reasoning.members("reasoningText").unwrap_or_default();
            pieces.extend(told.get("text").and_then(Raw::escaped).map(Piece::Thinking));
            pieces.extend(filled(&told, "signature").map(Piece::Signature));
            pieces.extend(filled(&reasoning, "redactedContent").map(Piece::Redacted));
        }
    }
    Some(pieces)
}

/// The beginning of a call.
fn begin<'a>(call: &Members<'a>, index: Option<u64>) -> ToolDelta<'a> {
    ToolDelta {
        index,
        id: call.string("toolUseId").unwrap_or_default(),
        name: call.string("name").unwrap_or_default(),
        arguments: Cow::Borrowed(""),
    }
}

fn filled<'a>(members: &Members<'a>, key: &str) -> Option<Cow<'a, str>> {
    members.string(key).filter(|text| !text.is_empty())
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// By itself, or for its calls.
    Stop,
    /// At one of the stop sequences; which one is not told.
    StopSequence,
    /// At the limit of tokens.
    Length,
    /// The context is full.
    ContextFull,
    /// A guardrail stepped in, or a filter took the rest away.
    Filtered,
    /// The model wrote what Bedrock could not read.
    Malformed,
}

impl Finish {
    /// The meaning of a `stopReason`.
    pub fn of(reason: &str) -> Self {
        match reason {
            "stop_sequence" => Self::StopSequence,
            "max_tokens" => Self::Length,
            "model_context_window_exceeded" => Self::ContextFull,
            "guardrail_intervened" | "content_filtered" => Self::Filtered,
            malformed if malformed.starts_with("malformed_") => Self::Malformed,
            _ => Self::Stop,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(piece: Piece<'_>) -> String {
        match piece {
            Piece::Text(text) => format!(".{text}"),
            Piece::Thinking(text) => format!("?{text}"),
            Piece::Signature(signature) => format!("#{signature}"),
            Piece::Redacted(data) => format!("!{data}"),
            Piece::Call(call) => {
                let index = call.index.map_or_else(String::new, |index| index.to_string());
                format!("{index}:{}({}){}", call.name, call.id, call.arguments)
            }
        }
    }

    #[test]
    fn every_event_brings_its_piece() {
        let check = |event: &str, expected: &str| {
            let event = Members::read(event).unwrap();
            assert_eq!(piece(&event).map(shown).unwrap_or_default(), expected);
        };
        let delta = |delta: &str| {
            format!(r#"{{"contentBlockDelta":{{"contentBlockIndex":2,"delta":{delta},"p":"abc"}}}}"#)
        };
        check(r#"{"messageStart":{"role":"assistant"}}"#, "");
        check(
            r#"{"contentBlockStart":{"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"t","name":"f"}}}}"#,
            "1:f(t)",
        );
        check(
            r#"{"contentBlockStart":{"start":{"image":{"format":"png"}}}}"#,
            "",
        );
        check(&delta(r#"{"text":"a\nb"}"#), r".a\nb");
        check(&delta(r#"{"toolUse":{"input":"{\"x\""}}"#), r#"2:(){\"x\""#);
        check(&delta(r#"{"reasoningContent":{"text":"so"}}"#), "?so");
        check(&delta(r#"{"reasoningContent":{"signature":"AB=="}}"#), "#AB==");
        check(
            &delta(r#"{"reasoningContent":{"redactedContent":"AA=="}}"#),
            "!AA==",
        );
        check(&delta(r#"{"citation":{"title":"t"}}"#), "");
        check(r#"{"contentBlockStop":{"contentBlockIndex":2}}"#, "");
    }

    #[test]
    fn whole_answers_hold_the_same_pieces() {
        let answer = r#"{"output":{"message":{"role":"assistant","content":[
            {"reasoningContent":{"reasoningText":{"text":"so","signature":"s"}}},
            {"reasoningContent":{"redactedContent":"AA=="}},
            {"text":"a"},
            {"citationsContent":{"content":[{"text":"b"}],"citations":[]}},
            {"toolUse":{"toolUseId":"t","name":"f","input":{ "x": 1.50 }}},
            {"toolUse":{"toolUseId":"u","name":"g"}},
            {"video":{}}, 7]}},"stopReason":"tool_use"}"#;
        let answer = Members::read(answer).unwrap();
        let told: Vec<String> = pieces(&answer).unwrap().into_iter().map(shown).collect();
        assert_eq!(told.join(" "), r#"?so #s !AA== .a .b 4:f(t){\"x\":1.50} 5:g(u)"#);
        assert!(pieces(&Members::read(r#"{"message":"slow"}"#).unwrap()).is_none());
    }

    #[test]
    fn every_reason_has_a_meaning() {
        for (reason, finish) in [
            ("end_turn", Finish::Stop),
            ("tool_use", Finish::Stop),
            ("stop_sequence", Finish::StopSequence),
            ("max_tokens", Finish::Length),
            ("guardrail_intervened", Finish::Filtered),
            ("content_filtered", Finish::Filtered),
            ("malformed_model_output", Finish::Malformed),
            ("malformed_tool_use", Finish::Malformed),
            ("model_context_window_exceeded", Finish::ContextFull),
            ("something_new", Finish::Stop),
        ] {
            assert_eq!(Finish::of(reason), finish, "{reason}");
        }
    }
}
