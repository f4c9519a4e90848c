//! Everything beside tools and messages: `inferenceConfig`, `outputConfig`, and what single makers take
//! beyond them in `additionalModelRequestFields`.

use bytes::BufMut;

use crate::dialect::converse::maker::{Cache, Maker};
use crate::dialect::raw::{Members, Raw, put_string};
use crate::pipeline::translate::dropped::Place;
use crate::pipeline::translate::request::Untranslatable;
use crate::pipeline::translate::request::parameters::{
    READ_MEMBERS, put_list, read_max_tokens, read_stops, refuse_what_only_anthropic_runs,
};
use crate::pipeline::translate::request::parts::mark;
use crate::pipeline::translate::request::read::Read;
use crate::pipeline::translate::to_converse::Draft;

/// What the request asks for that the answer must honour.
pub(super) struct Asked {
    pub(super) stop_sequences: Vec<String>,
    /// Those that the upstream does not watch for.
    pub(super) watched: Vec<String>,
    pub(super) hide_thinking: bool,
}

/// Writes the parameters; tells what the answer must honour.
pub(super) fn put(draft: &mut Draft, read: &Read<'_>) -> Result<Asked, Untranslatable> {
    let request = &read.request;
    refuse_what_only_anthropic_runs(request)?;
    let begun = draft.out.len();
    draft.key("inferenceConfig");
    draft.out.put_u8(b'{');
    let first = draft.out.len();
    if let Some(limit) = read_max_tokens(request)? {
        draft.key("maxTokens");
        draft.out.put_slice(limit.to_string().as_bytes());
    }
    for (name, theirs) in [("temperature", "temperature"), ("top_p", "topP")] {
        if let Some(value) = request.get(name) {
            draft.key(theirs);
            draft.out.put_slice(value.text().as_bytes());
        }
    }
    let (raws, stop_sequences) = read_stops(&mut draft.losses, request)?;
    let sent = raws.len().min(draft.maker.stops_max());
    if sent > 0 {
        draft.key("stopSequences");
        put_list(&mut draft.out, raws.get(..sent).unwrap_or_default());
    }
    if draft.out.len() == first {
        draft.out.truncate(begun);
    } else {
        draft.out.put_u8(b'}');
    }
    let place = Place::Body.member("stop_sequences");
    for index in sent..stop_sequences.len() {
        let reason = "watched for by the gateway";
        draft.losses.hint(place.element(index), reason);
    }
    let thinking = request.members("thinking").unwrap_or_default();
    put_additional(draft, request, &thinking);
    put_output(draft, request);
    report_others(draft, request);
    Ok(Asked {
        watched: stop_sequences.iter().skip(sent).cloned().collect(),
        stop_sequences,
        hide_thinking: thinking.string("display").is_some_and(|shown| shown == "omitted"),
    })
}

/// Writes what only this maker's models take.
fn put_additional(draft: &mut Draft, request: &Members<'_>, thinking: &Members<'_>) {
    let begun = draft.out.len();
    draft.key("additionalModelRequestFields");
    draft.out.put_u8(b'{');
    let first = draft.out.len();
    if let Some(top_k) = request.get("top_k") {
        match draft.maker {
            Maker::Anthropic => {
                draft.key("top_k");
                draft.out.put_slice(top_k.text().as_bytes());
            }
            Maker::Nova | Maker::ReasoningNova => {
                draft.key("inferenceConfig");
                draft.out.put_slice(br#"{"topK":"#);
                draft.out.put_slice(top_k.text().as_bytes());
                draft.out.put_u8(b'}');
            }
            _ => draft
                .losses
                .loss(Place::Body.member("top_k"), "unknown to the upstream"),
        }
    }
    put_thinking(draft, request, thinking);
    if draft.out.len() == first {
        draft.out.truncate(begun);
    } else {
        draft.out.put_u8(b'}');
    }
}

/// How much a model shall think, in the words that Nova and gpt-oss share.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Amount {
    Low,
    Medium,
    High,
}

impl Amount {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// The amount that an effort names, or that a budget comes to.
    fn of(effort: Option<&str>, budget: Option<u64>) -> Self {
        match (effort, budget) {
            (Some("low"), _) | (None, Some(..4096)) => Self::Low,
            (Some("medium"), _) | (None, Some(..16384) | None) => Self::Medium,
            _ => Self::High,
        }
    }
}

