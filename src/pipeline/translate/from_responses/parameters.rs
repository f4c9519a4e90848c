//! Parameters of the Responses API, as Messages know them.

use crate::dialect::raw::{Members, Raw};
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
    let body = Place::Body;
    if request.get("background").and_then(Raw::boolean) == Some(true) {
        let problem = "the upstream of this model answers at once: leave it out";
        return Err(refuse(body.member("background"), problem));
    }
    let reasoning = request.members("reasoning").unwrap_or_default();
    let effort = reasoning.string("effort").unwrap_or_default();
    let place = body.member("reasoning");
    let thinking = Thinking::of(draft, place.member("effort"), &effort, may_think);
    put_bound(draft, request.count("max_output_tokens"), &thinking);
    put_stream(draft, request);
    put_sampling(draft, request, thinking.is_on);
    put_user(draft, request);
    put_tier(draft, request);
    thinking.put(draft);
    let json_only = put_format(draft, request, &thinking)?;
    report_kept(draft, request);
    report_others(draft, request, &READ, &HINTS);
    Ok(Asked {
        is_thinking: thinking.budget.is_some(),
        json_only,
    })
}

/// Writes effort and format; tells whether some JSON object is wanted, which only words can ask for.
fn put_format(
    draft: &mut Draft<'_>,
    request: &Members<'_>,
    thinking: &Thinking,
) -> Result<bool, Untranslatable> {
    let place = Place::Body.member("text");
    let text = request.members("text").unwrap_or_default();
    if text.get("verbosity").is_some() {
        draft
            .losses
            .hint(place.member("verbosity"), "unknown to Messages");
    }
    let format = text.members("format").unwrap_or_default();
    let kind = format.string("type").unwrap_or_default();
    let schema = format
        .get("schema")
        .filter(|schema| schema.text().starts_with('{'));
    let schema = match (kind.as_ref(), schema) {
        ("json_schema", None) => {
            let place = place.member("format");
            return Err(refuse(place.member("schema"), "an object is wanted"));
        }
        ("json_schema", schema) => schema,
        ("json_object", _) => {
            draft.losses.loss(place.member("format"), "asked for in words");
            None
        }
        _ => None,
    };
    put_output_config(draft, thinking, schema);
    Ok(kind == "json_object")
}

/// Reports what only OpenAI could keep, cut or add to its answer.
fn report_kept(draft: &mut Draft<'_>, request: &Members<'_>) {
    let body = Place::Body;
    if request.get("store").and_then(Raw::boolean) == Some(true) {
        draft.losses.loss(body.member("store"), "nothing is kept");
    }
    if request.string("truncation").is_some_and(|word| word == "auto") {
        let why = "the upstream cuts no conversation";
        draft.losses.loss(body.member("truncation"), why);
    }
    let include = body.member("include");
    let listed = request.get("include").and_then(Raw::elements).unwrap_or_default();
    for (index, wish) in listed.into_iter().enumerate() {
        // What has to come back is told in any case.
        if wish
            .string()
            .is_none_or(|wish| wish != "reasoning.encrypted_content")
        {
            draft
                .losses
                .loss(include.element(index), "the upstream does not tell it");
        }
    }
}

/// Fields that are read here or elsewhere.
const READ: [&str; 20] = [
    "model",
    "input",
    "instructions",
    "max_output_tokens",
    "stream",
    "stream_options",
    "temperature",
    "top_p",
    "user",
    "safety_identifier",
    "service_tier",
    "reasoning",
    "text",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "store",
    "background",
    "truncation",
    "include",
];

/// Fields that only advise, or that ask for what the upstream does anyway.
const HINTS: [&str; 5] = [
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "metadata",
    "client_metadata",
];
