//! Answers of other dialects to Messages events.

use bytes::{BufMut, Bytes, BytesMut};

use crate::dialect::anthropic::error::ErrorKind;
use crate::dialect::anthropic::event::{MESSAGE_STOP, PING, put_error, put_message_delta, put_message_start};
use crate::dialect::anthropic::signature::Signer;
use crate::dialect::openai::complaint;
use crate::dialect::raw::{Members, Raw};
use crate::dialect::sse::{Decoder, Event, Item, TooLong};
use crate::pipeline::translate::answer::chat::read_completion;
use crate::pipeline::translate::answer::context::AnswerContext;
use crate::pipeline::translate::answer::fault::Fault;
use crate::pipeline::translate::answer::observed::{Observed, Outcome};
use crate::pipeline::translate::answer::reading::Reading;
use crate::pipeline::translate::answer::{Ending, Progress};
use crate::pipeline::translate::answer::{converse, gemini};
use crate::pipeline::translate::upstream_error::fault_in_answer;

/// The longest JSON answer to a streaming request.
const JSON_BYTES_MAX: usize = 32 << 20;

/// Turns the body of one answer into Messages events.
#[derive(Debug)]
pub struct AnswerStream {
    wire: Wire,
    reading: Reading,
    decoder: Decoder,
    form: Form,
    started: bool,
    /// How it ended; nothing is written afterwards.
    ended: Option<Progress>,
}

/// How much is gathered from one chunk before it is shown.
const SHOWN_AT_ONCE_BYTES: usize = 64 << 10;

/// What the body turned out to be.
#[derive(Debug)]
enum Form {
    /// Only white space has come.
    Unknown,
    Events,
    /// A whole answer, though a stream was asked for.
    Json(BytesMut),
}

/// What one event of the upstream means for the stream.
enum Step {
    More,
    Done,
}

impl Form {
    /// The form that the first visible byte names.
    fn of(beginning: &[u8]) -> Result<Self, Fault> {
        match visible(beginning).first() {
            None => Ok(Self::Unknown),
            Some(b'{' | b'[') => Ok(Self::Json(BytesMut::new())),
            Some(b'<') => Err(Fault::broken(
                "the upstream answered with a page instead of events",
            )),
            Some(_) => Ok(Self::Events),
        }
    }
}

/// What the upstream speaks.
#[derive(Clone, Copy, Debug)]
enum Wire {
    Chat,
    Gemini,
    Converse,
}

impl Wire {
    /// Takes one event's data.
    fn take(self, reading: &mut Reading, answer: &Members<'_>) -> Result<(), Fault> {
        match self {
            Self::Chat => reading.take(answer, "delta"),
            Self::Gemini => gemini::take(reading, answer),
            Self::Converse => converse::take(reading, answer),
        }
    }

    /// Takes a whole answer.
    fn take_whole(self, reading: &mut Reading, body: &[u8]) -> Result<(), Fault> {
        match self {
            Self::Chat => read_completion(body, reading),
            Self::Gemini => gemini::read(body, reading),
            Self::Converse => converse::read(body, reading),
        }
    }
}

impl AnswerStream {
    /// A stream of chat completions that has not begun.
    pub fn chat(context: AnswerContext, message_id: impl Into<String>) -> Self {
        Self::new(Wire::Chat, Reading::new(context, message_id.into()))
    }

    /// A stream of `streamGenerateContent` that has not begun.
    pub fn gemini(context: AnswerContext, message_id: impl Into<String>) -> Self {
        let reading = Reading::signed(context, message_id.into(), Signer::Gemini);
        Self::new(Wire::Gemini, reading)
    }

    /// A stream of Converse that has not begun: server-sent events, each of which holds one event of
    /// Bedrock's as an object whose only member has its name.
    pub fn converse(context: AnswerContext, message_id: impl Into<String>) -> Self {
        let reading = Reading::signed(context, message_id.into(), Signer::Converse);
        Self::new(Wire::Converse, reading)
    }

    fn new(wire: Wire, reading: Reading) -> Self {
        Self {
            wire,
            reading,
            decoder: Decoder::new(),
            form: Form::Unknown,
            started: false,
            ended: None,
        }
    }

    /// What was seen so far.
    pub const fn observed(&self) -> &Observed {
        &self.reading.observed
    }

    /// Whether only usage and the end mark are outstanding.
    pub const fn awaiting_tail(&self) -> bool {
        self.reading.is_finished() && self.ended.is_none()
    }

    /// Takes a chunk of the body.
    pub fn push(&mut self, chunk: &Bytes, out: &mut BytesMut) -> Progress {
        if let Some(ended) = &self.ended {
            return ended.clone();
        }
        match self.take(chunk, out) {
            Ok(Step::Done) => self.complete(out),
            Ok(Step::More) => {
                self.show(out);
                Progress::More
            }
            Err(fault) => self.fail(fault, out),
        }
    }

