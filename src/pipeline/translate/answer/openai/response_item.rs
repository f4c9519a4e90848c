//! One item of a response's output, from its first event to its last.

use bytes::{BufMut, BytesMut};

use crate::dialect::openai::reasoning;
use crate::dialect::raw::{Members, Raw, escape, put_string, unescape};
use crate::pipeline::translate::answer::openai::kinds::CallKind;
use crate::pipeline::translate::answer::openai::response_events::{ResponseEvents, put_index, put_text};

/// An item in the making.
#[derive(Debug)]
pub(crate) struct Item {
    /// Its id and its place in the output.
    pub(crate) id: String,
    pub(crate) index: u64,
    pub(crate) body: Body,
    /// Its text, its arguments, or what was thought: escaped.
    pub(crate) text: String,
}

/// What an item is.
#[derive(Debug)]
pub(crate) enum Body {
    /// A message with one part, of which nothing was told before its text came.
    Message(Part),
    /// Thinking, with the signature that came so far.
    Thinking(String),
    /// Thinking that only its maker can read.
    Sealed(String),
    /// A call with its id at the model, and the name that the model knows.
    Call {
        call_id: String,
        name: String,
        kind: Option<CallKind>,
    },
}

/// The part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Text,
    Refusal,
}

/// Whether an item was told to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    InProgress,
    Completed,
    /// The answer was cut in it.
    Incomplete,
}

impl Told {
    const fn word(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete => "incomplete",
        }
    }
}

