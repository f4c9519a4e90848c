//! What is seen in the chunks of a stream of chat completions.

use crate::dialect::openai::answer::{Piece, each_piece, tool_deltas};
use crate::dialect::openai::{complaint, finish, usage};
use crate::dialect::raw::{Members, Raw};
use crate::dialect::sse::Event;
use crate::pipeline::translate::answer::fault::Fault;
use crate::pipeline::translate::answer::observed::Observed;
use crate::pipeline::translate::answer::openai::bytes::observe_head;
use crate::pipeline::translate::answer::openai::bytes_stream::{Verdict, is_done};
use crate::pipeline::translate::answer::openai::context::ChatBytes;
use crate::pipeline::translate::answer::tally;
use crate::pipeline::translate::upstream_error::{REFUSED, fault_in_answer};
use crate::types::usage::{ServiceTier, Usage};

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct ChunkWatch {
    pub(super) observed: Observed,
    pub(super) finished_choices: u64,
    text_bytes: u64,
    told_usage: bool,
    tier: Option<ServiceTier>,
}

impl ChunkWatch {
    /// Notes what the event says.
    pub(super) fn take(&mut self, event: Event<'_>, plan: &ChatBytes) -> Verdict {
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
        observe_head(&mut self.observed, &data);
        let choices = data.get("choices").and_then(Raw::elements).unwrap_or_default();
        let choices: Vec<_> = choices.into_iter().filter_map(Raw::members).collect();
        for choice in &choices {
            self.take_choice(choice);
        }
        self.tier = usage::tier(&data).or(self.tier);
        let told = usage::find(&data, choices.first());
        if let Some(usage) = told {
            self.observed.usage = Some(usage::served_in(self.tier, usage));
            self.observed.usage_estimated = false;
            self.told_usage = true;
        }
        self.estimate(plan.input_tokens);
        if choices.is_empty() && told.is_some() && plan.withhold_usage {
            Verdict::Withhold
        } else {
            Verdict::Rename
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
    pub(super) fn estimate(&mut self, input: u64) {
        if !self.told_usage {
            let usage = Usage {
                input,
                output: tally::tokens(self.text_bytes),
                ..Usage::default()
            };
            self.observed.usage = Some(usage::served_in(self.tier, usage));
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