    /// The body ended.
    pub fn end(&mut self, ending: Ending, out: &mut BytesMut) -> Progress {
        if let Some(ended) = &self.ended {
            return ended.clone();
        }
        match self.take_end(ending) {
            Ok(Step::Done) => self.complete(out),
            Ok(Step::More) => {
                let fault = Fault::broken("the upstream broke off before its answer was complete");
                self.fail(fault, out);
                self.reading.observed.outcome = Outcome::Broken;
                self.ended.clone().unwrap_or(Progress::Finished)
            }
            Err(fault) => self.fail(fault, out),
        }
    }

    /// Writes a sign of life; the message starts with it, if it has not started.
    pub fn ping(&mut self, out: &mut BytesMut) {
        if self.ended.is_none() {
            self.start(out);
            out.put_slice(PING);
        }
    }

    /// Ends the stream with an error that was found outside.
    pub fn abort(&mut self, kind: ErrorKind, message: &str, out: &mut BytesMut) {
        if self.ended.is_none() {
            self.fail(Fault::new(kind, message), out);
        }
    }

    fn take(&mut self, chunk: &[u8], out: &mut BytesMut) -> Result<Step, Fault> {
        if let Form::Unknown = self.form {
            self.form = Form::of(chunk)?;
        }
        if let Form::Json(body) = &mut self.form {
            if body.len() + chunk.len() > JSON_BYTES_MAX {
                return Err(Fault::broken("the upstream's answer is too long"));
            }
            body.put_slice(if body.is_empty() { visible(chunk) } else { chunk });
            return Ok(Step::More);
        }
        let mut rest = chunk;
        while let Some(item) = self.decoder.next(&mut rest).map_err(too_long)? {
            let Item::Event(event) = item else { continue };
            if let Step::Done = take_event(self.wire, &mut self.reading, event)? {
                return Ok(Step::Done);
            }
            if self.reading.blocks.held_bytes() > SHOWN_AT_ONCE_BYTES {
                self.show(out);
            }
        }
        Ok(Step::More)
    }

    fn take_end(&mut self, ending: Ending) -> Result<Step, Fault> {
        if let Form::Json(body) = &self.form {
            if ending == Ending::Reset {
                return Ok(Step::More);
            }
            self.wire.take_whole(&mut self.reading, body)?;
            return Ok(Step::Done);
        }
        if let Some(event) = self.decoder.finish().map_err(too_long)? {
            // An unterminated event may be cut: unless it reads as JSON, it did not come.
            let is_whole = is_done(event.data)
                || std::str::from_utf8(event.data).is_ok_and(|data| Raw::read(data).is_some());
            if is_whole && let Step::Done = take_event(self.wire, &mut self.reading, event)? {
                return Ok(Step::Done);
            }
        }
        Ok(if self.reading.is_finished() {
            Step::Done
        } else {
            Step::More
        })
    }

    /// Shows what came, once anything did.
    fn show(&mut self, out: &mut BytesMut) {
        if self.reading.has_begun() {
            self.start(out);
            self.reading.show(out, false);
            self.reading.observe();
        }
    }

    fn start(&mut self, out: &mut BytesMut) {
        if !self.started {
            self.started = true;
            let reading = &self.reading;
            put_message_start(
                out,
                &reading.message_id,
                &reading.context.requested_model,
                &reading.usage(),
            );
        }
    }

    fn complete(&mut self, out: &mut BytesMut) -> Progress {
        if let Err(fault) = self.reading.end() {
            return self.fail(fault, out);
        }
        self.start(out);
        self.reading.show(out, true);
        let usage = self.reading.usage();
        put_message_delta(
            out,
            self.reading.stop_reason(),
            self.reading.stop_sequence(),
            &usage,
        );
        out.put_slice(MESSAGE_STOP);
        self.reading.complete();
        self.ended.insert(Progress::Finished).clone()
    }

    fn fail(&mut self, fault: Fault, out: &mut BytesMut) -> Progress {
        self.show(out);
        put_error(out, fault.kind, &fault.message);
        self.reading.observed.outcome = Outcome::Failed(fault.clone());
        self.ended.insert(Progress::Failed(fault)).clone()
    }
}

/// The bytes without white space and byte order mark before them.
fn visible(bytes: &[u8]) -> &[u8] {
    let is_visible = |byte: &u8| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0xef | 0xbb | 0xbf);
    let start = bytes.iter().position(is_visible).unwrap_or(bytes.len());
    bytes.get(start..).unwrap_or_default()
}

/// Takes one event of the upstream.
fn take_event(wire: Wire, reading: &mut Reading, event: Event<'_>) -> Result<Step, Fault> {
    if is_done(event.data) {
        return Ok(Step::Done);
    }
    let data = String::from_utf8_lossy(event.data);
    if event.name == b"error" {
        return Err(fault_in_answer(&complaint::in_error_body(&data)));
    }
    let Some(value) = Raw::read(&data) else {
        return Err(Fault::broken("the upstream sent an event that is not JSON"));
    };
    // Bare strings and numbers are somebody's sign of life.
    if let Some(chunk) = value.members() {
        wire.take(reading, &chunk)?;
    }
    Ok(if reading.is_stopped() {
        Step::Done
    } else {
        Step::More
    })
}

fn is_done(data: &[u8]) -> bool {
    data.trim_ascii() == b"[DONE]"
}

fn too_long(error: TooLong) -> Fault {
    Fault::broken(error.to_string())
}
