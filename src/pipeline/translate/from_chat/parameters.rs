//! Parameters of a chat completion, as Messages know them.

use bytes::BufMut;

use crate::dialect::raw::{Members, Raw, is_blank};
use crate::pipeline::translate::dropped::Place;
use crate::pipeline::translate::request::{Untranslatable, refuse};
use crate::pipeline::translate::to_messages::Draft;
use crate::pipeline::translate::to_messages::parameters::{
    Asked, put_bound, put_output_config, put_sampling, put_stream, put_tier, put_user, report_others,
};
use crate::pipeline::translate::to_messages::thinking::Thinking;

pub(super) fn put(
    draft: &mut Draft<'_>,
    request: &Members<'_>,
    may_think: bool,
) -> Result<Asked, Untranslatable> {
    refuse_what_changes_the_meaning(request)?;
    let effort = request.string("reasoning_effort").unwrap_or_default();
    let place = Place::Body.member("reasoning_effort");
    let thinking = Thinking::of(draft, place, &effort, may_think);
    let bound = ["max_completion_tokens", "max_tokens"]
        .iter()
        .find_map(|key| request.count(key));
    put_bound(draft, bound, &thinking);
    put_stream(draft, request);
    put_sampling(draft, request, thinking.is_on);
    put_stop(draft, request);
    put_user(draft, request);
    put_tier(draft, request);
    thinking.put(draft);
    let json_only = put_format(draft, request, &thinking)?;
    report_others(draft, request, &READ, &HINTS);
    Ok(Asked {
        is_thinking: thinking.budget.is_some(),
        json_only,
    })
}

fn refuse_what_changes_the_meaning(request: &Members<'_>) -> Result<(), Untranslatable> {
    let body = Place::Body;
    if request.count("n").is_some_and(|count| count > 1) {
        let problem = "the upstream of this model gives one answer: ask for one";
        return Err(refuse(body.member("n"), problem));
    }
    let spoken = request
        .get("modalities")
        .and_then(Raw::elements)
        .unwrap_or_default();
    if spoken
        .iter()
        .any(|kind| kind.string().is_some_and(|kind| kind != "text"))
    {
        return Err(refuse(
            body.member("modalities"),
            "the upstream of this model writes text only",
        ));
    }
    if request.get("web_search_options").is_some() {
        let problem = "the upstream of this model has no search of this kind: leave it out";
        return Err(refuse(body.member("web_search_options"), problem));
    }
    Ok(())
}

fn put_stop(draft: &mut Draft<'_>, request: &Members<'_>) {
    let Some(stop) = request.get("stop") else { return };
    let place = Place::Body.member("stop");
    let listed = stop.elements().unwrap_or_else(|| vec![stop]);
    let is_good = |text: &&Raw<'_>| text.escaped().is_some_and(|text| !is_blank(text));
    let good: Vec<_> = listed.iter().filter(is_good).collect();
    if good.len() < listed.len() {
        draft
            .losses
            .loss(place, "the upstream takes no blank stop sequences");
    }
    for (index, text) in good.iter().enumerate() {
        if index == 0 {
            draft.key("stop_sequences");
        }
        draft.out.put_u8(if index == 0 { b'[' } else { b',' });
        draft.out.put_slice(text.text().as_bytes());
    }
    if !good.is_empty() {
        draft.out.put_u8(b']');
    }
}

/// Writes effort and format; tells whether some JSON object is wanted, which only words can ask for.
fn put_format(
    draft: &mut Draft<'_>,
    request: &Members<'_>,
    thinking: &Thinking,
) -> Result<bool, Untranslatable> {
    let format = request.members("response_format").unwrap_or_default();
    let kind = format.string("type").unwrap_or_default();
    let place = Place::Body.member("response_format");
    let schema =
        match kind.as_ref() {
            "json_schema" => {
                let schema = format
                    .members("json_schema")
                    .and_then(|named| named.get("schema"));
                let schema = schema.filter(|schema| schema.text().starts_with('{'));
                Some(schema.ok_or_else(|| {
                    refuse(place.member("json_schema"), "an object with a schema is wanted")
                })?)
            }
            "json_object" => {
                draft.losses.loss(place, "asked for in words");
                None
            }
            _ => None,
        };
    put_output_config(draft, thinking, schema);
    Ok(kind == "json_object")
}

/// Fields that are read here or elsewhere.
const READ: [&str; 25] = [
    "model",
    "messages",
    "max_tokens",
    "max_completion_tokens",
    "stream",
    "stream_options",
    "n",
    "modalities",
    "web_search_options",
    "temperature",
    "top_p",
    "top_k",
    "stop",
    "user",
    "safety_identifier",
    "service_tier",
    "reasoning_effort",
    "response_format",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "functions",
    "function_call",
    "store",
    "background",
];
/// Fields that only advise, or that ask for what the upstream does anyway.
const HINTS: [&str; 6] = [
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "metadata",
    "verbosity",
    "prediction",
];
