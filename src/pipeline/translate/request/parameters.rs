//! Everything beside tools and messages.

use bytes::BufMut;

use crate::dialect::raw::{Members, Raw, is_blank, put_string};
use crate::pipeline::translate::dropped::{Losses, Place};
use crate::pipeline::translate::request::{Draft, Untranslatable, refuse, thinking};

/// How many stop sequences chat completions take.
const STOPS_UPSTREAM_MAX: usize = 4;

/// How many stop sequences we watch for ourselves, and how long each may be.
const STOPS_MAX: usize = 64;
const STOP_BYTES_MAX: usize = 1024;

/// What the request asks for that the answer must honour.
pub(super) struct Asked {
    pub(super) stop_sequences: Vec<String>,
    /// Those that the upstream does not watch for.
    pub(super) watched: Vec<String>,
    pub(super) hide_thinking: bool,
    /// Whether the model shall think.
    pub(super) thinking: bool,
}

/// Writes the parameters; tells what the answer must honour.
pub(super) fn put(draft: &mut Draft<'_>, request: &Members<'_>) -> Result<Asked, Untranslatable> {
    refuse_what_only_anthropic_runs(request)?;
    put_stream(draft, request)?;
    put_max_tokens(draft, request)?;
    for name in ["temperature", "top_p"] {
        put_same(draft, request, name);
    }
    let (stop_sequences, watched) = put_stops(draft, request)?;
    put_service_tier(draft, request);
    thinking::put(draft, request);
    put_top_k(draft, request);
    put_format(draft, request);
    let profile = draft.profile;
    for (name, value) in &profile.send {
        draft.key(name);
        draft.out.put_slice(value.to_string().as_bytes());
    }
    report_others(draft, request);
    let thinking = request.members("thinking").unwrap_or_default();
    let kind = thinking.string("type").unwrap_or_default();
    Ok(Asked {
        stop_sequences,
        watched,
        hide_thinking: thinking
            .string("display")
            .is_some_and(|display| display == "omitted"),
        thinking: !matches!(kind.as_ref(), "" | "disabled"),
    })
}

/// Refuses what an upstream cannot do and what would be missed without a word.
pub(crate) fn refuse_what_only_anthropic_runs(request: &Members<'_>) -> Result<(), Untranslatable> {
    const REFUSED: [(&str, &str); 4] = [
        ("mcp_servers", "MCP servers are called by Anthropic itself"),
        ("container", "containers live at Anthropic"),
        ("thread", "threads are kept by Anthropic"),
        // The client does the check itself when it is told that the field is not taken.
        ("safeguards", "Extra inputs are not permitted"),
    ];
    for (name, why) in REFUSED {
        let value = request
            .get(name)
            .filter(|value| !matches!(value.text(), "[]" | "{}"));
        if value.is_some() {
            let problem = format!("{why}; the upstream of this model is not Anthropic. Remove the field.");
            return Err(refuse(Place::Body.member(name), problem));
        }
    }
    Ok(())
}

