//! What is seen in the events of a Responses stream.

use std::borrow::Cow;

use crate::dialect::openai::{complaint, usage};
use crate::dialect::raw::{Members, Raw};
use crate::dialect::sse::Event;
use crate::pipeline::translate::answer::observed::Observed;
use crate::pipeline::translate::answer::openai::bytes::observe_head;
use crate::pipeline::translate::answer::openai::bytes_stream::Verdict;
use crate::pipeline::translate::answer::tally;
use crate::pipeline::translate::upstream_error::{REFUSED, fault_in_answer};
use crate::types::usage::{ServiceTier, Usage};

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct ResponseWatch {
    pub(super) observed: Observed,
    /// The number that our own event would have.
    pub(super) next_number: u64,
    text_bytes: u64,
    told_usage: bool,
    tier: Option<ServiceTier>,
}

impl ResponseWatch {
    /// Notes what the event says.
    pub(super) fn take(&mut self, event: Event<'_>, input_tokens: u64) -> Verdict {
        let data = std::str::from_utf8(event.data).ok().and_then(Members::read);
        let Some(data) = data else {
            return Verdict::Pass;
        };
        if let Some(number) = data.count("sequence_number") {
            self.next_number = number.saturating_add(1);
        }
        let kind = data.string("type").unwrap_or_default();
        let response = data.members("response");
        if let Some(response) = &response {
            self.tier = usage::tier(response).or(self.tier);
            observe_head(&mut self.observed, response);
        }
        let verdict = match (kind.as_ref(), response) {
            ("response.completed" | "response.incomplete", Some(response)) => {
                self.finish(&response);
                Verdict::Done
            }
            ("response.failed", Some(response)) => error_verdict(&response),
            ("error", _) => error_verdict(&data),
            ("response.output_item.added", _) => {
                let item = data.members("item").unwrap_or_default();
                self.observed.tool_calls += u32::from(is_call(&item));
                Verdict::Pass
            }
            (kind, None) if kind.ends_with(".delta") => {
                let bytes = data.get("delta").and_then(Raw::escaped).map_or(0, str::len);
                self.text_bytes = self.text_bytes.saturating_add(tally::size(bytes));
                Verdict::Pass
            }
            (_, Some(_)) => Verdict::Rename,
            (_, None) => Verdict::Pass,
        };
        self.estimate(input_tokens);
        verdict
    }

    fn finish(&mut self, response: &Members<'_>) {
        self.observed.stop_reason = Some(stop_reason(response, self.observed.tool_calls > 0).to_owned());
        if let Some(usage) = usage::of_response(response) {
            self.observed.usage = Some(usage);
            self.observed.usage_estimated = false;
            self.told_usage = true;
        }
    }

    /// Until the upstream tells, usage is estimated from what passed.
    fn estimate(&mut self, input: u64) {
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

/// Why a response ended, in Messages words.
pub(super) fn stop_reason(response: &Members<'_>, has_calls: bool) -> &'static str {
    let incomplete = response.members("incomplete_details");
    let reason = incomplete.and_then(|details| details.string("reason"));
    match reason.as_deref() {
        Some("max_output_tokens") => "max_tokens",
        Some("content_filter") => "refusal",
        _ if has_calls => "tool_use",
        _ => "end_turn",
    }
}

/// Whether an item of the output is a call that the client has to answer.
pub(super) fn is_call(item: &Members<'_>) -> bool {
    let kind = item.string("type").unwrap_or_default();
    matches!(kind, Cow::Borrowed("function_call" | "custom_tool_call"))
}

/// An error: relayed as it is, unless it speaks of our credential.
fn error_verdict(of: &Members<'_>) -> Verdict {
    let complaint = complaint::in_answer(of).unwrap_or_default();
    let fault = fault_in_answer(&complaint);
    if fault.message == REFUSED {
        Verdict::Conceal(fault)
    } else {
        Verdict::Error(fault)
    }
}
