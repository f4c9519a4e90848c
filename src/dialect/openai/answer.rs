//! What a chunk, or a whole completion, says about the answer.

use std::borrow::Cow;

use serde::Deserialize;

use crate::dialect::raw::{Members, Raw, compact, escape};

/// Where an upstream puts its reasoning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasoningIn {
    /// `reasoning_content` (DeepSeek, Kimi, Qwen, llama.cpp).
    ReasoningContent,
    /// `reasoning` (OpenRouter, Groq, newer vLLM, Ollama).
    Reasoning,
    /// `<think>…</think>` at the beginning of `content`.
    ThinkTags,
}

/// The first choice of a chunk or completion; the others do not exist for Messages clients.
#[derive(Clone, Debug)]
pub struct Choice<'a> {
    /// All members of the choice.
    pub members: Members<'a>,
    /// Its `delta` or `message`.
    pub body: Members<'a>,
}

impl<'a> Choice<'a> {
    /// The choice with index 0 (or none), with what it carries under `body_key`.
    pub fn first(answer: &Members<'a>, body_key: &str) -> Option<Self> {
        let choices = answer.get("choices")?.elements()?;
        let mut all = choices.into_iter().filter_map(Raw::members);
        let members = all.find(|choice| choice.count("index").unwrap_or(0) == 0)?;
        let body = members.members(body_key).unwrap_or_default();
        Some(Self { members, body })
    }

    /// Why the answer ended, where this says so.
    pub fn finish_reason(&self) -> Option<Cow<'a, str>> {
        self.members
            .string("finish_reason")
            .filter(|reason| !reason.is_empty())
    }

    /// The stop string that ended the text, as vLLM and SGLang report it. (They report token ids, too.)
    pub fn matched_stop(&self) -> Option<Cow<'a, str>> {
        self.members
            .string("stop_reason")
            .or_else(|| self.members.string("matched_stop"))
    }
}

/// A piece of prose, as it stands between its JSON quotes; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Reasoning.
    Thinking(&'a str),
    /// The answer.
    Text(&'a str),
    /// The refusal to answer.
    Refusal(&'a str),
}

/// Hands out the prose of a `delta` or `message`: reasoning first, then content, then refusal.
///
/// Vendors repeat the same reasoning under several names; only the first that holds any counts.
pub fn each_piece<'a>(body: &Members<'a>, reasoning: Option<ReasoningIn>, mut each: impl FnMut(Piece<'a>)) {
    let mut reasoned = false;
    let mut think = |text: &'a str, each: &mut dyn FnMut(Piece<'a>)| {
        reasoned = true;
        each(Piece::Thinking(text));
    };
    let names = match reasoning {
        Some(ReasoningIn::Reasoning) => ["reasoning", "reasoning_content", "thinking"],
        _ => ["reasoning_content", "reasoning", "thinking"],
    };
    if let Some(text) = names.iter().find_map(|name| text_of(body.get(name))) {
        think(text, &mut each);
    } else {
        let details = body
            .get("reasoning_details")
            .and_then(Raw::elements)
            .unwrap_or_default();
        for detail in details.into_iter().filter_map(Raw::members) {
            if let Some(text) = text_of(detail.get("text").or_else(|| detail.get("summary"))) {
                think(text, &mut each);
            }
        }
    }
    let content = body.get("content");
    if let Some(text) = text_of(content) {
        each(Piece::Text(text));
    }
    for part in content
        .and_then(Raw::elements)
        .unwrap_or_default()
        .into_iter()
        .filter_map(Raw::members)
    {
        if let Some(thinking) = part.get("thinking") {
            let nested = thinking
                .elements()
                .unwrap_or_default()
                .into_iter()
                .filter_map(Raw::members);
            let nested = nested.filter_map(|part| text_of(part.get("text")));
            for text in text_of(Some(thinking))
                .into_iter()
                .chain(nested)
                .filter(|_| !reasoned)
            {
                each(Piece::Thinking(text));
            }
        } else if let Some(text) = text_of(part.get("text")) {
            each(Piece::Text(text));
        } else if let Some(text) = text_of(part.get("refusal")) {
            each(Piece::Refusal(text));
        }
    }
    if let Some(text) = text_of(body.get("refusal")) {
        each(Piece::Refusal(text));
    }
}

/// A piece of a tool call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolDelta<'a> {
    /// Which call of the message it belongs to.
    pub index: Option<u64>,
    /// The call's id; empty where absent.
    pub id: Cow<'a, str>,
    /// The tool's name; empty where absent.
    pub name: Cow<'a, str>,
    /// A fragment of the arguments, as it stands between JSON quotes.
    pub arguments: Cow<'a, str>,
}

