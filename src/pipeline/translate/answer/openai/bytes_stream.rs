//! Streams of chat completions for clients that speak them: complete events pass byte for byte.
//!
//! Two edits at most: an alias is put back for the model's name, and the chunk that only tells the
//! usage is withheld from a client that did not ask for it.

use bytes::{BufMut, Bytes, BytesMut};

use crate::dialect::anthropic::error::ErrorKind;
use crate::dialect::openai::answer::{Piece, each_piece, tool_deltas};
use crate::dialect::openai::error::put_event;
use crate::dialect::openai::{complaint, finish, usage};
use crate::dialect::raw::{Members, Raw};
use crate::dialect::sse::{Decoder, Event, Item, LINE_BYTES_MAX};
use crate::pipeline::translate::answer::fault::Fault;
use crate::pipeline::translate::answer::messages_stream::rename_in_event;
use crate::pipeline::translate::answer::observed::{Observed, Outcome};
use crate::pipeline::translate::answer::openai::bytes::observe_head;
use crate::pipeline::translate::answer::tally;
use crate::pipeline::translate::answer::{Ending, Progress};
use crate::pipeline::translate::upstream_error::{REFUSED, fault_in_answer};
use crate::types::ids::ModelName;
use crate::types::usage::Usage;

/// The most bytes of one event that are held until it is complete.
const HELD_BYTES_MAX: usize = LINE_BYTES_MAX + (1 << 20);

/// The proper end of a stream.
pub(super) const DONE: &[u8] = b"data: [DONE]\n\n";

/// What the way back must know of the way out.
#[derive(Clone, Debug)]
pub struct ChatBytes {
    /// The name that the client asked for, if another one was sent.
    pub alias: Option<ModelName>,
    /// Whether we asked for the usage, so that the chunk that only tells it stays here.
    pub withhold_usage: bool,
    /// How many answers were asked for.
    pub choices: u64,
    /// Our estimate of the input, until the upstream tells.
    pub input_tokens: u64,
}

/// Passes the body of one stream of chunks.
#[derive(Debug)]
pub struct ChatBytesStream {
    plan: ChatBytes,
    decoder: Decoder,
    /// The bytes of an event that is not complete yet.
    held: BytesMut,
    seen: Seen,
    /// How it ended; nothing is written afterwards.
    ended: Option<Progress>,
}

/// What was seen in the events.
#[derive(Debug, Default)]
struct Seen {
    observed: Observed,
    begun: bool,
    finished_choices: u64,
    text_bytes: u64,
    told_usage: bool,
}

/// What is to be done with an event.
enum Verdict {
    Pass,
    /// It names the model, which is to be renamed.
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

impl ChatBytesStream {
    /// A stream that has not begun.
    pub fn new(plan: ChatBytes) -> Self {
        Self {
            plan,
            decoder: Decoder::new(),
            held: BytesMut::new(),
            seen: Seen::default(),
            ended: None,
        }
    }

    /// What was seen so far.
    pub const fn observed(&self) -> &Observed {
        &self.seen.observed
    }

    /// Whether only usage and the end mark are outstanding.
    pub const fn awaiting_tail(&self) -> bool {
        self.ended.is_none() && self.is_finished()
    }

