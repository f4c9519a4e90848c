//! Messages, told to clients of another API.
//!
//! The upstream's stream is first made a good stream of Messages, ended properly or by one error event,
//! by the machine that clients of Messages get. What that one lets through is then told in the client's
//! words. So any dialect that can be made Messages reaches every client.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};

use crate::dialect::anthropic::error::{ErrorKind, read_envelope};
use crate::dialect::raw::Members;
use crate::dialect::sse::{Decoder, Event, Item};
use crate::pipeline::translate::Rewriter;
use crate::pipeline::translate::answer::observed::Observed;
use crate::pipeline::translate::answer::openai::completion_telling::CompletionTelling;
use crate::pipeline::translate::answer::openai::context::{CompletionContext, CompletionName};
use crate::pipeline::translate::answer::{Ending, Progress};
use crate::types::usage::Usage;

/// A sign of life for which every client of OpenAI's API is prepared.
const SIGN_OF_LIFE: &[u8] = b": ping\n\n";

/// Turns the body of one answer into another API's stream, by way of Messages.
#[derive(Debug)]
pub struct ToldStream {
    source: Rewriter,
    /// What the source let through, until it has been told.
    passed: BytesMut,
    decoder: Decoder,
    telling: Telling,
}

/// In whose words Messages are told.
#[derive(Debug)]
pub struct Telling(Words);

#[derive(Debug)]
enum Words {
    Completion(CompletionTelling),
}

/// One event of a Messages stream.
pub(crate) enum MessageEvent<'a> {
    /// The message begins.
    Start,
    /// A block begins, as these members say.
    BlockStart(Members<'a>),
    /// It grows by this delta.
    BlockDelta(Members<'a>),
    /// It is over.
    BlockStop,
    /// The message changes by this delta: it learns why it stops.
    Delta(Members<'a>),
    /// The message is over.
    Stop,
    /// It broke.
    Error(ErrorKind, Cow<'a, str>),
}

impl<'a> MessageEvent<'a> {
    /// The event; `None` for signs of life and what nobody knows.
    fn read(event: Event<'a>) -> Option<Self> {
        let text = std::str::from_utf8(event.data).ok()?;
        let data = Members::read(text).unwrap_or_default();
        let kind = match event.name {
            b"" => data.string("type").unwrap_or_default(),
            name => String::from_utf8_lossy(name),
        };
        let members = |key| data.members(key).unwrap_or_default();
        Some(match kind.as_ref() {
            "message_start" => Self::Start,
            "content_block_start" => Self::BlockStart(members("content_block")),
            "content_block_delta" => Self::BlockDelta(members("delta")),
            "content_block_stop" => Self::BlockStop,
            "message_delta" => Self::Delta(members("delta")),
            "message_stop" => Self::Stop,
            "error" => {
                let (word, message) = read_envelope(text).unwrap_or_default();
                let kind = ErrorKind::parse(&word).unwrap_or(ErrorKind::Api);
                Self::Error(kind, message.into())
            }
            _ => return None,
        })
    }
}

impl Telling {
    /// In chunks of a completion with this name.
    pub fn completion(context: CompletionContext, name: &CompletionName) -> Self {
        Self(Words::Completion(CompletionTelling::new(context, name)))
    }

    fn tell(&mut self, event: &MessageEvent<'_>, usage: Option<Usage>, out: &mut BytesMut) {
        match &mut self.0 {
            Words::Completion(telling) => telling.tell(event, usage, out),
        }
    }
}

impl ToldStream {
    /// A stream that has not begun.
    pub fn new(source: Rewriter, telling: Telling) -> Self {
        Self {
            source,
            passed: BytesMut::new(),
            decoder: Decoder::new(),
            telling,
        }
    }

    /// What was seen so far.
    pub fn observed(&self) -> &Observed {
        self.source.observed()
    }

    /// Whether only usage and the end mark are outstanding.
    pub fn awaiting_tail(&self) -> bool {
        self.source.awaiting_tail()
    }

    /// Takes a chunk of the body.
    pub fn push(&mut self, chunk: &Bytes, out: &mut BytesMut) -> Progress {
        let progress = self.source.push(chunk, &mut self.passed);
        self.tell(out);
        progress
    }

    /// The body ended.
    pub fn end(&mut self, ending: Ending, out: &mut BytesMut) -> Progress {
        let progress = self.source.end(ending, &mut self.passed);
        self.tell(out);
        progress
    }

    /// Writes a sign of life, as long as the stream lives.
    pub fn ping(&mut self, out: &mut BytesMut) {
        self.source.ping(&mut self.passed);
        let lives = !self.passed.is_empty();
        self.tell(out);
        if lives {
            out.put_slice(SIGN_OF_LIFE);
        }
    }

    /// Ends the stream with an error that was found outside.
    pub fn abort(&mut self, kind: ErrorKind, message: &str, out: &mut BytesMut) {
        self.source.abort(kind, message, &mut self.passed);
        self.tell(out);
    }

    /// Tells what the source let through.
    fn tell(&mut self, out: &mut BytesMut) {
        let passed = self.passed.split();
        let mut rest: &[u8] = &passed;
        // What it lets through is complete events of a bounded size.
        while let Ok(Some(item)) = self.decoder.next(&mut rest) {
            let Item::Event(event) = item else { continue };
            if let Some(event) = MessageEvent::read(event) {
                self.telling.tell(&event, self.source.observed().usage, out);
            }
        }
    }
}
