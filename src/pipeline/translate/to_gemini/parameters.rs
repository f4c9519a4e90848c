//! Everything beside tools and messages: `generationConfig`.

use bytes::BufMut;

use crate::dialect::gemini::generation::Generation;
use crate::dialect::raw::{Members, Raw, put_string};
use crate::pipeline::translate::dropped::Place;
use crate::pipeline::translate::request::Untranslatable;
use crate::pipeline::translate::request::parameters::{
    READ_MEMBERS, put_list, read_max_tokens, read_stops, refuse_what_only_anthropic_runs,
};
use crate::pipeline::translate::request::read::Read;
use crate::pipeline::translate::to_gemini::{Draft, schema};

/// How many stop sequences Gemini takes.
const STOPS_UPSTREAM_MAX: usize = 5;

/// What the request asks for that the answer must honour.
pub(super) struct Asked {
    pub(super) stop_sequences: Vec<String>,
    /// Those that the upstream does not watch for.
    pub(super) watched: Vec<String>,
    pub(super) hide_thinking: bool,
}

/// Refuses what an upstream cannot do and what would be missed without a word.
pub(super) fn refuse_foreign(request: &Members<'_>) -> Result<(), Untranslatable> {
    refuse_what_only_anthropic_runs(request)
}

/// Writes the parameters; tells what the answer must honour.
pub(super) fn put(draft: &mut Draft, read: &Read<'_>) -> Result<Asked, Untranslatable> {
    let request = &read.request;
    refuse_foreign(request)?;
    draft.key("generationConfig");
    draft.out.put_u8(b'{');
    if let Some(limit) = read_max_tokens(request)? {
        draft.key("maxOutputTokens");
        draft.out.put_slice(limit.to_string().as_bytes());
    }
    for (name, theirs) in [
        ("temperature", "temperature"),
        ("top_p", "topP"),
        ("top_k", "topK"),
    ] {
        if let Some(value) = request.get(name) {
            draft.key(theirs);
            draft.out.put_slice(value.text().as_bytes());
        }
    }
    let (raws, stop_sequences) = read_stops(&mut draft.losses, request)?;
    let sent = raws.len().min(STOPS_UPSTREAM_MAX);
    if sent > 0 {
        draft.key("stopSequences");
        put_list(&mut draft.out, raws.get(..sent).unwrap_or_default());
    }
    let place = Place::Body.member("stop_sequences");
    for index in sent..stop_sequences.len() {
        let reason = "watched for by the gateway";
        draft.losses.hint(place.element(index), reason);
    }
    let thinking = request.members("thinking").unwrap_or_default();
    let hide_thinking = thinking.string("display").is_some_and(|shown| shown == "omitted");
    put_thinking(draft, request, &thinking, hide_thinking);
    put_format(draft, read);
    draft.out.put_u8(b'}');
    report_others(draft, request);
    Ok(Asked {
        watched: stop_sequences.iter().skip(sent).cloned().collect(),
        stop_sequences,
        hide_thinking,
    })
}

