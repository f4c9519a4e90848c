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
use crate::pipeline::translate::answer::fault::Fault;
use crate::pipeline::translate::answer::observed::{Observed, Outcome};
use crate::pipeline::translate::answer::openai::completion_telling::CompletionTelling;
use crate::pipeline::translate::answer::openai::context::{
    CompletionContext, CompletionName, ResponseContext, ResponseName,
};
use crate::pipeline::translate::answer::openai::response_telling::ResponseTelling;
use crate::pipeline::translate::answer::{Ending, Progress};
use crate::types::usage::Usage;

/// The most bytes of an answer that are held to be told once more at its end.
const HELD_BYTES_MAX: usize = 32 << 20;

/// A sign of life for which every client of OpenAI's API is prepared.
const SIGN_OF_LIFE: &[u8] = b": ping\n\n";

/// Turns the body of one answer into another API's stream, by way of Messages.
#[derive(Debug)]
pub struct ToldStream {
    source: Rewriter,
    /// What the source let through, until it has been told.
    passed: BytesMut,
    decoder: Decoder,
    /// The block that is open.
    open: Option<u64>,
    telling: Telling,
    /// What was seen, once the stream was given up here.
    given_up: Option<(Observed, Fault)>,
}

/// In whose words Messages are told.
#[derive(Debug)]
pub struct Telling(Words);

#[derive(Debug)]
enum Words {
    Completion(Box<CompletionTelling>),
    Response(Box<ResponseTelling>),
}

/// One event of a Messages stream; blocks follow one another.
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
    /// The event, and the block that it is about; `None` for signs of life and what nobody knows.
    fn read(event: Event<'a>) -> Option<(Self, Option<u64>)> {
        // The name alone says what happens, as it does to the source: data that cannot be read says nothing more.
        let text = std::str::from_utf8(event.data).unwrap_or_default();
        let data = Members::read(text).unwrap_or_default();
        let kind = match event.name {
            b"" => data.string("type").unwrap_or_default(),
            name => String::from_utf8_lossy(name),
        };
        let members = |key| data.members(key).unwrap_or_default();
        let event = match kind.as_ref() {
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
        };
        Some((event, data.count("index")))
    }
}

impl Telling {
    /// In chunks of a completion with this name.
    pub fn completion(context: CompletionContext, name: &CompletionName) -> Self {
        Self(Words::Completion(Box::new(CompletionTelling::new(context, name))))
    }

    /// In events of a response with this name.
    pub fn response(context: ResponseContext, name: ResponseName) -> Self {
        Self(Words::Response(Box::new(ResponseTelling::new(context, name))))
    }

    fn held_bytes(&self) -> usize {
        match &self.0 {
            Words::Completion(_) => 0,
            Words::Response(telling) => telling.held_bytes(),
        }
    }

    fn tell(&mut self, event: &MessageEvent<'_>, usage: Option<Usage>, out: &mut BytesMut) {
        match &mut self.0 {
            Words::Completion(telling) => telling.tell(event, usage, out),
            Words::Response(telling) => telling.tell(event, usage, out),
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
            open: None,
            telling,
            given_up: None,
        }
    }

    /// What was seen so far.
    pub fn observed(&self) -> &Observed {
        match &self.given_up {
            Some((observed, _)) => observed,
            None => self.source.observed(),
        }
    }

    /// Whether only usage and the end mark are outstanding.
    pub fn awaiting_tail(&self) -> bool {
        self.source.awaiting_tail()
    }

    /// Takes a chunk of the body.
    pub fn push(&mut self, chunk: &Bytes, out: &mut BytesMut) -> Progress {
        let progress = self.source.push(chunk, &mut self.passed);
        self.tell(out);
        if progress == Progress::More && self.telling.held_bytes() > HELD_BYTES_MAX {
            self.give_up("the upstream's answer is too long", out);
        }
        self.stands(progress)
    }

    /// The body ended.
    pub fn end(&mut self, ending: Ending, out: &mut BytesMut) -> Progress {
        let progress = self.source.end(ending, &mut self.passed);
        self.tell(out);
        self.stands(progress)
    }

    /// Writes a sign of life, as long as the stream lives.
    pub fn ping(&mut self, out: &mut BytesMut) {
        self.source.ping(&mut self.passed);
        let lives = !self.passed.is_empty() && self.given_up.is_none();
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

    /// Where the stream stands, if this is where its source does.
    fn stands(&self, progress: Progress) -> Progress {
        match &self.given_up {
            Some((_, fault)) => Progress::Failed(fault.clone()),
            None => progress,
        }
    }

    /// Tells what the source let through.
    ///
    /// Some servers begin a block before they have ended the one before, and end them all at the end: there, a
    /// block ends where the next begins.
    fn tell(&mut self, out: &mut BytesMut) {
        let passed = self.passed.split();
        let usage = self.source.observed().usage;
        let mut rest: &[u8] = &passed;
        // What it lets through is complete events of a bounded size.
        while self.given_up.is_none()
            && let Ok(Some(item)) = self.decoder.next(&mut rest)
        {
            let Item::Event(event) = item else { continue };
            let Some((event, index)) = MessageEvent::read(event) else {
                continue;
            };
            let is_open = self.open.is_some() && (index.is_none() || index == self.open);
            match event {
                MessageEvent::BlockStart(_) => {
                    if self.open.is_some() {
                        self.telling.tell(&MessageEvent::BlockStop, usage, out);
                    }
                    self.open = Some(index.unwrap_or_default());
                }
                MessageEvent::BlockStop if !is_open => continue,
                MessageEvent::BlockStop => self.open = None,
                MessageEvent::BlockDelta(_) if !is_open => {
                    self.give_up("the upstream mixed up the parts of its answer; ask again", out);
                    continue;
                }
                _ => {}
            }
            self.telling.tell(&event, usage, out);
        }
    }

    /// Ends a stream that cannot be told: it goes on with a block after another has begun, or it is more than
    /// is held.
    fn give_up(&mut self, why: &'static str, out: &mut BytesMut) {
        if self.given_up.is_some() {
            return;
        }
        let fault = Fault::broken(why);
        let event = MessageEvent::Error(fault.kind, fault.message.as_str().into());
        self.telling.tell(&event, None, out);
        let mut observed = self.source.observed().clone();
        observed.outcome = Outcome::Failed(fault.clone());
        self.given_up = Some((observed, fault));
    }
}
