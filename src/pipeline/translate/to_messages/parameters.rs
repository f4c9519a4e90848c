//! Parameters that OpenAI's two APIs have in common, as Messages know them.

use bytes::BufMut;

use crate::dialect::anthropic::event::put_count;
use crate::dialect::raw::{Members, Raw, compact, put_string};
use crate::pipeline::translate::dropped::Place;
use crate::pipeline::translate::to_messages::thinking::Thinking;
use crate::pipeline::translate::to_messages::{Draft, Reader, schema};

/// The longest answer where the client sets no bound; every Claude model in service can give it.
const MAX_TOKENS: u64 = 32_000;

/// What the rest of a translation needs to know.
pub(crate) struct Asked {
    /// Whether the model thinks within a budget, which rules out some other wishes.
    pub(crate) is_thinking: bool,
    /// Whether the answer shall be some JSON object.
    pub(crate) json_only: bool,
}

/// Writes how long the answer may be, with room for the thinking.
pub(crate) fn put_bound(draft: &mut Draft<'_>, bound: Option<u64>, thinking: &Thinking) {
    let default = match draft.reader {
        Reader::Upstream(_) => Some(MAX_TOKENS),
        Reader::Translation => None,
    };
    let Some(bound) = bound.or(default) else { return };
    let room = thinking.budget.unwrap_or(0);
    draft.key("max_tokens");
    put_count(
        &mut draft.out,
        if bound <= room {
            bound.saturating_add(room)
        } else {
            bound
        },
    );
}

/// Writes that a stream is wanted.
pub(crate) fn put_stream(draft: &mut Draft<'_>, request: &Members<'_>) {
    if request.get("stream").and_then(Raw::boolean) == Some(true) {
        draft.key("stream");
        draft.out.put_slice(b"true");
    }
}

/// Writes the sampling, as far as the model lets itself be told.
pub(crate) fn put_sampling(draft: &mut Draft<'_>, request: &Members<'_>, is_thinking: bool) {
    let is_bound = matches!(draft.reader, Reader::Upstream(_));
    for key in ["temperature", "top_p", "top_k"] {
        let Some(value) = request.get(key) else { continue };
        let place = Place::Body.member(key);
        if !draft.reader.traits().sampling {
            draft.losses.loss(place, "the model decides how it samples");
        } else if is_thinking && is_bound {
            draft.losses.loss(place, "not while the model thinks");
        } else if is_bound && key == "temperature" && value.text().parse().is_ok_and(|value: f64| value > 1.0)
        {
            draft.losses.loss(place, "lowered to the upstream's highest, 1");
            draft.key(key);
            draft.out.put_u8(b'1');
        } else {
            draft.key(key);
            draft.out.put_slice(value.text().as_bytes());
        }
    }
}

/// Writes who asks, as far as the client says it.
pub(crate) fn put_user(draft: &mut Draft<'_>, request: &Members<'_>) {
    let user = request.get("safety_identifier").or_else(|| request.get("user"));
    if let Some(user) = user.filter(|user| user.escaped().is_some()) {
        draft.key("metadata");
        draft.out.put_slice(br#"{"user_id":"#);
        draft.out.put_slice(user.text().as_bytes());
        draft.out.put_u8(b'}');
    }
}

/// Writes the tier of service.
pub(crate) fn put_tier(draft: &mut Draft<'_>, request: &Members<'_>) {
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

/// Writes the effort, and the schema of the answer.
pub(crate) fn put_output_config(draft: &mut Draft<'_>, thinking: &Thinking, schema: Option<Raw<'_>>) {
    if thinking.effort.is_none() && schema.is_none() {
        return;
    }
    draft.key("output_config");
    draft.out.put_u8(b'{');
    thinking.put_effort(&mut draft.out);
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

/// Reports the fields that nobody read; some of them only advise.
pub(crate) fn report_others(draft: &mut Draft<'_>, request: &Members<'_>, read: &[&str], hints: &[&str]) {
    for (name, value) in request.iter() {
        let is_empty = matches!(
            value.text(),
            "null" | "false" | "0" | "0.0" | "[]" | "{}" | "\"\""
        );
        if read.contains(&name) || is_empty {
            continue;
        }
        let place = Place::Body.member(name);
        if hints.contains(&name) {
            draft.losses.hint(place, "unknown to Messages");
        } else {
            draft.losses.loss(place, "unknown to Messages");
        }
    }
}
