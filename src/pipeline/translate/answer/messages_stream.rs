//! Messages streams of Messages upstreams: complete events pass byte for byte as they come.

use bytes::{BufMut, Bytes, BytesMut};

use crate::dialect::anthropic::error::{ErrorKind, read_envelope};
use crate::dialect::anthropic::event::{PING, put_error};
use crate::dialect::anthropic::usage;
use crate::dialect::openai::complaint;
use crate::dialect::raw::{Members, Raw};
use crate::dialect::sse::{Decoder, Event, Item, LINE_BYTES_MAX};
use crate::pipeline::translate::answer::fault::Fault;
use crate::pipeline::translate::answer::messages::{observe_message, rename};
use crate::pipeline::translate::answer::observed::{Observed, Outcome};
use crate::pipeline::translate::answer::tally;
use crate::pipeline::translate::answer::{Ending, Progress};
use crate::pipeline::translate::upstream_error::{REFUSED, fault_in_answer, refuses_us};
use crate::types::ids::ModelName;

/// The most bytes of one event that are held until it is complete.
const HELD_BYTES_MAX: usize = LINE_BYTES_MAX + (1 << 20);

/// What surrounds the text in the data of a `content_block_delta`, for the estimate of output tokens.
const DELTA_FRAME_BYTES: usize = 80;

/// Passes the body of one Messages stream.
#[derive(Debug)]
pub struct MessagesStream {
    decoder: Decoder,
    /// The bytes of an event that is not complete yet.
    held: BytesMut,
    alias: Option<ModelName>,
    seen: Seen,
    /// How it ended; nothing is written afterwards.
    ended: Option<Progress>,
}

/// What was seen in the events.
#[derive(Debug, Default)]
struct Seen {
    observed: Observed,
    started: bool,
    text_bytes: u64,
}

/// What is to be done with an event.
enum Verdict {
    Pass,
    /// It begins the message, whose model is to be renamed.
    Rename,
    /// It ends the stream properly.
    Stop,
    /// It ends the stream with an error of the upstream.
    Error(Fault),
    /// It ends the stream with an error that the client must not see as it is.
    Conceal(Fault),
}

impl MessagesStream {
    /// A stream that has not begun. With an alias, the client sees it as the model's name.
    pub fn new(alias: Option<ModelName>) -> Self {
        Self {
            decoder: Decoder::new(),
            held: BytesMut::new(),
            alias,
            seen: Seen::default(),
            ended: None,
        }
    }

    /// What was seen so far.
    pub const fn observed(&self) -> &Observed {
        &self.seen.observed
    }

