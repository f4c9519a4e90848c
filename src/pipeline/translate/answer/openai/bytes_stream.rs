//! Streams of OpenAI-compatible upstreams for clients of the same API: complete events pass byte for
//! byte.
//!
//! Two edits at most: an alias is put back for the model's name, and the chunk that only tells the
//! usage is withheld from a client that did not ask for it.

use bytes::{BufMut, Bytes, BytesMut};

use crate::dialect::anthropic::error::ErrorKind;
use crate::dialect::openai::complaint;
use crate::dialect::openai::error::{put_event, put_response_event};
use crate::dialect::raw::{Members, Raw};
use crate::dialect::sse::{Decoder, Event, Item, LINE_BYTES_MAX};
use crate::pipeline::translate::answer::fault::Fault;
use crate::pipeline::translate::answer::messages_stream::rename_in_event;
use crate::pipeline::translate::answer::observed::{Observed, Outcome};
use crate::pipeline::translate::answer::openai::chunk_watch::ChunkWatch;
use crate::pipeline::translate::answer::openai::context::{ChatBytes, ResponseBytes};
use crate::pipeline::translate::answer::openai::response_watch::ResponseWatch;
use crate::pipeline::translate::answer::{Ending, Progress};
use crate::pipeline::translate::upstream_error::fault_in_answer;
use crate::types::ids::ModelName;

/// The most bytes of one event that are held until it is complete.
const HELD_BYTES_MAX: usize = LINE_BYTES_MAX + (1 << 20);

/// The proper end of a stream of chunks.
pub(super) const DONE: &[u8] = b"data: [DONE]\n\n";

/// Passes the body of one stream.
#[derive(Debug)]
pub struct BytesStream {
    decoder: Decoder,
    /// The bytes of an event that is not complete yet.
    held: BytesMut,
    watch: Watch,
    /// How it ended; nothing is written afterwards.
    ended: Option<Progress>,
}

/// Who looks at the events that pass.
#[derive(Debug)]
enum Watch {
    Chat(ChatBytes, ChunkWatch),
    Response(ResponseBytes, ResponseWatch),
}

/// What is to be done with an event.
pub(super) enum Verdict {
    Pass,
    /// It may name the model, which is to be renamed.
    Rename,
    /// It only tells the usage, for which the client did not ask.
    Withhold,
    /// It ends the stream properly.
    Done,
    /// It ends the stream with an error of the upstream.
    Error(Fault),
    /// It ends the stream with an error that the client must not see as it is.
    Conceal(Fault),
}

impl Watch {
    fn take(&mut self, event: Event<'_>) -> Verdict {
        match self {
            Self::Chat(plan, watch) => watch.take(event, plan),
            Self::Response(plan, watch) => watch.take(event, plan.input_tokens),
        }
    }

    const fn alias(&self) -> Option<&ModelName> {
        match self {
            Self::Chat(plan, _) => plan.alias.as_ref(),
            Self::Response(plan, _) => plan.alias.as_ref(),
        }
    }

    const fn observed(&self) -> &Observed {
        match self {
            Self::Chat(_, watch) => &watch.observed,
            Self::Response(_, watch) => &watch.observed,
        }
    }

    const fn observed_mut(&mut self) -> &mut Observed {
        match self {
            Self::Chat(_, watch) => &mut watch.observed,
            Self::Response(_, watch) => &mut watch.observed,
        }
    }

    /// Whether the answer is complete, though its end mark has not come. A response has its end mark in
    /// its last event.
    const fn is_finished(&self) -> bool {
        match self {
            Self::Chat(plan, watch) => watch.finished_choices > 0 && watch.finished_choices >= plan.choices,
            Self::Response(..) => false,
        }
    }

    /// The event with the alias in the place of the model's name.
    fn renamed(&self, event: &Bytes) -> Option<Bytes> {
        let is_chat = matches!(self, Self::Chat(..));
        rename_in_event(event, self.alias()?, |data| {
            if is_chat {
                data.get("model")
            } else {
                data.members("response")?.get("model")
            }
        })
    }

    fn put_error(&self, out: &mut BytesMut, fault: &Fault) {
        match self {
            Self::Chat(..) => put_event(out, fault.kind, &fault.message),
            Self::Response(_, watch) => {
                put_response_event(out, fault.kind, &fault.message, watch.next_number);
            }
        }
    }
}

impl BytesStream {
    /// A stream of chunks that has not begun.
    pub fn chat(plan: ChatBytes) -> Self {
        Self::new(Watch::Chat(plan, ChunkWatch::default()))
    }

    /// A stream of a response that has not begun.
    pub fn response(plan: ResponseBytes) -> Self {
        Self::new(Watch::Response(plan, ResponseWatch::default()))
    }

    fn new(watch: Watch) -> Self {
        Self {
            decoder: Decoder::new(),
            held: BytesMut::new(),
            watch,
            ended: None,
        }
    }

    /// What was seen so far.
    pub const fn observed(&self) -> &Observed {
        self.watch.observed()
    }

    /// Whether only usage and the end mark are outstanding.
    pub const fn awaiting_tail(&self) -> bool {
        self.ended.is_none() && self.watch.is_finished()
    }