fn put_stream(draft: &mut Draft<'_>, request: &Members<'_>) -> Result<(), Untranslatable> {
    let Some(stream) = request.get("stream") else {
        return Ok(());
    };
    match stream.boolean() {
        Some(true) => {
            draft.key("stream");
            draft.out.put_slice(b"true");
            if draft.profile.include_usage && !draft.refuses("stream_options", "stream_options") {
                draft.key("stream_options");
                draft.out.put_slice(br#"{"include_usage":true}"#);
            }
            Ok(())
        }
        Some(false) => Ok(()),
        None => Err(refuse(Place::Body.member("stream"), "true or false is wanted")),
    }
}

fn put_max_tokens(draft: &mut Draft<'_>, request: &Members<'_>) -> Result<(), Untranslatable> {
    let place = Place::Body.member("max_tokens");
    let Some(limit) = read_max_tokens(request)? else {
        return Ok(());
    };
    let field = draft.profile.max_tokens_field.as_str();
    if draft.profile.drop_params.iter().any(|refused| refused == field) {
        draft.losses.loss(place, "the upstream refuses it");
        return Ok(());
    }
    draft.key(field);
    draft.out.put_slice(limit.to_string().as_bytes());
    Ok(())
}

/// The longest answer that is asked for. Clients of Messages must say it; a translation into Messages
/// leaves it unsaid where its client did.
pub(crate) fn read_max_tokens(request: &Members<'_>) -> Result<Option<u64>, Untranslatable> {
    let place = Place::Body.member("max_tokens");
    let Some(limit) = request.get("max_tokens") else {
        return Ok(None);
    };
    let limit = limit
        .count()
        .ok_or_else(|| refuse(place, "a whole number is wanted"))?;
    if limit == 0 {
        let problem = "0 only warms Anthropic's prompt cache, which the upstream of this model does not have; \
                       ask for at least 1";
        return Err(refuse(place, problem));
    }
    Ok(Some(limit))
}

/// A parameter that has the same name and range on both sides.
fn put_same(draft: &mut Draft<'_>, request: &Members<'_>, name: &str) {
    let Some(value) = request.get(name) else { return };
    if draft.refuses(name, name) {
        draft
            .losses
            .loss(Place::Body.member(name), "the upstream refuses it");
        return;
    }
    draft.key(name);
    draft.out.put_slice(value.text().as_bytes());
}

/// `top_k`, which OpenAI never had and several others have.
fn put_top_k(draft: &mut Draft<'_>, request: &Members<'_>) {
    if draft.profile.top_k {
        put_same(draft, request, "top_k");
    } else if request.get("top_k").is_some() {
        draft
            .losses
            .loss(Place::Body.member("top_k"), "unknown to the upstream");
    }
}

fn put_stops(
    draft: &mut Draft<'_>,
    request: &Members<'_>,
) -> Result<(Vec<String>, Vec<String>), Untranslatable> {
    let place = Place::Body.member("stop_sequences");
    let (raws, sequences) = read_stops(&mut draft.losses, request)?;
    let sent = if draft.refuses("stop_sequences", "stop") {
        0
    } else {
        raws.len().min(STOPS_UPSTREAM_MAX)
    };
    if sent > 0 {
        draft.key("stop");
        put_list(&mut draft.out, raws.get(..sent).unwrap_or_default());
    }
    let watched: Vec<String> = sequences.iter().skip(sent).cloned().collect();
    for index in sent..sequences.len() {
        draft
            .losses
            .hint(place.element(index), "watched for by the gateway");
    }
    Ok((sequences, watched))
}

/// The stop sequences of a request, as they are written and unescaped; without blank ones.
pub(crate) fn read_stops<'a>(
    losses: &mut Losses,
    request: &Members<'a>,
) -> Result<(Vec<Raw<'a>>, Vec<String>), Untranslatable> {
    let place = Place::Body.member("stop_sequences");
    let Some(value) = request.get("stop_sequences") else {
        return Ok((Vec::new(), Vec::new()));
    };
    let listed = value
        .elements()
        .ok_or_else(|| refuse(place, "a list of strings is wanted"))?;
    let (mut raws, mut sequences) = (Vec::new(), Vec::new());
    for (index, raw) in listed.into_iter().enumerate() {
        let place = place.element(index);
        let sequence = raw.string().ok_or_else(|| refuse(place, "a string is wanted"))?;
        if raw.escaped().is_some_and(is_blank) {
            losses.loss(place, "white space alone is no stop sequence");
            continue;
        }
        if sequence.len() > STOP_BYTES_MAX || sequences.len() >= STOPS_MAX {
            let problem = format!("at most {STOPS_MAX} stop sequences of {STOP_BYTES_MAX} bytes are taken");
            return Err(refuse(place, problem));
        }
        raws.push(raw);
        sequences.push(sequence.into_owned());
    }
    Ok((raws, sequences))
}

pub(crate) fn put_list(out: &mut Vec<u8>, values: &[Raw<'_>]) {
    out.put_u8(b'[');
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        out.put_slice(value.text().as_bytes());
    }
    out.put_u8(b']');
}

fn put_service_tier(draft: &mut Draft<'_>, request: &Members<'_>) {
    let Some(tier) = request.string("service_tier") else {
        return;
    };
    let tier = match tier.as_ref() {
        "auto" if !draft.refuses("service_tier", "service_tier") => "auto",
        "standard_only" if !draft.refuses("service_tier", "service_tier") => "default",
        _ => {
            return draft
                .losses
                .loss(Place::Body.member("service_tier"), "the upstream has other tiers");
        }
    };
    draft.key("service_tier");
    put_string(&mut draft.out, tier);
}

fn put_format(draft: &mut Draft<'_>, request: &Members<'_>) {
    let config = request.members("output_config").unwrap_or_default();
    let config_place = Place::Body.member("output_config");
    let (place, format) = match config.members("format") {
        Some(format) => (config_place.member("format"), Some(format)),
        None => (
            Place::Body.member("output_format"),
            request.members("output_format"),
        ),
    };
    draft.report_unread(config_place, &config, &["effort", "format"]);
    let Some(format) = format else { return };
    let schema = format
        .get("schema")
        .filter(|_| format.string("type").is_some_and(|kind| kind == "json_schema"));
    let Some(schema) = schema.filter(|_| !draft.refuses("output_format", "response_format")) else {
        return draft.losses.loss(place, "the upstream has no such format");
    };
    draft.key("response_format");
    draft
        .out
        .put_slice(br#"{"type":"json_schema","json_schema":{"name":"output","schema":"#);
    draft.out.put_slice(schema.text().as_bytes());
    draft.out.put_slice(br#","strict":true}}"#);
}

/// Members of a Messages request that every translation reads or leaves out for a reason; others are reported.
pub(crate) const READ_MEMBERS: [&str; 18] = [
    "model",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "stream",
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "service_tier",
    "thinking",
    "output_config",
    "output_format",
    "metadata",
    "anthropic_version",
    "anthropic_beta",
];

fn report_others(draft: &mut Draft<'_>, request: &Members<'_>) {
    draft.report_unread(Place::Body, request, &READ_MEMBERS);
    // It names a person at Anthropic; nobody else needs to know.
    if request.get("metadata").is_some() {
        draft
            .losses
            .hint(Place::Body.member("metadata"), "not for other vendors");
    }
}
