//! What an answer, or an event of its stream, says.

use std::borrow::Cow;

use crate::dialect::raw::{Members, Raw};

/// The first candidate of an answer; the others do not exist for Messages clients.
pub fn candidate<'a>(answer: &Members<'a>) -> Option<Members<'a>> {
    let candidates = answer.get("candidates")?.elements()?;
    let mut all = candidates.into_iter().filter_map(Raw::members);
    all.find(|candidate| candidate.count("index").unwrap_or(0) == 0)
}

/// Why the prompt was blocked, where it was.
pub fn block_reason<'a>(answer: &Members<'a>) -> Option<Cow<'a, str>> {
    answer.members("promptFeedback")?.string("blockReason")
}

/// A part of a candidate's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// What it holds.
    pub kind: PartKind<'a>,
    /// The signature that must come back with it; never empty.
    pub signature: Option<Cow<'a, str>>,
}

/// What a part holds. Texts are escaped and may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartKind<'a> {
    /// The answer.
    Text(&'a str),
    /// A summary of the model's thoughts.
    Thought(&'a str),
    /// A call of a function.
    Call(Call<'a>),
    /// Anything else: results of Google's own tools, pictures, parts yet to be invented.
    Other,
}

/// A call of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// Its id; empty where there is none.
    pub id: Cow<'a, str>,
    /// The function's name.
    pub name: Cow<'a, str>,
    /// The arguments: an object, or nothing.
    pub arguments: Option<Raw<'a>>,
}

/// The parts of a candidate, in order.
pub fn parts<'a>(candidate: &Members<'a>) -> Vec<Part<'a>> {
    let content = candidate.members("content").unwrap_or_default();
    let listed = content.get("parts").and_then(Raw::elements).unwrap_or_default();
    listed
        .into_iter()
        .filter_map(Raw::members)
        .map(|part| read(&part))
        .collect()
}

fn read<'a>(part: &Members<'a>) -> Part<'a> {
    // Gemini answers in camel case; both spellings name the same field in its JSON mapping.
    let signature = part
        .string("thoughtSignature")
        .or_else(|| part.string("thought_signature"))
        .filter(|signature| !signature.is_empty());
    let call = part
        .members("functionCall")
        .or_else(|| part.members("function_call"));
    let text = part.get("text").and_then(Raw::escaped);
    let kind = match (call, text) {
        (Some(call), _) => PartKind::Call(Call {
            id: call.string("id").unwrap_or_default(),
            name: call.string("name").unwrap_or_default(),
            arguments: call.get("args").filter(|args| args.text().starts_with('{')),
        }),
        (None, Some(text)) if part.get("thought").and_then(Raw::boolean) == Some(true) => {
            PartKind::Thought(text)
        }
        (None, Some(text)) => PartKind::Text(text),
        // A signature may come by itself, behind the text that it belongs to.
        (None, None) if part.iter().all(|(name, _)| is_mark(name)) => PartKind::Text(""),
        (None, None) => PartKind::Other,
    };
    Part { kind, signature }
}

/// Whether a member of a part only marks it.
fn is_mark(name: &str) -> bool {
    matches!(name, "thought" | "thoughtSignature" | "thought_signature")
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// By itself.
    Stop,
    /// At the limit of tokens.
    Length,
    /// A filter took the rest away.
    Filtered,
    /// The model wrote what Gemini could not read.
    Malformed,
}

impl Finish {
    /// The meaning of `finishReason`; `None` where the answer has not ended.
    pub fn of(reason: &str) -> Option<Self> {
        Some(match reason {
            "" | "FINISH_REASON_UNSPECIFIED" => return None,
            "MAX_TOKENS" => Self::Length,
            "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "MODEL_ARMOR"
            | "LANGUAGE" => Self::Filtered,
            image if image.starts_with("IMAGE_") => Self::Filtered,
            "MALFORMED_FUNCTION_CALL"
            | "UNEXPECTED_TOOL_CALL"
            | "TOO_MANY_TOOL_CALLS"
            | "MISSING_THOUGHT_SIGNATURE"
            | "MALFORMED_RESPONSE"
            | "OTHER" => Self::Malformed,
            _ => Self::Stop,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(parts_json: &str) -> String {
        let text = format!(r#"{{"candidates":[{{"content":{{"parts":{parts_json}}}}}]}}"#);
        let answer = Members::read(&text).unwrap();
        let candidate = candidate(&answer).unwrap();
        let shown = parts(&candidate).into_iter().map(|part| {
            let mark = part.signature.map(|s| format!("#{s}")).unwrap_or_default();
            match part.kind {
                PartKind::Text(text) => format!(".{text}{mark}"),
                PartKind::Thought(text) => format!("?{text}{mark}"),
                PartKind::Call(call) => {
                    let arguments = call.arguments.map_or("", Raw::text);
                    format!("{}({}){arguments}{mark}", call.name, call.id)
                }
                PartKind::Other => format!("!{mark}"),
            }
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn parts_are_told_apart() {
        let check = |parts: &str, expected: &str| assert_eq!(seen(parts), expected, "{parts}");
        check(r#"[{"text":"a\nb"},{"text":"t","thought":true}]"#, r".a\nb ?t");
        check(
            r#"[{"functionCall":{"id":"1","name":"f","args":{"x":1.50}},"thoughtSignature":"s"}]"#,
            r#"f(1){"x":1.50}#s"#,
        );
        check(
            r#"[{"functionCall":{"name":"f"}},{"functionCall":{"name":"g","args":null}}]"#,
            "f() g()",
        );
        check(
            r#"[{"text":"","thoughtSignature":"s"},{"thought_signature":"t"}]"#,
            ".#s .#t",
        );
        check(r#"[{"inlineData":{"data":""}},{"executableCode":{}},7]"#, "! !");
        check("null", "");
    }

    #[test]
    fn only_the_first_candidate_counts() {
        let answer = Members::read(r#"{"candidates":[{"index":1,"x":1},{"index":0,"x":2}]}"#).unwrap();
        assert_eq!(candidate(&answer).unwrap().count("x"), Some(2));
        assert!(candidate(&Members::read(r#"{"candidates":[]}"#).unwrap()).is_none());
        let blocked = Members::read(r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#).unwrap();
        assert_eq!(block_reason(&blocked).unwrap(), "SAFETY");
    }

    #[test]
    fn every_reason_has_a_meaning() {
        for (reason, finish) in [
            ("", None),
            ("STOP", Some(Finish::Stop)),
            ("MAX_TOKENS", Some(Finish::Length)),
            ("SAFETY", Some(Finish::Filtered)),
            ("RECITATION", Some(Finish::Filtered)),
            ("IMAGE_PROHIBITED_CONTENT", Some(Finish::Filtered)),
            ("MALFORMED_FUNCTION_CALL", Some(Finish::Malformed)),
            ("SOMETHING_NEW", Some(Finish::Stop)),
        ] {
            assert_eq!(Finish::of(reason), finish, "{reason}");
        }
    }
}
