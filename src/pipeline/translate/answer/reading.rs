//! What chunks and completions add up to: the part that streams and whole answers share.

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};

use crate::dialect::anthropic::signature::Signer;
use crate::dialect::anthropic::usage::put_usage;
use crate::dialect::openai::answer::{Choice, Piece, ReasoningIn, ToolDelta, each_piece, tool_deltas};
use crate::dialect::openai::{complaint, usage};
use crate::dialect::raw::{Members, escape, put_string, unescape};
use crate::pipeline::translate::answer::blocks::{Blocks, View};
use crate::pipeline::translate::answer::context::AnswerContext;
use crate::pipeline::translate::answer::fault::Fault;
use crate::pipeline::translate::answer::finish::Finish;
use crate::pipeline::translate::answer::observed::{Observed, Outcome};
use crate::pipeline::translate::answer::passage::Hiding;
use crate::pipeline::translate::answer::prose::{Kind, StopWatch, Tags};
use crate::pipeline::translate::answer::tally;
use crate::pipeline::translate::upstream_error::fault_in_answer;
use crate::types::ids::ModelName;
use crate::types::usage::{ServiceTier, Usage};

/// A chat answer, as far as it has been read.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) context: AnswerContext,
    pub(crate) message_id: String,
    pub(crate) blocks: Blocks,
    pub(crate) observed: Observed,
    tags: Option<Tags>,
    stops: Option<StopWatch>,
    usage: Option<Usage>,
    tier: Option<ServiceTier>,
    finish: Option<Finish>,
    refused: bool,
    matched_stop: Option<String>,
    /// Whether we ended the text at a stop sequence; what follows does not exist.
    stopped: bool,
    begun: bool,
}

impl Reading {
    pub(crate) fn new(context: AnswerContext, message_id: String) -> Self {
        let hiding = match (context.hide_thinking, context.keep_hidden) {
            (false, _) => Hiding::Shown,
            (true, false) => Hiding::Dropped,
            (true, true) => Hiding::Kept,
        };
        Self {
            blocks: Blocks::new(hiding),
            observed: Observed::default(),
            tags: (context.reasoning_in == Some(ReasoningIn::ThinkTags)).then(Tags::new),
            stops: (!context.watched.is_empty()).then(|| StopWatch::new(&context.watched)),
            usage: None,
            tier: None,
            finish: None,
            refused: false,
            matched_stop: None,
            stopped: false,
            begun: false,
            context,
            message_id,
        }
    }

    /// The same for an upstream that signs what must come back.
    pub(crate) fn signed(context: AnswerContext, message_id: String, by: Signer) -> Self {
        let mut reading = Self::new(context, message_id);
        reading.blocks = Blocks::signed(reading.blocks.hiding(), by);
        reading
    }

    /// Whether the upstream said that the answer ended, or we ended it.
    pub(crate) const fn is_finished(&self) -> bool {
        self.finish.is_some() || self.stopped
    }

    /// Whether we ended the text at a stop sequence, so that nothing more is of interest.
    pub(crate) const fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Whether anything but errors has come.
    pub(crate) const fn has_begun(&self) -> bool {
        self.begun
    }

    /// Takes a chunk, or a completion.
    pub(crate) fn take(&mut self, answer: &Members<'_>, body_key: &str) -> Result<(), Fault> {
        if let Some(complaint) = complaint::in_answer(answer) {
            return Err(fault_in_answer(&complaint));
        }
        let choice = Choice::first(answer, body_key);
        let usage = usage::find(answer, choice.as_ref().map(|choice| &choice.members));
        self.tier = usage::tier(answer).or(self.tier);
        self.begin(usage, answer.string("model"), answer.string("id"));
        let Some(choice) = choice.filter(|_| !self.stopped) else {
            return Ok(());
        };
        self.take_prose(&choice)?;
        for delta in tool_deltas(&choice.body) {
            self.call(&delta)?;
        }
        if let Some(reason) = choice.finish_reason() {
            if matches!(reason.as_ref(), "error" | "insufficient_system_resource") {
                return Err(fault_in_answer(&complaint::Complaint {
                    words: vec![reason.into_owned()],
                    ..complaint::Complaint::default()
                }));
            }
            self.finish = Some(Finish::of_chat(&reason));
        }
        let stop = choice
            .matched_stop()
            .filter(|stop| self.context.stop_sequences.iter().any(|s| s == stop));
        self.matched_stop = stop.map(Cow::into_owned).or(self.matched_stop.take());
        Ok(())
    }

