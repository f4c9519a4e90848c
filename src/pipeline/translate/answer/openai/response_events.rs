//! Writers of the events of the Responses API. Texts are given as they stand between JSON quotes.

use bytes::{BufMut, BytesMut};

use crate::dialect::anthropic::event::put_count;
use crate::dialect::openai::usage::put_response_usage;
use crate::dialect::raw::put_string;
use crate::pipeline::translate::answer::openai::context::{ResponseContext, ResponseName};
use crate::types::usage::Usage;

/// How a response stands.
pub(crate) enum Status<'a> {
    InProgress,
    Completed(Usage),
    /// It was cut for this reason.
    Incomplete(&'static str, Usage),
    /// It broke: code and message.
    Failed(&'a str, &'a str),
}

/// Writes the events of one response.
#[derive(Debug)]
pub(crate) struct ResponseEvents {
    /// Id and date, as members.
    head: Vec<u8>,
    /// The model and what is repeated of the request, as members.
    echo: Vec<u8>,
    /// The number of the next event.
    number: u64,
}

impl ResponseEvents {
    pub(crate) fn new(context: &ResponseContext, name: &ResponseName) -> Self {
        let mut head = Vec::with_capacity(96);
        head.put_slice(br#"{"id":"resp_"#);
        head.put_slice(name.id.as_bytes());
        head.put_slice(br#"","object":"response","created_at":"#);
        put_count(&mut head, name.created);
        let mut echo = Vec::with_capacity(context.echo.len() + 64);
        echo.put_slice(br#","model":"#);
        put_string(&mut echo, context.requested_model.as_str());
        echo.put_slice(context.echo.as_bytes());
        Self {
            head,
            echo,
            number: 0,
        }
    }

    /// Writes an event with these members behind its type and number.
    pub(crate) fn put(&mut self, out: &mut BytesMut, kind: &str, put: impl FnOnce(&mut BytesMut)) {
        out.put_slice(b"event: ");
        out.put_slice(kind.as_bytes());
        out.put_slice(b"\ndata: {\"type\":\"");
        out.put_slice(kind.as_bytes());
        out.put_slice(br#"","sequence_number":"#);
        put_count(out, self.number);
        self.number = self.number.saturating_add(1);
        put(out);
        out.put_slice(b"}\n\n");
    }

    /// Writes an event that shows the whole response.
    pub(crate) fn put_state(&mut self, out: &mut BytesMut, kind: &str, status: &Status<'_>, output: &[u8]) {
        let mut response = BytesMut::with_capacity(self.echo.len() + output.len() + 512);
        self.put_response(&mut response, status, output);
        self.put(out, kind, |out| {
            out.put_slice(br#","response":"#);
            out.put_slice(&response);
        });
    }

    /// Writes the response with this output, a list without its brackets.
    pub(crate) fn put_response(&self, out: &mut BytesMut, status: &Status<'_>, output: &[u8]) {
        out.put_slice(&self.head);
        out.put_slice(br#","status":"#);
        put_string(out, status.word());
        out.put_slice(br#","error":"#);
        match status {
            Status::Failed(code, message) => {
                out.put_slice(br#"{"code":"#);
                put_string(out, code);
                out.put_slice(br#","message":"#);
                put_string(out, message);
                out.put_u8(b'}');
            }
            _ => out.put_slice(b"null"),
        }
        out.put_slice(br#","incomplete_details":"#);
        match status {
            Status::Incomplete(reason, _) => {
                out.put_slice(br#"{"reason":"#);
                put_string(out, reason);
                out.put_u8(b'}');
            }
            _ => out.put_slice(b"null"),
        }
        out.put_slice(&self.echo);
        out.put_slice(br#","output":["#);
        out.put_slice(output);
        out.put_slice(br#"],"usage":"#);
        match status {
            Status::Completed(usage) | Status::Incomplete(_, usage) => put_response_usage(out, usage),
            Status::InProgress | Status::Failed(..) => out.put_slice(b"null"),
        }
        out.put_u8(b'}');
    }
}

impl Status<'_> {
    const fn word(&self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed(_) => "completed",
            Self::Incomplete(..) => "incomplete",
            Self::Failed(..) => "failed",
        }
    }

    /// The event that ends a stream with it.
    pub(crate) const fn event(&self) -> &'static str {
        match self {
            Self::InProgress => "response.in_progress",
            Self::Completed(_) => "response.completed",
            Self::Incomplete(..) => "response.incomplete",
            Self::Failed(..) => "response.failed",
        }
    }
}

/// Writes a member with this escaped text.
pub(crate) fn put_text(out: &mut BytesMut, key: &str, escaped: &str) {
    out.put_slice(b",\"");
    out.put_slice(key.as_bytes());
    out.put_slice(b"\":\"");
    out.put_slice(escaped.as_bytes());
    out.put_u8(b'"');
}

/// Writes a member with this number.
pub(crate) fn put_index(out: &mut BytesMut, key: &str, index: u64) {
    out.put_slice(b",\"");
    out.put_slice(key.as_bytes());
    out.put_slice(b"\":");
    put_count(out, index);
}
