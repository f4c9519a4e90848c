//! Whole Messages answers to chat completions.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};

use crate::dialect::anthropic::event::put_count;
use crate::dialect::openai::finish::finish_reason;
use crate::dialect::openai::usage::put_usage;
use crate::dialect::raw::{Members, Raw, compact, escape, put_string};
use crate::pipeline::translate::answer::fault::Fault;
use crate::pipeline::translate::answer::messages::messages_json;
use crate::pipeline::translate::answer::observed::Outcome;
use crate::pipeline::translate::answer::openai::bytes_stream::DONE;
use crate::pipeline::translate::answer::openai::chunks::{Chunks, put_sealed, put_signed};
use crate::pipeline::translate::answer::openai::context::{CompletionContext, CompletionName};
use crate::types::usage::Usage;

/// The content of a message, sorted by where chat completions have it. Texts are escaped.
#[derive(Default)]
struct Content<'a> {
    text: String,
    reasoning: String,
    refusal: Option<Cow<'a, str>>,
    details: Vec<Detail<'a>>,
    calls: Vec<Members<'a>>,
    finish: &'static str,
}

/// Thinking that has to come back as it is.
enum Detail<'a> {
    Signed(&'a str, Cow<'a, str>),
    Sealed(Cow<'a, str>),
}

impl<'a> Content<'a> {
    fn of(message: &Members<'a>) -> Self {
        let mut content = Self::default();
        let blocks = message.get("content").and_then(Raw::elements).unwrap_or_default();
        for block in blocks.into_iter().filter_map(Raw::members) {
            let text = |key| block.get(key).and_then(Raw::escaped).unwrap_or_default();
            match block.string("type").unwrap_or_default().as_ref() {
                "text" => content.text.push_str(text("text")),
                "thinking" => {
                    content.reasoning.push_str(text("thinking"));
                    if let Some(signature) = block.string("signature").filter(|text| !text.is_empty()) {
                        content.details.push(Detail::Signed(text("thinking"), signature));
                    }
                }
                "redacted_thinking" => {
                    content.details.extend(block.string("data").map(Detail::Sealed));
                }
                "tool_use" => content.calls.push(block),
                _ => {}
            }
        }
        let stop = message.string("stop_reason").unwrap_or_default();
        content.finish = finish_reason(&stop, !content.calls.is_empty());
        content.refusal = message
            .members("stop_details")
            .and_then(|details| details.string("explanation"));
        content
    }
}

/// The arguments of a call, as JSON.
fn arguments<'a>(call: &Members<'a>) -> Cow<'a, str> {
    call.get("input").map_or(Cow::Borrowed("{}"), compact)
}

/// Tells a message, the body of an answer with status 200, as a completion.
///
/// # Errors
/// The body is no message.
pub fn completion_json(
    body: &Bytes,
    context: &CompletionContext,
    name: &CompletionName,
) -> Result<Bytes, Fault> {
    let (message, usage) = read(body)?;
    let content = Content::of(&message);
    let mut out = BytesMut::with_capacity(body.len() + 256);
    out.put_slice(br#"{"id":"#);
    put_string(&mut out, &name.id);
    out.put_slice(br#","object":"chat.completion","created":"#);
    put_count(&mut out, name.created);
    out.put_slice(br#","model":"#);
    put_string(&mut out, context.requested_model.as_str());
    out.put_slice(br#","choices":[{"index":0,"message":{"role":"assistant","content":"#);
    put_optional(&mut out, &content.text);
    out.put_slice(br#","refusal":"#);
    match &content.refusal {
        Some(refusal) => put_string(&mut out, refusal),
        None => out.put_slice(b"null"),
    }
    if !content.reasoning.is_empty() {
        out.put_slice(br#","reasoning_content":"#);
        put_optional(&mut out, &content.reasoning);
    }
    put_details(&mut out, &content.details);
    put_calls(&mut out, &content.calls, context);
    out.put_slice(br#"},"logprobs":null,"finish_reason":"#);
    put_string(&mut out, content.finish);
    out.put_slice(br#"}],"usage":"#);
    put_usage(&mut out, &usage);
    out.put_u8(b'}');
    Ok(out.freeze())
}

/// The same as the chunks of a stream, for a client that asked for one.
///
/// # Errors
/// The body is no message.
pub fn completion_chunks(
    body: &Bytes,
    context: &CompletionContext,
    name: &CompletionName,
) -> Result<Bytes, Fault> {
    let (message, usage) = read(body)?;
    let content = Content::of(&message);
    let mut out = BytesMut::with_capacity(body.len() + 1024);
    let chunks = Chunks::new(context, name);
    chunks.role(&mut out);
    chunks.text(&mut out, "reasoning_content", &content.reasoning);
    for (nth, detail) in (0..).zip(&content.details) {
        match detail {
            Detail::Signed(text, signature) => chunks.signed(&mut out, nth, text, signature),
            Detail::Sealed(data) => chunks.sealed(&mut out, nth, data),
        }
    }
    chunks.text(&mut out, "content", &content.text);
    for (nth, call) in (0..).zip(&content.calls) {
        let name = call.string("name").unwrap_or_default();
        let id = call.string("id").unwrap_or_default();
        chunks.call(&mut out, nth, &id, context.names.restored(&name));
        chunks.arguments(&mut out, nth, &escape(&arguments(call)));
    }
    if let Some(refusal) = &content.refusal {
        chunks.text(&mut out, "refusal", &escape(refusal));
    }
    chunks.finish(&mut out, content.finish);
    chunks.usage(&mut out, &usage);
    out.put_slice(DONE);
    Ok(out.freeze())
}

/// The members of a message and its usage.
pub(super) fn read(body: &Bytes) -> Result<(Members<'_>, Usage), Fault> {
    let (_, observed) = messages_json(body, None);
    let message = std::str::from_utf8(body).ok().and_then(Members::read);
    let message = message.filter(|_| observed.outcome == Outcome::Complete);
    let message = message.ok_or_else(|| Fault::broken("the upstream's answer is no message"))?;
    Ok((message, observed.usage.unwrap_or_default()))
}

/// The text between quotes, or `null`.
fn put_optional(out: &mut BytesMut, escaped: &str) {
    if escaped.is_empty() {
        out.put_slice(b"null");
    } else {
        out.put_u8(b'"');
        out.put_slice(escaped.as_bytes());
        out.put_u8(b'"');
    }
}

fn put_details(out: &mut BytesMut, details: &[Detail<'_>]) {
    for (nth, detail) in (0..).zip(details) {
        out.put_slice(if nth == 0 {
            br#","reasoning_details":["#
        } else {
            b","
        });
        match detail {
            Detail::Signed(text, signature) => put_signed(out, nth, text, signature),
            Detail::Sealed(data) => put_sealed(out, nth, data),
        }
    }
    if !details.is_empty() {
        out.put_u8(b']');
    }
}

fn put_calls(out: &mut BytesMut, calls: &[Members<'_>], context: &CompletionContext) {
    for (nth, call) in calls.iter().enumerate() {
        out.put_slice(if nth == 0 { br#","tool_calls":["# } else { b"," });
        out.put_slice(br#"{"id":"#);
        put_string(out, &call.string("id").unwrap_or_default());
        out.put_slice(br#","type":"function","function":{"name":"#);
        let name = call.string("name").unwrap_or_default();
        put_string(out, context.names.restored(&name));
        out.put_slice(br#","arguments":"#);
        put_string(out, &arguments(call));
        out.put_slice(b"}}");
    }
    if !calls.is_empty() {
        out.put_u8(b']');
    }
}