    /// Something that is no error has come, with what it tells about the answer.
    pub(crate) fn begin(
        &mut self,
        usage: Option<Usage>,
        model: Option<Cow<'_, str>>,
        id: Option<Cow<'_, str>>,
    ) {
        self.begun = true;
        self.usage = usage.or(self.usage);
        if self.observed.served_model.is_none() {
            let model = model.filter(|model| !model.is_empty());
            self.observed.served_model = model.map(|model| ModelName::new(model.into_owned()));
        }
        if self.observed.upstream_id.is_none() {
            let id = id.filter(|id| !id.is_empty());
            self.observed.upstream_id = id.map(Cow::into_owned);
        }
    }

    /// Takes a piece of thinking, escaped.
    pub(crate) fn thinking(&mut self, escaped: &str) -> Result<(), Fault> {
        self.end_prose()?;
        self.blocks.prose(Kind::Thinking, escaped)
    }

    /// Takes a piece of text, escaped.
    pub(crate) fn text(&mut self, escaped: &str) -> Result<(), Fault> {
        if self.tags.is_none() && self.stops.is_none() {
            self.blocks.prose(Kind::Text, escaped)
        } else {
            self.take_text(escaped)
        }
    }

    /// Takes a piece of a tool call.
    pub(crate) fn call(&mut self, delta: &ToolDelta<'_>) -> Result<(), Fault> {
        self.end_prose()?;
        self.blocks.tool(delta)
    }

    /// The upstream says that the answer ended.
    pub(crate) const fn finish(&mut self, finish: Finish) {
        self.finish = Some(finish);
    }

    /// Nothing follows: what filters hold is part of the answer.
    pub(crate) fn end(&mut self) -> Result<(), Fault> {
        self.end_prose()?;
        if self.blocks.has_nameless_arguments() && self.stop_reason() != "max_tokens" {
            return Err(Fault::broken(
                "the upstream's answer has a tool call without a name",
            ));
        }
        Ok(())
    }

