//! Writers of chat-completion chunks. Texts are given as they stand between JSON quotes.

use bytes::{BufMut, BytesMut};

use crate::dialect::anthropic::event::put_count;
use crate::dialect::openai::usage::put_usage;
use crate::dialect::raw::put_string;
use crate::pipeline::translate::answer::openai::context::{
    CompletionContext, CompletionName, REASONING_FORMAT,
};
use crate::types::usage::Usage;

/// Writes the chunks of one answer.
#[derive(Debug)]
pub(crate) struct Chunks {
    /// Everything of a chunk up to its choices.
    head: Vec<u8>,
    include_usage: bool,
}

impl Chunks {
    pub(crate) fn new(context: &CompletionContext, name: &CompletionName) -> Self {
        let mut head = Vec::with_capacity(160);
        head.put_slice(br#"data: {"id":"#);
        put_string(&mut head, &name.id);
        head.put_slice(br#","object":"chat.completion.chunk","created":"#);
        put_count(&mut head, name.created);
        head.put_slice(br#","model":"#);
        put_string(&mut head, context.requested_model.as_str());
        head.put_slice(br#","choices":["#);
        Self {
            head,
            include_usage: context.include_usage,
        }
    }

    /// The first chunk.
    pub(crate) fn role(&self, out: &mut BytesMut) {
        self.delta(out, |out| {
            out.put_slice(br#""role":"assistant","content":"","refusal":null"#);
        });
    }

    /// A piece of the text under this key.
    pub(crate) fn text(&self, out: &mut BytesMut, key: &str, escaped: &str) {
        if escaped.is_empty() {
            return;
        }
        self.delta(out, |out| {
            put_string(out, key);
            out.put_slice(b":\"");
            out.put_slice(escaped.as_bytes());
            out.put_u8(b'"');
        });
    }

    /// What a client has to send back of a thinking block: its text, escaped, and its signature.
    pub(crate) fn signed(&self, out: &mut BytesMut, nth: u64, escaped: &str, signature: &str) {
        self.delta(out, |out| {
            out.put_slice(br#""reasoning_details":["#);
            put_signed(out, nth, escaped, signature);
            out.put_u8(b']');
        });
    }

    /// A thinking block that only the vendor can read.
    pub(crate) fn sealed(&self, out: &mut BytesMut, nth: u64, data: &str) {
        self.delta(out, |out| {
            out.put_slice(br#""reasoning_details":["#);
            put_sealed(out, nth, data);
            out.put_u8(b']');
        });
    }

    /// The beginning of a call.
    pub(crate) fn call(&self, out: &mut BytesMut, nth: u64, id: &str, name: &str) {
        self.delta(out, |out| {
            out.put_slice(br#""tool_calls":[{"index":"#);
            put_count(out, nth);
            out.put_slice(br#","id":"#);
            put_string(out, id);
            out.put_slice(br#","type":"function","function":{"name":"#);
            put_string(out, name);
            out.put_slice(br#","arguments":""}}]"#);
        });
    }

    /// A piece of a call's arguments.
    pub(crate) fn arguments(&self, out: &mut BytesMut, nth: u64, escaped: &str) {
        if escaped.is_empty() {
            return;
        }
        self.delta(out, |out| {
            out.put_slice(br#""tool_calls":[{"index":"#);
            put_count(out, nth);
            out.put_slice(br#","function":{"arguments":""#);
            out.put_slice(escaped.as_bytes());
            out.put_slice(br#""}}]"#);
        });
    }

    /// The last chunk with a choice.
    pub(crate) fn finish(&self, out: &mut BytesMut, reason: &str) {
        self.choice(out, |_| {}, Some(reason));
    }

    /// The chunk that only tells the usage, where the client wants it.
    pub(crate) fn usage(&self, out: &mut BytesMut, usage: &Usage) {
        if self.include_usage {
            out.put_slice(&self.head);
            out.put_slice(br#"],"usage":"#);
            put_usage(out, usage);
            out.put_slice(b"}\n\n");
        }
    }

    fn delta(&self, out: &mut BytesMut, put: impl FnOnce(&mut BytesMut)) {
        self.choice(out, put, None);
    }

    fn choice(&self, out: &mut BytesMut, put: impl FnOnce(&mut BytesMut), finish: Option<&str>) {
        out.put_slice(&self.head);
        out.put_slice(br#"{"index":0,"delta":{"#);
        put(out);
        out.put_slice(br#"},"logprobs":null,"finish_reason":"#);
        match finish {
            Some(reason) => put_string(out, reason),
            None => out.put_slice(b"null"),
        }
        out.put_slice(b"}]");
        if self.include_usage {
            out.put_slice(br#","usage":null"#);
        }
        out.put_slice(b"}\n\n");
    }
}

/// One entry of `reasoning_details` with a signature.
pub(super) fn put_signed(out: &mut BytesMut, nth: u64, escaped: &str, signature: &str) {
    out.put_slice(br#"{"type":"reasoning.text","text":""#);
    out.put_slice(escaped.as_bytes());
    out.put_slice(br#"","signature":"#);
    put_string(out, signature);
    put_detail_tail(out, nth);
}

/// One entry of `reasoning_details` that only the vendor can read.
pub(super) fn put_sealed(out: &mut BytesMut, nth: u64, data: &str) {
    out.put_slice(br#"{"type":"reasoning.encrypted","data":"#);
    put_string(out, data);
    put_detail_tail(out, nth);
}

fn put_detail_tail(out: &mut BytesMut, nth: u64) {
    out.put_slice(br#","format":"#);
    put_string(out, REASONING_FORMAT);
    out.put_slice(br#","index":"#);
    put_count(out, nth);
    out.put_u8(b'}');
}