    /// Takes a chunk of the body.
    pub fn push(&mut self, chunk: &Bytes, out: &mut BytesMut) -> Progress {
        if let Some(ended) = &self.ended {
            return ended.clone();
        }
        let (mut rest, mut passed): (&[u8], usize) = (chunk, 0);
        loop {
            let verdict = match self.decoder.next(&mut rest) {
                Ok(Some(Item::Event(event))) => self.seen.take(event, &self.plan),
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

    /// The body ended. An answer is complete with its end mark, or when every choice told why it ended.
    pub fn end(&mut self, ending: Ending, out: &mut BytesMut) -> Progress {
        if let Some(ended) = &self.ended {
            return ended.clone();
        }
        if ending == Ending::Eof
            && let Ok(Some(event)) = self.decoder.finish()
            && is_whole(event.data)
        {
            // The event is whole, only its blank line is missing.
            let verdict = self.seen.take(event, &self.plan);
            if let Some(ended) = self.carry_out(verdict, b"\n\n", out) {
                return ended;
            }
        }
        if self.is_finished() {
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
        self.seen.observed.outcome = Outcome::Broken;
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

    const fn is_finished(&self) -> bool {
        self.seen.finished_choices > 0 && self.seen.finished_choices >= self.plan.choices
    }

    /// Does what the verdict says with the held bytes and these; tells whether the stream ended.
    fn carry_out(&mut self, verdict: Verdict, bytes: &[u8], out: &mut BytesMut) -> Option<Progress> {
        match verdict {
            Verdict::Pass => self.pass(bytes, out),
            Verdict::Rename => {
                self.held.put_slice(bytes);
                let event = self.held.split().freeze();
                let alias = self.plan.alias.as_ref();
                let renamed =
                    alias.and_then(|alias| rename_in_event(&event, alias, |data| data.get("model")));
                out.put_slice(&renamed.unwrap_or(event));
            }
            Verdict::Withhold => self.held.clear(),
            Verdict::Done => {
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
        self.seen.estimate(self.plan.input_tokens);
        self.seen.observed.outcome = Outcome::Complete;
        self.ended.insert(Progress::Finished).clone()
    }

    fn fail(&mut self, fault: Fault, out: &mut BytesMut) -> Progress {
        self.held.clear();
        put_event(out, fault.kind, &fault.message);
        self.seen.observed.outcome = Outcome::Failed(fault.clone());
        self.ended.insert(Progress::Failed(fault)).clone()
    }

    /// The error in a body that is no stream at all, though a stream was asked for.
    fn fault_instead_of_events(&self) -> Option<Fault> {
        let body = std::str::from_utf8(&self.held)
            .ok()?
            .trim_start_matches(['\u{feff}', ' ', '\r', '\n']);
        if self.seen.begun || !body.starts_with(['{', '<']) {
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
    fn take(&mut self, event: Event<'_>, plan: &ChatBytes) -> Verdict {
        if is_done(event.data) {
            return Verdict::Done;
        }
        let data = std::str::from_utf8(event.data).ok().and_then(Members::read);
        let Some(data) = data else {
            return Verdict::Pass;
        };
        if let Some(complaint) = complaint::in_answer(&data) {
            return error_verdict(&data, &fault_in_answer(&complaint));
        }
        self.begun = true;
        observe_head(&mut self.observed, &data);
        let choices = data.get("choices").and_then(Raw::elements).unwrap_or_default();
        let choices: Vec<_> = choices.into_iter().filter_map(Raw::members).collect();
        for choice in &choices {
            self.take_choice(choice);
        }
        let told = usage::find(&data, choices.first());
        if let Some(usage) = told {
            self.observed.usage = Some(usage);
            self.observed.usage_estimated = false;
            self.told_usage = true;
        }
        self.estimate(plan.input_tokens);
        match (
            choices.is_empty() && told.is_some() && plan.withhold_usage,
            &plan.alias,
        ) {
            (true, _) => Verdict::Withhold,
            (false, Some(_)) if data.get("model").is_some() => Verdict::Rename,
            (false, _) => Verdict::Pass,
        }
    }

    fn take_choice(&mut self, choice: &Members<'_>) {
        let delta = choice.members("delta").unwrap_or_default();
        let mut bytes = 0;
        each_piece(&delta, None, |piece| {
            let (Piece::Thinking(text) | Piece::Text(text) | Piece::Refusal(text)) = piece;
            bytes += text.len();
        });
        for call in tool_deltas(&delta) {
            bytes += call.arguments.len();
            let begins = u32::from(!call.name.is_empty());
            self.observed.tool_calls = self.observed.tool_calls.saturating_add(begins);
        }
        self.text_bytes = self.text_bytes.saturating_add(tally::size(bytes));
        if let Some(reason) = choice.string("finish_reason").filter(|reason| !reason.is_empty()) {
            self.finished_choices = self.finished_choices.saturating_add(1);
            let reason = finish::stop_reason(&reason, self.observed.tool_calls > 0);
            self.observed.stop_reason = Some(reason.to_owned());
        }
    }

    /// Until the upstream tells, usage is estimated from what passed.
    fn estimate(&mut self, input: u64) {
        if !self.told_usage {
            self.observed.usage = Some(Usage {
                input,
                output: tally::tokens(self.text_bytes),
                ..Usage::default()
            });
            self.observed.usage_estimated = true;
        }
    }
}

/// An error in the stream: relayed as it is, unless it speaks of our credential or has another shape
/// than clients of this API know.
fn error_verdict(data: &Members<'_>, fault: &Fault) -> Verdict {
    let is_known = data
        .members("error")
        .is_some_and(|error| error.get("message").is_some());
    if is_known && fault.message != REFUSED {
        Verdict::Error(fault.clone())
    } else {
        Verdict::Conceal(fault.clone())
    }
}

fn is_done(data: &[u8]) -> bool {
    data.trim_ascii() == b"[DONE]"
}

fn is_whole(data: &[u8]) -> bool {
    is_done(data) || std::str::from_utf8(data).is_ok_and(|data| Members::read(data).is_some())
}