/// Writes `thinkingConfig`, where anything is said about thinking.
fn put_thinking(draft: &mut Draft, request: &Members<'_>, thinking: &Members<'_>, hidden: bool) {
    let config = request.members("output_config").unwrap_or_default();
    let effort = config.string("effort");
    let kind = thinking.string("type").unwrap_or_default();
    let body = Place::Body;
    let (place, config_place) = (body.member("thinking"), body.member("output_config"));
    if draft.generation == Generation::Unthinking {
        if !matches!(kind.as_ref(), "" | "disabled") {
            draft.losses.loss(place, "the model does not think");
        }
        if effort.is_some() {
            let reason = "the model does not think";
            draft.losses.loss(config_place.member("effort"), reason);
        }
        return;
    }
    if kind.is_empty() && effort.is_none() {
        return;
    }
    draft.key("thinkingConfig");
    draft.out.put_u8(b'{');
    let budget = thinking.count("budget_tokens").filter(|_| kind == "enabled");
    match (kind.as_ref(), effort.as_deref(), draft.generation) {
        ("disabled", _, generation) => put_least(draft, place, generation),
        (_, Some(effort), Generation::Level { .. }) => {
            draft.key("thinkingLevel");
            put_string(&mut draft.out, level(effort));
            if budget.is_some() {
                let reason = "the effort says how much";
                draft.losses.hint(place.member("budget_tokens"), reason);
            }
        }
        (_, Some(effort), Generation::Budget { most, .. }) if budget.is_none() => {
            put_budget(draft, budget_of(effort).min(most));
            let reason = "sent as a budget";
            draft.losses.hint(config_place.member("effort"), reason);
        }
        (_, _, generation) => {
            if let Some(budget) = budget {
                let most = match generation {
                    Generation::Budget { most, .. } => most,
                    Generation::Level { .. } | Generation::Unthinking => LEVEL_BUDGET_MAX,
                };
                if budget > most {
                    let reason = "lowered to what the model takes";
                    draft.losses.loss(place.member("budget_tokens"), reason);
                }
                put_budget(draft, budget.min(most));
            }
        }
    }
    if !matches!(kind.as_ref(), "" | "disabled") && !hidden {
        draft.key("includeThoughts");
        draft.out.put_slice(b"true");
    }
    draft.out.put_u8(b'}');
    draft
        .losses
        .unread(place, thinking, &["type", "budget_tokens", "display"]);
}

/// The largest budget that models with levels take.
const LEVEL_BUDGET_MAX: u64 = 32_768;

fn put_budget(draft: &mut Draft, budget: u64) {
    draft.key("thinkingBudget");
    draft.out.put_slice(budget.to_string().as_bytes());
}

/// Asks for as little thinking as the model can be asked for.
fn put_least(draft: &mut Draft, place: Place<'_>, generation: Generation) {
    match generation {
        Generation::Budget { least, .. } => {
            put_budget(draft, least);
            if least > 0 {
                draft.losses.loss(place, "the model always thinks");
            }
        }
        Generation::Level { least } => {
            draft.key("thinkingLevel");
            put_string(&mut draft.out, least);
            draft.losses.loss(place, "the model always thinks");
        }
        Generation::Unthinking => {}
    }
}

fn level(effort: &str) -> &'static str {
    match effort {
        "low" => "LOW",
        "medium" => "MEDIUM",
        "xhigh" | "max" => "XHIGH",
        _ => "HIGH",
    }
}

fn budget_of(effort: &str) -> u64 {
    match effort {
        "low" => 2_048,
        "medium" => 8_192,
        "high" => 16_384,
        _ => 32_768,
    }
}

/// Writes the form of the answer, where one is asked for.
fn put_format(draft: &mut Draft, read: &Read<'_>) {
    let config = read.request.members("output_config").unwrap_or_default();
    let config_place = Place::Body.member("output_config");
    let nested = config.members("format");
    let place = if nested.is_some() {
        config_place.member("format")
    } else {
        Place::Body.member("output_format")
    };
    draft.losses.unread(config_place, &config, &["effort", "format"]);
    let Some(format) = nested.or_else(|| read.request.members("output_format")) else {
        return;
    };
    let is_schema = format.string("type").is_some_and(|kind| kind == "json_schema");
    let Some(schema) = format.get("schema").filter(|_| is_schema) else {
        return draft.losses.loss(place, "the upstream has no such format");
    };
    if !read.tools.is_empty() && !draft.generation.signs_calls() {
        let reason = "the model takes tools or a format, not both";
        return draft.losses.loss(place, reason);
    }
    draft.key("responseMimeType");
    draft.out.put_slice(br#""application/json""#);
    draft.key("responseJsonSchema");
    schema::put(&mut draft.out, &mut draft.losses, place.member("schema"), schema);
}

fn report_others(draft: &mut Draft, request: &Members<'_>) {
    draft.losses.unread(Place::Body, request, &READ_MEMBERS);
    if request.get("metadata").is_some() {
        let reason = "not for other vendors";
        draft.losses.hint(Place::Body.member("metadata"), reason);
    }
    // `auto` is what everybody gets.
    let tier = request.get("service_tier").and_then(Raw::string);
    if tier.is_some_and(|tier| tier != "auto") {
        let reason = "the upstream has other tiers";
        draft.losses.loss(Place::Body.member("service_tier"), reason);
    }
}