    /// The stop reason in Messages words.
    pub(crate) fn stop_reason(&self) -> &'static str {
        if self.refused || self.finish == Some(Finish::Refused) {
            "refusal"
        } else if self.finish == Some(Finish::Length) {
            "max_tokens"
        } else if self.finish == Some(Finish::ContextFull) {
            "model_context_window_exceeded"
        } else if self.blocks.tool_calls() > 0 {
            "tool_use"
        } else if self.matched_stop.is_some() || self.finish == Some(Finish::StopSequence) {
            "stop_sequence"
        } else {
            "end_turn"
        }
    }

    /// The stop sequence, where it is the reason and is known.
    pub(crate) fn stop_sequence(&self) -> Option<&str> {
        let only = match self.context.stop_sequences.as_slice() {
            [only] => Some(only.as_str()),
            _ => None,
        };
        self.matched_stop
            .as_deref()
            .or(only)
            .filter(|_| self.stop_reason() == "stop_sequence")
    }

    /// The usage to report: the upstream's, else our estimate.
    pub(crate) fn usage(&self) -> Usage {
        let usage = self.usage.unwrap_or_else(|| Usage {
            input: self.context.input_tokens,
            output: tally::tokens(self.blocks.seen_bytes()),
            ..Usage::default()
        });
        usage::served_in(self.tier, usage)
    }

    /// Brings the observation up to date.
    pub(crate) fn observe(&mut self) {
        self.observed.usage = Some(self.usage());
        self.observed.usage_estimated = self.usage.is_none();
        self.observed.tool_calls = self.blocks.tool_calls();
    }

    /// Notes the proper end.
    pub(crate) fn complete(&mut self) {
        self.observe();
        self.observed.stop_reason = Some(self.stop_reason().to_owned());
        self.observed.outcome = Outcome::Complete;
    }

    /// Writes the whole message.
    pub(crate) fn put_message(&mut self, out: &mut BytesMut) {
        out.put_slice(br#"{"id":"#);
        put_string(out, &self.message_id);
        out.put_slice(br#","type":"message","role":"assistant","model":"#);
        put_string(out, self.context.requested_model.as_str());
        out.put_slice(br#","content":"#);
        let view = View {
            names: &self.context.names,
            message_id: &self.message_id,
        };
        self.blocks.put_content(out, &view);
        out.put_slice(br#","stop_reason":"#);
        put_string(out, self.stop_reason());
        out.put_slice(br#","stop_sequence":"#);
        match self.stop_sequence() {
            Some(sequence) => put_string(out, sequence),
            None => out.put_slice(b"null"),
        }
        out.put_slice(br#","usage":"#);
        put_usage(out, &self.usage());
        out.put_u8(b'}');
    }

    /// Shows what can be shown.
    pub(crate) fn show(&mut self, out: &mut BytesMut, at_end: bool) {
        let view = View {
            names: &self.context.names,
            message_id: &self.message_id,
        };
        self.blocks.show(out, &view, at_end);
    }

    fn take_prose(&mut self, choice: &Choice<'_>) -> Result<(), Fault> {
        let mut pieces = Vec::with_capacity(2);
        each_piece(&choice.body, self.context.reasoning_in, |piece| {
            pieces.push(piece);
        });
        for piece in pieces {
            match piece {
                Piece::Thinking(text) => self.thinking(text)?,
                Piece::Text(text) => self.text(text)?,
                Piece::Refusal(text) => {
                    self.end_prose()?;
                    self.refused = true;
                    self.blocks.prose(Kind::Text, text)?;
                }
            }
        }
        Ok(())
    }

    /// Takes text that must be looked into.
    fn take_text(&mut self, escaped: &str) -> Result<(), Fault> {
        let Some(text) = unescape(escaped) else {
            return self.blocks.prose(Kind::Text, escaped);
        };
        let mut pieces = Vec::new();
        match &mut self.tags {
            Some(tags) => tags.take(&text, &mut |kind, piece| pieces.push((kind, piece.to_owned()))),
            None => pieces.push((Kind::Text, text.into_owned())),
        }
        pieces
            .into_iter()
            .try_for_each(|(kind, piece)| self.take_piece(kind, &piece))
    }

    fn take_piece(&mut self, kind: Kind, piece: &str) -> Result<(), Fault> {
        let Some(stops) = self.stops.as_mut().filter(|_| kind == Kind::Text) else {
            return self.blocks.prose(kind, &escape(piece));
        };
        if self.stopped {
            return Ok(());
        }
        let (certain, stop) = stops.take(piece);
        if stop.is_some() {
            self.matched_stop = stop;
            self.stopped = true;
        }
        if certain.is_empty() {
            Ok(())
        } else {
            self.blocks.prose(Kind::Text, &escape(&certain))
        }
    }

    /// Something else than text comes, or nothing: no tag and no stop sequence can be completed.
    pub(crate) fn end_prose(&mut self) -> Result<(), Fault> {
        let mut pieces = Vec::new();
        if let Some(tags) = &mut self.tags {
            tags.end(&mut |kind, piece| pieces.push((kind, piece.to_owned())));
        }
        pieces
            .into_iter()
            .try_for_each(|(kind, piece)| self.take_piece(kind, &piece))?;
        let held = self.stops.as_mut().map(StopWatch::end).unwrap_or_default();
        if held.is_empty() {
            Ok(())
        } else {
            self.blocks.prose(Kind::Text, &escape(&held))
        }
    }
}
