//! Tools and the choice between them.

use std::borrow::Cow;

use bytes::BufMut;

use crate::dialect::raw::{Members, Raw, compact, put_string};
use crate::pipeline::translate::dropped::Place;
use crate::pipeline::translate::request::{Untranslatable, refuse};
use crate::pipeline::translate::to_messages::Draft;

/// A function that the model may call.
pub(crate) struct Tool<'a> {
    pub(crate) name: Cow<'a, str>,
    /// What it does, escaped.
    pub(crate) description: Option<Cow<'a, str>>,
    /// What it takes, where the client says it.
    pub(crate) schema: Option<Raw<'a>>,
}

impl<'a> Tool<'a> {
    /// The function that these members describe, as both of OpenAI's APIs do it.
    pub(crate) fn of_function(name: Cow<'a, str>, function: &Members<'a>) -> Self {
        let description = function.get("description").and_then(Raw::escaped);
        let schema = function.get("parameters");
        Self {
            name,
            description: description.map(Cow::Borrowed),
            schema: schema.filter(|schema| schema.text().starts_with('{')),
        }
    }
}

/// Writes the tools and the choice between them. Without tools there is no choice.
pub(crate) fn put(
    draft: &mut Draft<'_>,
    request: &Members<'_>,
    tools: &[Tool<'_>],
    is_thinking: bool,
) -> Result<(), Untranslatable> {
    let choice = Choice::of(request)?;
    let allowed = |tool: &&Tool<'_>| {
        let name = tool.name.as_ref();
        choice.only.is_empty() || choice.only.iter().any(|only| only == name)
    };
    let offered: Vec<_> = tools.iter().filter(allowed).collect();
    if offered.is_empty() {
        return Ok(());
    }
    draft.key("tools");
    for (index, tool) in offered.into_iter().enumerate() {
        draft.out.put_u8(if index == 0 { b'[' } else { b',' });
        put_tool(draft, tool);
    }
    draft.out.put_u8(b']');
    let is_forced = matches!(choice.kind, Kind::Any | Kind::Tool(_));
    let kind = if is_forced && is_thinking {
        let place = Place::Body.member("tool_choice");
        draft.losses.loss(place, "not while the model thinks");
        Kind::Auto
    } else {
        choice.kind
    };
    if matches!(kind, Kind::Unsaid) && !choice.one_at_a_time {
        return Ok(());
    }
    draft.key("tool_choice");
    let word = match &kind {
        Kind::Unsaid | Kind::Auto => "auto",
        Kind::Any => "any",
        Kind::None => "none",
        Kind::Tool(_) => "tool",
    };
    draft.out.put_slice(br#"{"type":"#);
    put_string(&mut draft.out, word);
    if let Kind::Tool(name) = &kind {
        draft.out.put_slice(br#","name":"#);
        put_string(&mut draft.out, draft.names.sent(name));
    }
    if choice.one_at_a_time && !matches!(kind, Kind::None) {
        draft.out.put_slice(br#","disable_parallel_tool_use":true"#);
    }
    draft.out.put_u8(b'}');
    Ok(())
}

fn put_tool(draft: &mut Draft<'_>, tool: &Tool<'_>) {
    draft.out.put_slice(br#"{"name":"#);
    put_string(&mut draft.out, draft.names.sent(&tool.name));
    if let Some(description) = &tool.description {
        draft.out.put_slice(br#","description":""#);
        draft.out.put_slice(description.as_bytes());
        draft.out.put_u8(b'"');
    }
    draft.out.put_slice(br#","input_schema":"#);
    match tool.schema {
        Some(schema) => {
            let schema = compact(schema);
            let is_typed = Members::read(&schema).is_some_and(|schema| schema.contains("type"));
            match schema.strip_prefix('{').filter(|_| !is_typed) {
                // The type of a schema may be left out in chat completions only.
                Some("}") => draft.out.put_slice(br#"{"type":"object"}"#),
                Some(rest) => {
                    draft.out.put_slice(br#"{"type":"object","#);
                    draft.out.put_slice(rest.as_bytes());
                }
                None => draft.out.put_slice(schema.as_bytes()),
            }
        }
        None => draft.out.put_slice(br#"{"type":"object","properties":{}}"#),
    }
    draft.out.put_u8(b'}');
}

/// Which tools are to be called.
struct Choice<'a> {
    kind: Kind<'a>,
    /// Where not empty: the only ones that are offered.
    only: Vec<Cow<'a, str>>,
    one_at_a_time: bool,
}

enum Kind<'a> {
    Unsaid,
    Auto,
    Any,
    None,
    Tool(Cow<'a, str>),
}

impl<'a> Choice<'a> {
    fn of(request: &Members<'a>) -> Result<Self, Untranslatable> {
        let mut choice = Self {
            kind: Kind::Unsaid,
            only: Vec::new(),
            one_at_a_time: request.get("parallel_tool_calls").and_then(Raw::boolean) == Some(false),
        };
        let (key, value) = match (request.get("tool_choice"), request.get("function_call")) {
            (Some(value), _) => ("tool_choice", value),
            (None, Some(value)) => ("function_call", value),
            (None, None) => return Ok(choice),
        };
        let place = Place::Body.member(key);
        let unknown = || refuse(place, "none, auto, required, or a function's name is wanted");
        if let Some(word) = value.string() {
            choice.kind = word_kind(&word).ok_or_else(unknown)?;
            return Ok(choice);
        }
        let members = value.members().ok_or_else(unknown)?;
        let sort = members.string("type").unwrap_or(Cow::Borrowed("function"));
        // The Responses API has the fields of this choice beside its type.
        let flat = (sort == "allowed_tools").then(|| members.clone());
        if let Some(allowed) = members.members("allowed_tools").or(flat) {
            let listed = allowed.get("tools").and_then(Raw::elements).unwrap_or_default();
            let named = listed.into_iter().filter_map(Raw::members).filter_map(|tool| {
                let function = tool.members("function").unwrap_or_default();
                function.string("name").or_else(|| tool.string("name"))
            });
            choice.only = named.collect();
            let mode = allowed.string("mode").unwrap_or(Cow::Borrowed("auto"));
            choice.kind = word_kind(&mode).ok_or_else(unknown)?;
            return Ok(choice);
        }
        if !matches!(sort.as_ref(), "function" | "custom") {
            return Err(unknown());
        }
        let function = members.members("function");
        let name = function.unwrap_or(members).string("name").ok_or_else(unknown)?;
        choice.kind = Kind::Tool(name);
        Ok(choice)
    }
}

fn word_kind<'a>(word: &str) -> Option<Kind<'a>> {
    Some(match word {
        "auto" => Kind::Auto,
        "none" => Kind::None,
        "required" | "any" => Kind::Any,
        _ => return None,
    })
}