/// Writes how to think, for makers that take it; the others' models decide for themselves.
fn put_thinking(draft: &mut Draft, request: &Members<'_>, thinking: &Members<'_>) {
    let config = request.members("output_config").unwrap_or_default();
    let effort = config.string("effort");
    let kind = thinking.string("type").unwrap_or_default();
    let place = Place::Body.member("thinking");
    let config_place = Place::Body.member("output_config");
    let amount = Amount::of(effort.as_deref(), thinking.count("budget_tokens"));
    let is_asked = effort.is_some() || !matches!(kind.as_ref(), "" | "disabled");
    match draft.maker {
        Maker::Anthropic => {
            if let Some(thinking) = request.get("thinking") {
                draft.key("thinking");
                draft.out.put_slice(thinking.text().as_bytes());
            }
            return;
        }
        Maker::ReasoningNova if kind == "disabled" => {
            draft.key("reasoningConfig");
            draft.out.put_slice(br#"{"type":"disabled"}"#);
        }
        Maker::ReasoningNova if is_asked => {
            // The highest amount takes no limit of tokens, which clients always send.
            let amount = if amount == Amount::High {
                draft
                    .losses
                    .loss(place, "lowered to what takes a limit of tokens");
                Amount::Medium
            } else {
                amount
            };
            draft.key("reasoningConfig");
            draft.out.put_slice(br#"{"type":"enabled","maxReasoningEffort":"#);
            put_string(&mut draft.out, amount.as_str());
            draft.out.put_u8(b'}');
        }
        Maker::GptOss if kind == "disabled" || is_asked => {
            let amount = if kind == "disabled" {
                draft.losses.loss(place, "the model always thinks");
                Amount::Low
            } else {
                amount
            };
            draft.key("reasoning_effort");
            put_string(&mut draft.out, amount.as_str());
        }
        _ => {
            if !matches!(kind.as_ref(), "" | "disabled") {
                draft.losses.loss(place, "the model decides");
            }
            if effort.is_some() {
                draft
                    .losses
                    .loss(config_place.member("effort"), "the model decides");
            }
            return;
        }
    }
    if effort.is_none() && thinking.contains("budget_tokens") {
        let reason = "sent as an effort";
        draft.losses.hint(place.member("budget_tokens"), reason);
    }
    let read = ["type", "budget_tokens", "display"];
    draft.losses.unread(place, thinking, &read);
}

/// Writes the form of the answer and the effort, where the maker's models take them.
fn put_output(draft: &mut Draft, request: &Members<'_>) {
    let config = request.members("output_config").unwrap_or_default();
    let config_place = Place::Body.member("output_config");
    let nested = config.members("format");
    let place = if nested.is_some() {
        config_place.member("format")
    } else {
        Place::Body.member("output_format")
    };
    draft.losses.unread(config_place, &config, &["effort", "format"]);
    let format = nested.or_else(|| request.members("output_format"));
    let is_schema = |format: &Members<'_>| format.string("type").is_some_and(|kind| kind == "json_schema");
    let schema = format.as_ref().filter(|format| is_schema(format));
    let schema = schema.and_then(|format| format.get("schema"));
    let schema = schema.filter(|_| draft.maker.takes_schema());
    if format.is_some() && schema.is_none() {
        draft.losses.loss(place, "the upstream has no such format");
    }
    let effort = config.get("effort").filter(|_| draft.maker == Maker::Anthropic);
    if effort.is_none() && schema.is_none() {
        return;
    }
    draft.key("outputConfig");
    draft.out.put_u8(b'{');
    if let Some(effort) = effort {
        draft.key("effort");
        draft.out.put_slice(effort.text().as_bytes());
    }
    if let Some(schema) = schema {
        draft.key("textFormat");
        draft
            .out
            .put_slice(br#"{"type":"json_schema","structure":{"jsonSchema":{"name":"output","schema":"#);
        put_string(&mut draft.out, schema.text());
        draft.out.put_slice(b"}}}");
    }
    draft.out.put_u8(b'}');
}

fn report_others(draft: &mut Draft, request: &Members<'_>) {
    let body = Place::Body;
    draft.losses.unread(body, request, &READ_MEMBERS);
    if request.get("metadata").is_some() {
        draft
            .losses
            .hint(body.member("metadata"), "not for other vendors");
    }
    // A mark on the whole request names no place, where single marks are taken.
    if mark(request).is_some() && draft.maker.cache() != Cache::None {
        let reason = "only marks on blocks are sent";
        draft.losses.hint(body.member("cache_control"), reason);
    }
    // `auto` and `standard_only` are what everybody gets.
    let tier = request.get("service_tier").and_then(Raw::string);
    if tier.is_some_and(|tier| !matches!(tier.as_ref(), "auto" | "standard_only")) {
        draft
            .losses
            .loss(body.member("service_tier"), "the upstream has other tiers");
    }
}
