//! Messages events, told in chat-completion chunks.

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};

use crate::dialect::openai::error::put_event;
use crate::dialect::openai::finish::finish_reason;
use crate::dialect::raw::{Members, Raw, compact, escape};
use crate::pipeline::translate::answer::openai::bytes_stream::DONE;
use crate::pipeline::translate::answer::openai::chunks::Chunks;
use crate::pipeline::translate::answer::openai::context::{CompletionContext, CompletionName};
use crate::pipeline::translate::answer::told::MessageEvent;
use crate::types::usage::Usage;

/// The most text of a thinking block that is kept to be signed; of a longer one only the text is told.
const SIGNED_BYTES_MAX: usize = 1 << 20;

/// What has been told so far.
#[derive(Debug)]
pub(crate) struct CompletionTelling {
    context: CompletionContext,
    chunks: Chunks,
    block: Block,
    calls: u64,
    details: u64,
    stop: Option<Stop>,
}

/// The block that is open.
#[derive(Debug)]
enum Block {
    /// None, or one that chat completions cannot tell.
    Other,
    Text,
    /// With its text so far, escaped, and its signature.
    Thinking(String, String),
    /// Too long to be kept.
    LongThinking,
    /// With its input, where it came with the start, and whether a fragment came.
    Call(Option<String>, bool),
}

#[derive(Debug)]
struct Stop {
    reason: String,
    explanation: Option<String>,
}

impl CompletionTelling {
    /// Nothing told yet.
    pub(crate) fn new(context: CompletionContext, name: &CompletionName) -> Self {
        Self {
            chunks: Chunks::new(&context, name),
            context,
            block: Block::Other,
            calls: 0,
            details: 0,
            stop: None,
        }
    }

    /// Tells an event. `usage` is what is known of it by now.
    pub(crate) fn tell(&mut self, event: &MessageEvent<'_>, usage: Option<Usage>, out: &mut BytesMut) {
        match event {
            MessageEvent::Start => self.chunks.role(out),
            MessageEvent::BlockStart(block) => self.start(block, out),
            MessageEvent::BlockDelta(delta) => self.delta(delta, out),
            MessageEvent::BlockStop => self.stop(out),
            MessageEvent::Delta(delta) => self.remember_stop(delta),
            MessageEvent::Stop => self.finish(usage, out),
            MessageEvent::Error(kind, message) => put_event(out, *kind, message),
        }
    }

    fn start(&mut self, block: &Members<'_>, out: &mut BytesMut) {
        let text = |key| block.get(key).and_then(Raw::escaped).unwrap_or_default();
        self.block = match block.string("type").unwrap_or_default().as_ref() {
            "text" => {
                self.chunks.text(out, "content", text("text"));
                Block::Text
            }
            "thinking" => {
                self.chunks.text(out, "reasoning_content", text("thinking"));
                let signature = block.string("signature").unwrap_or_default().into_owned();
                Block::Thinking(text("thinking").to_owned(), signature)
            }
            "redacted_thinking" => {
                let data = block.string("data").unwrap_or_default();
                self.chunks.sealed(out, self.details, &data);
                self.details += 1;
                Block::Other
            }
            "tool_use" => {
                let (id, name) = (block.string("id"), block.string("name"));
                let name = name.unwrap_or_default();
                let name = self.context.names.restored(&name);
                self.chunks.call(out, self.calls, &id.unwrap_or_default(), name);
                let input = block.get("input").map_or(Cow::Borrowed("{}"), compact);
                Block::Call((input != "{}").then(|| escape(&input)), false)
            }
            _ => Block::Other,
        };
    }

    fn delta(&mut self, delta: &Members<'_>, out: &mut BytesMut) {
        let text = |key| delta.get(key).and_then(Raw::escaped).unwrap_or_default();
        match &mut self.block {
            Block::Text => self.chunks.text(out, "content", text("text")),
            Block::Thinking(held, signature) => {
                let piece = text("thinking");
                self.chunks.text(out, "reasoning_content", piece);
                if held.len() + piece.len() > SIGNED_BYTES_MAX {
                    self.block = Block::LongThinking;
                    return;
                }
                held.push_str(piece);
                if let Some(told) = delta.string("signature") {
                    *signature = told.into_owned();
                }
            }
            Block::LongThinking => self.chunks.text(out, "reasoning_content", text("thinking")),
            Block::Call(_, has_fragment) => {
                let fragment = text("partial_json");
                *has_fragment |= !fragment.is_empty();
                self.chunks.arguments(out, self.calls, fragment);
            }
            Block::Other => {}
        }
    }

    fn stop(&mut self, out: &mut BytesMut) {
        match std::mem::replace(&mut self.block, Block::Other) {
            Block::Thinking(text, signature) if !signature.is_empty() => {
                self.chunks.signed(out, self.details, &text, &signature);
                self.details += 1;
            }
            Block::Call(input, has_fragment) => {
                if !has_fragment {
                    self.chunks
                        .arguments(out, self.calls, input.as_deref().unwrap_or("{}"));
                }
                self.calls += 1;
            }
            Block::Text | Block::Thinking(..) | Block::LongThinking | Block::Other => {}
        }
    }

    fn remember_stop(&mut self, delta: &Members<'_>) {
        let Some(reason) = delta.string("stop_reason") else {
            return;
        };
        let details = delta.members("stop_details");
        self.stop = Some(Stop {
            reason: reason.into_owned(),
            explanation: details.and_then(|details| Some(details.string("explanation")?.into_owned())),
        });
    }

    fn finish(&mut self, usage: Option<Usage>, out: &mut BytesMut) {
        let stop = self.stop.take();
        let reason = stop.as_ref().map_or("end_turn", |stop| stop.reason.as_str());
        if let Some(explanation) = stop.as_ref().and_then(|stop| stop.explanation.as_deref()) {
            self.chunks.text(out, "refusal", &escape(explanation));
        }
        self.chunks.finish(out, finish_reason(reason, self.calls > 0));
        self.chunks.usage(out, &usage.unwrap_or_default());
        out.put_slice(DONE);
    }
}