    /// Takes a chunk of the body.
    pub fn push(&mut self, chunk: &Bytes, out: &mut BytesMut) -> Progress {
        if let Some(ended) = &self.ended {
            return ended.clone();
        }
        let (mut rest, mut passed): (&[u8], usize) = (chunk, 0);
        loop {
            let verdict = match self.decoder.next(&mut rest) {
                Ok(Some(Item::Event(event))) => self.watch.take(event),
                Ok(Some(Item::Idle)) => Verdict::Pass,
                Ok(None) => break,
                Err(too_long) => return self.fail(Fault::broken(too_long.to_string()), out),
            };
            let border = chunk.len() - rest.len();
            let bytes = chunk.get(passed..border).unwrap_or_default();
            passed = border;
            if let Some(ended) = self.carry_out(verdict, bytes, out) {
                return ended;
            }
        }
        let incomplete = chunk.get(passed..).unwrap_or_default();
        if self.held.len() + incomplete.len() > HELD_BYTES_MAX {
            return self.fail(Fault::broken("the upstream sent an event that is too long"), out);
        }
        self.held.put_slice(incomplete);
        Progress::More
    }

    /// The body ended. An answer is complete with its end mark; chunks are, too, when every choice told
    /// why it ended.
    pub fn end(&mut self, ending: Ending, out: &mut BytesMut) -> Progress {
        if let Some(ended) = &self.ended {
            return ended.clone();
        }
        if ending == Ending::Eof
            && let Ok(Some(event)) = self.decoder.finish()
            && is_whole(event.data)
        {
            // The event is whole, only its blank line is missing.
            let verdict = self.watch.take(event);
            if let Some(ended) = self.carry_out(verdict, b"\n\n", out) {
                return ended;
            }
        }
        if self.watch.is_finished() {
            out.put_slice(DONE);
            return self.finish();
        }
        if let Some(fault) = self.fault_instead_of_events() {
            return self.fail(fault, out);
        }
        let progress = self.fail(
            Fault::broken("the upstream broke off before its answer was complete"),
            out,
        );
        self.watch.observed_mut().outcome = Outcome::Broken;
        progress
    }

    /// Writes a sign of life: a comment, for which every client is prepared.
    pub fn ping(&mut self, out: &mut BytesMut) {
        if self.ended.is_none() {
            out.put_slice(b": ping\n\n");
        }
    }

    /// Ends the stream with an error that was found outside.
    pub fn abort(&mut self, kind: ErrorKind, message: &str, out: &mut BytesMut) {
        if self.ended.is_none() {
            self.fail(Fault::new(kind, message), out);
        }
    }

    /// Does what the verdict says with the held bytes and these; tells whether the stream ended.
    fn carry_out(&mut self, verdict: Verdict, bytes: &[u8], out: &mut BytesMut) -> Option<Progress> {
        match verdict {
            Verdict::Pass => self.pass(bytes, out),
            Verdict::Rename => self.rename(bytes, out),
            Verdict::Withhold => self.held.clear(),
            Verdict::Done => {
                self.rename(bytes, out);
                return Some(self.finish());
            }
            Verdict::Error(fault) => {
                self.rename(bytes, out);
                self.watch.observed_mut().outcome = Outcome::Failed(fault.clone());
                return Some(self.ended.insert(Progress::Failed(fault)).clone());
            }
            Verdict::Conceal(fault) => return Some(self.fail(fault, out)),
        }
        None
    }

    fn pass(&mut self, bytes: &[u8], out: &mut BytesMut) {
        out.put_slice(&self.held);
        out.put_slice(bytes);
        self.held.clear();
    }

    /// Passes an event, with the alias in the place of the model's name.
    fn rename(&mut self, bytes: &[u8], out: &mut BytesMut) {
        if self.watch.alias().is_none() {
            return self.pass(bytes, out);
        }
        self.held.put_slice(bytes);
        let event = self.held.split().freeze();
        let renamed = self.watch.renamed(&event);
        out.put_slice(&renamed.unwrap_or(event));
    }

    fn finish(&mut self) -> Progress {
        self.held.clear();
        self.watch.observed_mut().outcome = Outcome::Complete;
        self.ended.insert(Progress::Finished).clone()
    }

    fn fail(&mut self, fault: Fault, out: &mut BytesMut) -> Progress {
        self.held.clear();
        self.watch.put_error(out, &fault);
        self.watch.observed_mut().outcome = Outcome::Failed(fault.clone());
        self.ended.insert(Progress::Failed(fault)).clone()
    }

    /// The error in a body that is no stream at all, though a stream was asked for.
    fn fault_instead_of_events(&self) -> Option<Fault> {
        let body = std::str::from_utf8(&self.held)
            .ok()?
            .trim_start_matches(['\u{feff}', ' ', '\r', '\n']);
        let has_begun = self.observed().usage.is_some();
        if has_begun || !body.starts_with(['{', '<']) {
            return None;
        }
        let complaint = complaint::in_answer(&Members::read(body).unwrap_or_default());
        Some(complaint.map_or_else(
            || Fault::broken("the upstream answered a streaming request without a stream"),
            |complaint| fault_in_answer(&complaint),
        ))
    }
}

/// Whether this is the end mark of a stream of chunks.
pub(super) fn is_done(data: &[u8]) -> bool {
    data.trim_ascii() == b"[DONE]"
}

fn is_whole(data: &[u8]) -> bool {
    is_done(data) || std::str::from_utf8(data).is_ok_and(|data| Raw::read(data).is_some())
}
