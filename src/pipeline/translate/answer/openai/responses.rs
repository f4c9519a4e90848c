//! Whole answers of the Responses API: the body passes byte for byte.

use bytes::Bytes;

use crate::dialect::openai::{complaint, usage};
use crate::dialect::raw::{Members, Raw};
use crate::pipeline::translate::answer::fault::Fault;
use crate::pipeline::translate::answer::messages::rename;
use crate::pipeline::translate::answer::observed::{Observed, Outcome};
use crate::pipeline::translate::answer::openai::bytes::observe_head;
use crate::pipeline::translate::answer::openai::response_watch::{is_call, stop_reason};
use crate::pipeline::translate::upstream_error::fault_in_answer;
use crate::types::ids::ModelName;

/// Observes an answer with status 200 and, where the client asked by an alias, splices the alias into
/// `model`. A body that cannot be read passes as it is, and [`Outcome::Broken`] says so.
///
/// # Errors
/// The fault that the body names in spite of its status.
pub fn response_json(body: &Bytes, alias: Option<&ModelName>) -> Result<(Bytes, Observed), Fault> {
    let mut observed = Observed {
        outcome: Outcome::Broken,
        ..Observed::default()
    };
    let Some(answer) = std::str::from_utf8(body).ok().and_then(Members::read) else {
        return Ok((body.clone(), observed));
    };
    if let Some(complaint) = complaint::in_answer(&answer) {
        return Err(fault_in_answer(&complaint));
    }
    observe_head(&mut observed, &answer);
    if let Some(output) = answer.get("output").and_then(Raw::elements) {
        let calls = output
            .into_iter()
            .filter_map(Raw::members)
            .filter(is_call)
            .count();
        observed.tool_calls = u32::try_from(calls).unwrap_or(u32::MAX);
        observed.stop_reason = Some(stop_reason(&answer, calls > 0).to_owned());
        observed.outcome = Outcome::Complete;
    }
    observed.usage = usage::of_response(&answer);
    let renamed = alias.and_then(|alias| rename(body, answer.get("model")?, alias));
    Ok((renamed.unwrap_or_else(|| body.clone()), observed))
}