    /// Takes a chunk of the body.
    pub fn push(&mut self, chunk: &Bytes, out: &mut BytesMut) -> Progress {
        if let Some(ended) = &self.ended {
            return ended.clone();
        }
        let (mut rest, mut passed): (&[u8], usize) = (chunk, 0);
        loop {
            let verdict = match self.decoder.next(&mut rest) {
                Ok(Some(Item::Event(event))) => self.seen.take(event, self.alias.is_some()),
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

    /// The body ended. Without `message_stop` it broke off, whatever came before: where bytes pass, an end
    /// is never made up.
    pub fn end(&mut self, ending: Ending, out: &mut BytesMut) -> Progress {
        if let Some(ended) = &self.ended {
            return ended.clone();
        }
        if ending == Ending::Eof
            && let Ok(Some(event)) = self.decoder.finish()
            && let Some(data) = std::str::from_utf8(event.data)
                .ok()
                .filter(|data| Members::read(data).is_some())
        {
            // The event is whole, only its blank line is missing.
            let event = Event {
                name: event.name,
                data: data.as_bytes(),
            };
            let verdict = self.seen.take(event, self.alias.is_some());
            if let Some(ended) = self.carry_out(verdict, b"\n\n", out) {
                return ended;
            }
        }
        if let Some(fault) = self.fault_instead_of_events() {
            return self.fail(fault, out);
        }
        let progress = self.fail(
            Fault::broken("the upstream broke off before its answer was complete"),
            out,
        );
        self.seen.observed.outcome = Outcome::Broken;
        progress
    }

    /// Writes a sign of life: an event once the message has begun, a comment before.
    pub fn ping(&mut self, out: &mut BytesMut) {
        if self.ended.is_none() {
            out.put_slice(if self.seen.started { PING } else { b": ping\n\n" });
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
            Verdict::Rename => {
                self.held.put_slice(bytes);
                let event = self.held.split().freeze();
                let renamed = self.alias.as_ref().and_then(|alias| {
                    rename_in_event(&event, alias, |data| data.members("message")?.get("model"))
                });
                out.put_slice(&renamed.unwrap_or(event));
            }
            Verdict::Stop => {
                self.pass(bytes, out);
                return Some(self.finish());
            }
            Verdict::Error(fault) => {
                self.pass(bytes, out);
                self.seen.observed.outcome = Outcome::Failed(fault.clone());
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

    fn finish(&mut self) -> Progress {
        self.held.clear();
        self.seen.observed.outcome = Outcome::Complete;
        self.ended.insert(Progress::Finished).clone()
    }

    fn fail(&mut self, fault: Fault, out: &mut BytesMut) -> Progress {
        self.held.clear();
        put_error(out, fault.kind, &fault.message);
        self.seen.observed.outcome = Outcome::Failed(fault.clone());
        self.ended.insert(Progress::Failed(fault)).clone()
    }

    /// The error in a body that is no stream at all, though a stream was asked for.
    fn fault_instead_of_events(&self) -> Option<Fault> {
        let body = std::str::from_utf8(&self.held)
            .ok()?
            .trim_start_matches(['\u{feff}', ' ', '\r', '\n']);
        if self.seen.started || !body.starts_with(['{', '<']) {
            return None;
        }
        let complaint = complaint::in_answer(&Members::read(body).unwrap_or_default());
        Some(complaint.map_or_else(
            || Fault::broken("the upstream answered a streaming request without a stream"),
            |complaint| fault_in_answer(&complaint),
        ))
    }
}

impl Seen {
    /// Notes what the event says.
    fn take(&mut self, event: Event<'_>, aliased: bool) -> Verdict {
        match event.name {
            b"content_block_delta" => {
                self.count(event.data.len().saturating_sub(DELTA_FRAME_BYTES));
                return Verdict::Pass;
            }
            b"ping" | b"content_block_stop" => return Verdict::Pass,
            b"message_stop" => return Verdict::Stop,
            _ => {}
        }
        let text = std::str::from_utf8(event.data).ok();
        let Some((text, data)) = text.and_then(|text| Some((text, Members::read(text)?))) else {
            // An error that nobody can read is still the end, and may speak of our credential.
            return match event.name {
                b"error" => Verdict::Conceal(Fault::broken("the upstream ended its answer with an error")),
                _ => Verdict::Pass,
            };
        };
        // Without an `event:` line clients see nothing; the observation need not be blind, too.
        let kind = match event.name {
            b"" => data.string("type").unwrap_or_default().into_owned(),
            name => String::from_utf8_lossy(name).into_owned(),
        };
        match kind.as_str() {
            "message_start" => {
                self.started = true;
                observe_message(&mut self.observed, &data.members("message").unwrap_or_default());
                self.observed.usage_estimated = true;
                if aliased { Verdict::Rename } else { Verdict::Pass }
            }
            "content_block_start" => {
                let block = data.members("content_block").unwrap_or_default();
                self.observed.tool_calls +=
                    u32::from(block.string("type").is_some_and(|kind| kind == "tool_use"));
                Verdict::Pass
            }
            "message_delta" => {
                self.take_message_delta(&data);
                Verdict::Pass
            }
            "message_stop" => Verdict::Stop,
            "error" => error_verdict(text),
            _ => Verdict::Pass,
        }
    }

    fn take_message_delta(&mut self, data: &Members<'_>) {
        let reason = data
            .members("delta")
            .and_then(|delta| delta.string("stop_reason"));
        if let Some(reason) = reason {
            self.observed.stop_reason = Some(reason.into_owned());
        }
        if let Some(counts) = data.get("usage") {
            usage::merge(self.observed.usage.get_or_insert_default(), counts);
            self.observed.usage_estimated = false;
        }
    }

    /// Until the upstream tells, output is estimated from what passed.
    fn count(&mut self, bytes: usize) {
        self.text_bytes = self.text_bytes.saturating_add(tally::size(bytes));
        if let Some(usage) = self
            .observed
            .usage
            .as_mut()
            .filter(|_| self.observed.usage_estimated)
        {
            usage.output = usage.output.max(tally::tokens(self.text_bytes));
        }
    }
}

/// An `error` event: relayed as it is, unless it speaks of our credential.
fn error_verdict(text: &str) -> Verdict {
    let Some((word, message)) = read_envelope(text) else {
        let complaint = complaint::in_error_body(text);
        return Verdict::Conceal(fault_in_answer(&complaint));
    };
    let kind = ErrorKind::parse(&word).unwrap_or(ErrorKind::Api);
    if refuses_us(kind) {
        return Verdict::Conceal(Fault::broken(REFUSED));
    }
    Verdict::Error(Fault::new(kind, message))
}

/// The bytes of an event with the model renamed, which stands at this place of its data.
pub(crate) fn rename_in_event(
    event: &Bytes,
    alias: &ModelName,
    place: impl for<'a> Fn(&Members<'a>) -> Option<Raw<'a>>,
) -> Option<Bytes> {
    let text = std::str::from_utf8(event).ok()?;
    // Only JSON on one line can be a place in the event; nobody writes it otherwise.
    let line = text
        .split(['\n', '\r'])
        .find_map(|line| line.strip_prefix("data:"))?;
    rename(event, place(&Members::read(line)?)?, alias)
}