/// The pieces of tool calls in a `delta` or `message`, in order.
pub fn tool_deltas<'a>(body: &Members<'a>) -> Vec<ToolDelta<'a>> {
    let calls = body.get("tool_calls").and_then(Raw::elements).unwrap_or_default();
    let mut deltas: Vec<_> = calls
        .into_iter()
        .filter_map(Raw::members)
        .map(|call| {
            let function = call.members("function").unwrap_or_default();
            ToolDelta {
                index: call.count("index"),
                id: call.string("id").unwrap_or_default(),
                name: function.string("name").unwrap_or_default(),
                arguments: arguments(function.get("arguments")),
            }
        })
        .collect();
    if let Some(function) = body.members("function_call") {
        deltas.push(ToolDelta {
            index: Some(0),
            id: Cow::Borrowed(""),
            name: function.string("name").unwrap_or_default(),
            arguments: arguments(function.get("arguments")),
        });
    }
    deltas
}

/// Arguments are a string with JSON in it; some vendors send the JSON itself.
fn arguments(value: Option<Raw<'_>>) -> Cow<'_, str> {
    let Some(value) = value else {
        return Cow::Borrowed("");
    };
    match value.escaped() {
        Some(escaped) => Cow::Borrowed(escaped),
        None => Cow::Owned(escape(&compact(value))),
    }
}

fn text_of(value: Option<Raw<'_>>) -> Option<&str> {
    value?.escaped().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(body: &str, reasoning: Option<ReasoningIn>) -> String {
        let mut seen = String::new();
        each_piece(&Members::read(body).unwrap(), reasoning, |piece| {
            let (mark, text) = match piece {
                Piece::Thinking(text) => ('?', text),
                Piece::Text(text) => ('.', text),
                Piece::Refusal(text) => ('!', text),
            };
            seen.push(mark);
            seen.push_str(text);
        });
        seen
    }

    #[test]
    fn prose_comes_in_a_fixed_order_and_reasoning_once() {
        let check = |body, expected: &str| assert_eq!(pieces(body, None), expected, "{body}");
        check(
            r#"{"refusal":"no","content":"a\nb","reasoning_content":"r"}"#,
            r"?r.a\nb!no",
        );
        check(r#"{"content":"","reasoning_content":null,"refusal":""}"#, "");
        check(
            r#"{"reasoning":"r","reasoning_content":"r","reasoning_details":[{"type":"reasoning.text","text":"r"}]}"#,
            "?r",
        );
        check(
            r#"{"reasoning_content":"","reasoning":7,"reasoning_details":[{"type":"reasoning.summary","summary":"s"},
                {"type":"reasoning.encrypted","data":"xx"}]}"#,
            "?s",
        );
        check(
            r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"t"}]},{"type":"text","text":"x"}]}"#,
            "?t.x",
        );
        check(
            r#"{"content":[{"type":"thinking","thinking":"t"},5,{"type":"reference"}],"reasoning":"r"}"#,
            "?r",
        );
        check(r#"{"content":{"odd":1}}"#, "");
        assert_eq!(
            pieces(
                r#"{"reasoning":"a","reasoning_content":"b"}"#,
                Some(ReasoningIn::Reasoning)
            ),
            "?a"
        );
    }

    #[test]
    fn tool_deltas_forgive_what_vendors_do() {
        let body = r#"{"tool_calls":[
            {"index":1,"id":null,"function":{"name":null,"arguments":"{\"a"}},
            {"id":"x","function":{"name":"n","arguments":{ "b" : 1.0 }}},
            {"index":2}, 7]}"#;
        let deltas = tool_deltas(&Members::read(body).unwrap());
        let seen: Vec<_> = deltas
            .iter()
            .map(|d| (d.index, d.id.as_ref(), d.name.as_ref(), d.arguments.as_ref()))
            .collect();
        let expected = [
            (Some(1), "", "", r#"{\"a"#),
            (None, "x", "n", r#"{\"b\":1.0}"#),
            (Some(2), "", "", ""),
        ];
        assert_eq!(seen, expected);
        let legacy = Members::read(r#"{"function_call":{"name":"f","arguments":"{}"}}"#).unwrap();
        assert_eq!(tool_deltas(&legacy).len(), 1);
    }

    #[test]
    fn only_the_first_choice_counts() {
        let chunk = Members::read(
            r#"{"choices":[{"index":1,"delta":{"content":"b"}},{"index":0,"delta":{"content":"a"},
                "finish_reason":"","stop_reason":151643}]}"#,
        )
        .unwrap();
        let choice = Choice::first(&chunk, "delta").unwrap();
        assert_eq!(choice.body.string("content").unwrap(), "a");
        assert!(choice.finish_reason().is_none() && choice.matched_stop().is_none());
        assert!(Choice::first(&Members::read(r#"{"choices":[]}"#).unwrap(), "delta").is_none());
    }
}