impl Part {
    /// The part's type and the key of its text.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Text => ("output_text", "text"),
            Self::Refusal => ("refusal", "refusal"),
        }
    }

    fn put(self, out: &mut BytesMut, escaped: &str) {
        let (kind, key) = self.words();
        out.put_slice(br#"{"type":"#);
        put_string(out, kind);
        if self == Self::Text {
            out.put_slice(br#","annotations":[],"logprobs":[]"#);
        }
        put_text(out, key, escaped);
        out.put_u8(b'}');
    }
}

impl Item {
    /// Tells that the item begins. A message and thinking show themselves with their first text.
    pub(crate) fn begin(&self, events: &mut ResponseEvents, out: &mut BytesMut) {
        match self.body {
            Body::Message(_) => {}
            _ => self.added(events, out),
        }
    }

    fn added(&self, events: &mut ResponseEvents, out: &mut BytesMut) {
        events.put(out, "response.output_item.added", |out| {
            put_index(out, "output_index", self.index);
            out.put_slice(br#","item":"#);
            self.put(out, Told::InProgress);
        });
    }

    /// Tells a piece of it, escaped.
    pub(crate) fn grow(&mut self, piece: &str, events: &mut ResponseEvents, out: &mut BytesMut) {
        if piece.is_empty() {
            return;
        }
        if self.text.is_empty() {
            self.open(events, out);
        }
        self.text.push_str(piece);
        let kind = match &self.body {
            Body::Message(Part::Text) => "response.output_text.delta",
            Body::Message(Part::Refusal) => "response.refusal.delta",
            Body::Thinking(_) => "response.reasoning_summary_text.delta",
            // What the model wraps up for us is unwrapped when it is there.
            Body::Call {
                kind: Some(CallKind::Custom),
                ..
            }
            | Body::Sealed(_) => return,
            Body::Call { .. } => "response.function_call_arguments.delta",
        };
        events.put(out, kind, |out| {
            self.put_place(out);
            put_text(out, "delta", piece);
            if matches!(self.body, Body::Message(Part::Text)) {
                out.put_slice(br#","logprobs":[]"#);
            }
        });
    }

    /// Tells what stands before the first piece of text.
    fn open(&self, events: &mut ResponseEvents, out: &mut BytesMut) {
        match self.body {
            Body::Message(part) => {
                self.added(events, out);
                events.put(out, "response.content_part.added", |out| {
                    self.put_place(out);
                    out.put_slice(br#","part":"#);
                    part.put(out, "");
                });
            }
            Body::Thinking(_) => events.put(out, "response.reasoning_summary_part.added", |out| {
                self.put_place(out);
                out.put_slice(br#","part":{"type":"summary_text","text":""}"#);
            }),
            Body::Sealed(_) | Body::Call { .. } => {}
        }
    }

    /// Tells that the item is over, and adds it to the output, if it is one at all.
    pub(crate) fn finish(
        &mut self,
        told: Told,
        events: &mut ResponseEvents,
        out: &mut BytesMut,
        output: &mut Vec<u8>,
    ) -> bool {
        match &self.body {
            Body::Message(_) if self.text.is_empty() => return false,
            Body::Message(part) => self.finish_part(*part, events, out),
            Body::Thinking(_) if !self.text.is_empty() => self.finish_summary(events, out),
            Body::Thinking(_) | Body::Sealed(_) => {}
            Body::Call { .. } => self.finish_call(told, events, out),
        }
        let mut item = BytesMut::with_capacity(self.text.len() + 256);
        self.put(&mut item, told);
        events.put(out, "response.output_item.done", |out| {
            put_index(out, "output_index", self.index);
            out.put_slice(br#","item":"#);
            out.put_slice(&item);
        });
        if !output.is_empty() {
            output.put_u8(b',');
        }
        output.put_slice(&item);
        true
    }

    fn finish_part(&self, part: Part, events: &mut ResponseEvents, out: &mut BytesMut) {
        let (kind, key) = match part {
            Part::Text => ("response.output_text.done", "text"),
            Part::Refusal => ("response.refusal.done", "refusal"),
        };
        events.put(out, kind, |out| {
            self.put_place(out);
            put_text(out, key, &self.text);
            if part == Part::Text {
                out.put_slice(br#","logprobs":[]"#);
            }
        });
        events.put(out, "response.content_part.done", |out| {
            self.put_place(out);
            out.put_slice(br#","part":"#);
            part.put(out, &self.text);
        });
    }

    fn finish_summary(&self, events: &mut ResponseEvents, out: &mut BytesMut) {
        events.put(out, "response.reasoning_summary_text.done", |out| {
            self.put_place(out);
            put_text(out, "text", &self.text);
        });
        events.put(out, "response.reasoning_summary_part.done", |out| {
            self.put_place(out);
            out.put_slice(br#","part":{"type":"summary_text""#);
            put_text(out, "text", &self.text);
            out.put_u8(b'}');
        });
    }

    fn finish_call(&mut self, told: Told, events: &mut ResponseEvents, out: &mut BytesMut) {
        let Body::Call { name, kind, .. } = &self.body else {
            return;
        };
        if kind == &Some(CallKind::Custom) {
            self.text = free_text(&self.text);
            for (event, key) in [
                ("response.custom_tool_call_input.delta", "delta"),
                ("response.custom_tool_call_input.done", "input"),
            ] {
                events.put(out, event, |out| {
                    self.put_place(out);
                    put_text(out, key, &self.text);
                });
            }
            return;
        }
        let (name, is_cut) = (name.clone(), told == Told::Incomplete);
        if self.text.is_empty() && !is_cut {
            self.grow("{}", events, out);
        }
        events.put(out, "response.function_call_arguments.done", |out| {
            self.put_place(out);
            put_text(out, "arguments", &self.text);
            out.put_slice(br#","name":"#);
            put_string(out, &name);
        });
    }

    /// Where in the output an event belongs.
    fn put_place(&self, out: &mut BytesMut) {
        put_text(out, "item_id", &self.id);
        put_index(out, "output_index", self.index);
        match self.body {
            Body::Message(_) => put_index(out, "content_index", 0),
            Body::Thinking(_) => put_index(out, "summary_index", 0),
            Body::Sealed(_) | Body::Call { .. } => {}
        }
    }

    /// Writes the item as far as it came.
    fn put(&self, out: &mut BytesMut, told: Told) {
        let has_text = told != Told::InProgress && !self.text.is_empty();
        let kind = match &self.body {
            Body::Message(_) => "message",
            Body::Thinking(_) | Body::Sealed(_) => "reasoning",
            Body::Call {
                kind: Some(CallKind::Custom),
                ..
            } => "custom_tool_call",
            Body::Call { .. } => "function_call",
        };
        out.put_slice(br#"{"type":"#);
        put_string(out, kind);
        put_text(out, "id", &self.id);
        match &self.body {
            Body::Message(part) => {
                out.put_slice(br#","role":"assistant","status":"#);
                put_string(out, told.word());
                out.put_slice(br#","content":["#);
                if has_text {
                    part.put(out, &self.text);
                }
                out.put_u8(b']');
            }
            Body::Thinking(signature) => {
                out.put_slice(br#","summary":["#);
                if has_text {
                    out.put_slice(br#"{"type":"summary_text""#);
                    put_text(out, "text", &self.text);
                    out.put_u8(b'}');
                }
                out.put_u8(b']');
                let signature = Some(signature).filter(|text| told != Told::InProgress && !text.is_empty());
                put_sealed(
                    out,
                    signature.map(|signature| {
                        let text = unescape(&self.text).unwrap_or_default();
                        reasoning::signed(&text, signature)
                    }),
                );
            }
            Body::Sealed(data) => {
                out.put_slice(br#","summary":[]"#);
                put_sealed(out, Some(reasoning::sealed(data)));
            }
            Body::Call { call_id, name, kind } => {
                out.put_slice(br#","status":"#);
                put_string(out, told.word());
                out.put_slice(br#","call_id":"#);
                put_string(out, call_id);
                put_name(out, name, kind.as_ref());
                let key = if kind == &Some(CallKind::Custom) {
                    "input"
                } else {
                    "arguments"
                };
                put_text(out, key, if has_text { &self.text } else { "" });
            }
        }
        out.put_u8(b'}');
    }
}

fn put_sealed(out: &mut BytesMut, content: Option<String>) {
    out.put_slice(br#","encrypted_content":"#);
    match content {
        Some(content) => put_string(out, &content),
        None => out.put_slice(b"null"),
    }
}

fn put_name(out: &mut BytesMut, name: &str, kind: Option<&CallKind>) {
    let (namespace, name) = match kind {
        Some(CallKind::Namespaced { namespace, name }) => (Some(namespace), name.as_str()),
        Some(CallKind::Custom) | None => (None, name),
    };
    out.put_slice(br#","name":"#);
    put_string(out, name);
    if let Some(namespace) = namespace {
        out.put_slice(br#","namespace":"#);
        put_string(out, namespace);
    }
}

/// The text, escaped, that a model wrapped up in arguments, escaped. Whatever is no such wrapping is the
/// text itself.
fn free_text(arguments: &str) -> String {
    let Some(text) = unescape(arguments) else {
        return arguments.to_owned();
    };
    let wrapped = Members::read(&text);
    let input = wrapped.as_ref().and_then(|members| members.get("input"));
    match input.and_then(Raw::escaped) {
        Some(input) => input.to_owned(),
        None => escape(&text),
    }
}
