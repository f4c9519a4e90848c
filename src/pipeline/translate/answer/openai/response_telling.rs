//! Messages events, told in events of the Responses API: every block becomes an item.
//!
//! An item is told to be over when what comes next is known, because only then it is known whether the
//! answer was cut in it.

use std::borrow::Cow;

use bytes::BytesMut;

use crate::dialect::openai::error::response_code;
use crate::dialect::raw::{Members, Raw, compact, escape};
use crate::pipeline::translate::answer::openai::context::{ResponseContext, ResponseName};
use crate::pipeline::translate::answer::openai::response_events::{ResponseEvents, Status};
use crate::pipeline::translate::answer::openai::response_item::{Body, Item, Part, Told};
use crate::pipeline::translate::answer::told::MessageEvent;
use crate::types::usage::Usage;

/// What has been told so far.
#[derive(Debug)]
pub(crate) struct ResponseTelling {
    context: ResponseContext,
    name: ResponseName,
    events: ResponseEvents,
    has_begun: bool,
    /// The item that grows, or that is over without anybody knowing how.
    item: Option<Item>,
    /// The input of a call, escaped, where it came with the start of its block.
    input: Option<String>,
    /// The items that are over, a list without its brackets.
    output: Vec<u8>,
    items: u64,
    stop: Option<String>,
    explanation: Option<String>,
}

impl ResponseTelling {
    /// Nothing told yet.
    pub(crate) fn new(context: ResponseContext, name: ResponseName) -> Self {
        Self {
            events: ResponseEvents::new(&context, &name),
            context,
            name,
            has_begun: false,
            item: None,
            input: None,
            output: Vec::new(),
            items: 0,
            stop: None,
            explanation: None,
        }
    }

    /// The bytes that are held, because the last event shows the whole response.
    pub(crate) fn held_bytes(&self) -> usize {
        self.output.len() + self.item.as_ref().map_or(0, |item| item.text.len())
    }

    /// Tells an event. `usage` is what is known of it by now.
    pub(crate) fn tell(&mut self, event: &MessageEvent<'_>, usage: Option<Usage>, out: &mut BytesMut) {
        // Whatever an upstream leaves out, clients get a beginning.
        self.begin(out);
        match event {
            MessageEvent::Start => {}
            MessageEvent::BlockStart(block) => {
                self.settle(Told::Completed, out);
                self.start(block, out);
            }
            MessageEvent::BlockDelta(delta) => self.delta(delta, out),
            MessageEvent::BlockStop => self.put_input(out),
            MessageEvent::Delta(delta) => {
                self.remember_stop(delta);
                let told = if self.is_cut() {
                    Told::Incomplete
                } else {
                    Told::Completed
                };
                self.settle(told, out);
            }
            MessageEvent::Stop => {
                self.settle(Told::Completed, out);
                self.explain(out);
                let status = self.status(usage);
                self.events.put_state(out, status.event(), &status, &self.output);
            }
            MessageEvent::Error(kind, message) => {
                let status = Status::Failed(response_code(*kind, message), message);
                self.events.put_state(out, status.event(), &status, &self.output);
            }
        }
    }

    /// The whole response, when everything was told but its end.
    pub(crate) fn whole(&mut self, usage: Usage) -> BytesMut {
        let mut told = BytesMut::new();
        self.settle(Told::Completed, &mut told);
        self.explain(&mut told);
        told.clear();
        let status = self.status(Some(usage));
        self.events.put_response(&mut told, &status, &self.output);
        told
    }

    fn begin(&mut self, out: &mut BytesMut) {
        if !self.has_begun {
            self.has_begun = true;
            for kind in ["response.created", "response.in_progress"] {
                self.events.put_state(out, kind, &Status::InProgress, b"");
            }
        }
    }

