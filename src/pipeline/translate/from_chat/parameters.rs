//! Parameters of a chat completion, as Messages know them.

use bytes::BufMut;

use crate::dialect::anthropic::event::put_count;
use crate::dialect::raw::{Members, Raw, compact, is_blank, put_string};
use crate::pipeline::translate::dropped::Place;
use crate::pipeline::translate::from_chat::model::{Traits, traits};
use crate::pipeline::translate::from_chat::{Draft, schema};
use crate::pipeline::translate::request::{Untranslatable, refuse};
use crate::types::ids::ModelName;

/// The longest answer where the client sets no bound; every Claude model in service can give it.
const MAX_TOKENS: u64 = 32_000;

/// What the rest of the translation needs to know.
pub(super) struct Asked {
    /// Whether the model thinks.
    pub(super) is_thinking: bool,
    /// Whether the answer shall be some JSON object.
    pub(super) json_only: bool,
}

pub(super) fn put(
    draft: &mut Draft,
    request: &Members<'_>,
    model: &ModelName,
    may_think: bool,
) -> Result<Asked, Untranslatable> {
    refuse_what_changes_the_meaning(request)?;
    let traits = traits(model.as_str());
    let mut thinking = Thinking::of(request, traits);
    if thinking.budget.is_some() && !may_think {
        let place = Place::Body.member("reasoning_effort");
        draft
            .losses
            .loss(place, "the calls to go on from came without their thinking");
        thinking = Thinking::OFF;
    }
    let bound = ["max_completion_tokens", "max_tokens"]
        .iter()
        .find_map(|key| request.count(key));
    let room = thinking.budget.unwrap_or(0);
    let max_tokens = match bound.unwrap_or(MAX_TOKENS) {
        bound if bound <= room => bound.saturating_add(room),
        bound => bound,
    };
    draft.key("max_tokens");
    put_count(&mut draft.out, max_tokens);
    if request.get("stream").and_then(Raw::boolean) == Some(true) {
        draft.key("stream");
        draft.out.put_slice(b"true");
    }
    put_sampling(draft, request, traits, thinking.is_on);
    put_stop(draft, request);
    put_user(draft, request);
    put_tier(draft, request);
    thinking.put(draft);
    let json_only = put_format(draft, request, &thinking)?;
    report_others(draft, request);
    Ok(Asked {
        is_thinking: thinking.budget.is_some(),
        json_only,
    })
}

/// How much the model thinks.
struct Thinking<'a> {
    is_on: bool,
    /// For models that think within a budget.
    budget: Option<u64>,
    /// For models that are steered by an effort.
    effort: Option<&'a str>,
    off: bool,
}

impl Thinking<'_> {
    const OFF: Self = Self {
        is_on: false,
        budget: None,
        effort: None,
        off: true,
    };

    fn of(request: &Members<'_>, traits: Traits) -> Self {
        let word = request.string("reasoning_effort").unwrap_or_default();
        let (budget, effort) = match word.as_ref() {
            "minimal" => (1024, "low"),
            "low" => (2048, "low"),
            "medium" => (8192, "medium"),
            "high" => (16_384, "high"),
            "xhigh" => (24_576, "xhigh"),
            "max" => (24_576, "max"),
            off => {
                return Self {
                    is_on: false,
                    budget: None,
                    effort: None,
                    off: off == "none",
                };
            }
        };
        Self {
            is_on: true,
            budget: (!traits.adaptive).then_some(budget),
            effort: traits.adaptive.then_some(effort),
            off: false,
        }
    }

    fn put(&self, draft: &mut Draft) {
        if self.off {
            draft.key("thinking");
            draft.out.put_slice(br#"{"type":"disabled"}"#);
        } else if let Some(budget) = self.budget {
            draft.key("thinking");
            draft.out.put_slice(br#"{"type":"enabled","budget_tokens":"#);
            put_count(&mut draft.out, budget);
            draft.out.put_u8(b'}');
        } else if self.is_on {
            draft.key("thinking");
            draft.out.put_slice(br#"{"type":"adaptive"}"#);
        }
    }
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

fn put_sampling(draft: &mut Draft, request: &Members<'_>, traits: Traits, is_thinking: bool) {
    for key in ["temperature", "top_p", "top_k"] {
        let Some(value) = request.get(key) else { continue };
        let place = Place::Body.member(key);
        if !traits.sampling {
            draft.losses.loss(place, "the model decides how it samples");
        } else if is_thinking {
            draft.losses.loss(place, "not while the model thinks");
        } else if key == "temperature" && value.text().parse().is_ok_and(|value: f64| value > 1.0) {
            draft.losses.loss(place, "lowered to the upstream's highest, 1");
            draft.key(key);
            draft.out.put_u8(b'1');
        } else {
            draft.key(key);
            draft.out.put_slice(value.text().as_bytes());
        }
    }
}

fn put_stop(draft: &mut Draft, request: &Members<'_>) {
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

fn put_user(draft: &mut Draft, request: &Members<'_>) {
    let user = request.get("safety_identifier").or_else(|| request.get("user"));
    if let Some(user) = user.filter(|user| user.escaped().is_some()) {
        draft.key("metadata");
        draft.out.put_slice(br#"{"user_id":"#);
        draft.out.put_slice(user.text().as_bytes());
        draft.out.put_u8(b'}');
    }
}

fn put_tier(draft: &mut Draft, request: &Members<'_>) {
    let Some(tier) = request.string("service_tier") else {
        return;
    };
    let tier = match tier.as_ref() {
        "auto" => "auto",
        "default" => "standard_only",
        _ => {
            let place = Place::Body.member("service_tier");
            return draft.losses.loss(place, "the upstream has other tiers");
        }
    };
    draft.key("service_tier");
    put_string(&mut draft.out, tier);
}

/// Writes effort and format; tells whether some JSON object is wanted, which only words can ask for.
fn put_format(
    draft: &mut Draft,
    request: &Members<'_>,
    thinking: &Thinking<'_>,
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
    if thinking.effort.is_some() || schema.is_some() {
        draft.key("output_config");
        draft.out.put_u8(b'{');
        if let Some(effort) = thinking.effort {
            draft.out.put_slice(br#""effort":"#);
            put_string(&mut draft.out, effort);
        }
        if let Some(schema) = schema {
            let separator: &[u8] = if thinking.effort.is_some() { b"," } else { b"" };
            draft.out.put_slice(separator);
            draft
                .out
                .put_slice(br#""format":{"type":"json_schema","schema":"#);
            schema::put_closed(&mut draft.out, Raw::read(&compact(schema)).unwrap_or(schema));
            draft.out.put_u8(b'}');
        }
        draft.out.put_u8(b'}');
    }
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

fn report_others(draft: &mut Draft, request: &Members<'_>) {
    for (name, value) in request.iter() {
        let is_empty = matches!(
            value.text(),
            "null" | "false" | "0" | "0.0" | "[]" | "{}" | "\"\""
        );
        if READ.contains(&name) || is_empty {
            continue;
        }
        let place = Place::Body.member(name);
        if HINTS.contains(&name) {
            draft.losses.hint(place, "unknown to Messages");
        } else {
            draft.losses.loss(place, "unknown to Messages");
        }
    }
}