    fn start(&mut self, block: &Members<'_>, out: &mut BytesMut) {
        let text = |key| block.get(key).and_then(Raw::escaped).unwrap_or_default();
        let string = |key| block.string(key).unwrap_or_default().into_owned();
        let (prefix, body, first) = match block.string("type").unwrap_or_default().as_ref() {
            "text" => ("msg_", Body::Message(Part::Text), text("text")),
            "thinking" => ("rs_", Body::Thinking(string("signature")), text("thinking")),
            "redacted_thinking" => ("rs_", Body::Sealed(string("data")), ""),
            "tool_use" => {
                let input = block.get("input").map_or(Cow::Borrowed("{}"), compact);
                self.input = (input != "{}").then(|| escape(&input));
                let name = self.context.names.restored(&string("name")).to_owned();
                let kind = self.context.kinds.of(&name).cloned();
                let body = Body::Call {
                    call_id: string("id"),
                    name,
                    kind,
                };
                ("fc_", body, "")
            }
            // Nobody asked for what only Anthropic runs, and the Responses API has no words for it.
            _ => return,
        };
        let mut item = Item {
            id: format!("{prefix}{}{:04x}", self.name.id, self.items),
            index: self.items,
            body,
            text: String::new(),
        };
        item.begin(&mut self.events, out);
        item.grow(first, &mut self.events, out);
        self.item = Some(item);
    }

    fn delta(&mut self, delta: &Members<'_>, out: &mut BytesMut) {
        let Some(item) = &mut self.item else { return };
        let text = |key| delta.get(key).and_then(Raw::escaped).unwrap_or_default();
        let piece = match &mut item.body {
            Body::Message(_) => text("text"),
            Body::Thinking(signature) => {
                if let Some(told) = delta.string("signature") {
                    *signature = told.into_owned();
                }
                text("thinking")
            }
            Body::Call { .. } => text("partial_json"),
            Body::Sealed(_) => "",
        };
        item.grow(piece, &mut self.events, out);
    }

    /// The block is over: an input that came with its start is told, unless it came in pieces, too.
    fn put_input(&mut self, out: &mut BytesMut) {
        let (Some(input), Some(item)) = (self.input.take(), &mut self.item) else {
            return;
        };
        if item.text.is_empty() {
            item.grow(&input, &mut self.events, out);
        }
    }

    /// Tells that the last item is over.
    fn settle(&mut self, told: Told, out: &mut BytesMut) {
        self.put_input(out);
        let Some(mut item) = self.item.take() else { return };
        if item.finish(told, &mut self.events, out, &mut self.output) {
            self.items += 1;
        }
    }

    fn remember_stop(&mut self, delta: &Members<'_>) {
        if let Some(reason) = delta.string("stop_reason") {
            let details = delta.members("stop_details");
            self.stop = Some(reason.into_owned());
            self.explanation = details.and_then(|details| Some(details.string("explanation")?.into_owned()));
        }
    }

    fn is_cut(&self) -> bool {
        let stop = self.stop.as_deref();
        stop.is_some_and(|stop| matches!(stop, "max_tokens" | "model_context_window_exceeded"))
    }

    /// Tells why the model refused, where it says so.
    fn explain(&mut self, out: &mut BytesMut) {
        if let Some(explanation) = self.explanation.take() {
            let mut item = Item {
                id: format!("msg_{}{:04x}", self.name.id, self.items),
                index: self.items,
                body: Body::Message(Part::Refusal),
                text: String::new(),
            };
            item.grow(&escape(&explanation), &mut self.events, out);
            self.item = Some(item);
            self.settle(Told::Completed, out);
        }
    }

    fn status(&self, usage: Option<Usage>) -> Status<'static> {
        let usage = usage.unwrap_or_default();
        match self.stop.as_deref() {
            Some("refusal") => Status::Incomplete("content_filter", usage),
            _ if self.is_cut() => Status::Incomplete("max_output_tokens", usage),
            _ => Status::Completed(usage),
        }
    }
}
