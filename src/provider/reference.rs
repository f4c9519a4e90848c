//! `docs/reference/providers.md`, made from the declarations.

use std::fmt::Write as _;
use std::path::Path;

use crate::dialect::Dialect;
use crate::dialect::converse::maker::{Cache, Demand, Maker};
use crate::dialect::openai::profile::{
    ChatProfile, MaxTokensField, ReasoningIn, SystemMessages, THINK_TAGS, ToolChoice,
};
use crate::provider::declaration::Declaration;
use crate::provider::registry::Registry;

const INTRODUCTION: &str = "\
# Providers

<!-- Made from conf/providers.toml by the test `the_page_is_current`: do not edit. -->

An upstream names its provider by label. What is known about it stands in `conf/providers.toml`; an operator
overrides what differs under `[upstream.chat]`, and `endpoint` always may be written.

| label | what it is | endpoint where none is written | dialect | key |
|---|---|---|---|---|
";

const LOST: &str = "
## What a client uses and an upstream lacks

Where client and upstream speak one dialect, bytes pass and the upstream itself says what it does not take. Otherwise
what it lacks is *dropped*, and named in `x-tollgate-dropped` and in the ledger, or *refused* with 400
`invalid_request_error` where the answer would mean something else without it. `tollgate route test --body FILE` shows
it without sending anything.

| capability | where it lacks |
|---|---|
| `images` | refused: the model would answer about a picture that it does not see |
| `documents` (PDF) | refused; the text of text documents is sent everywhere |
| server-side tools, `mcp_servers`, `container`, `thread` | refused |
| `max_tokens: 0` | refused: there is no such cache to warm |
| `tool_choice` that demands a tool | dropped: `auto` is sent |
| `disable_parallel_tool_use` | dropped |
| `effort` | dropped, or lowered to the next that the model knows |
| thinking switched on, off or to a budget | dropped: the model decides |
| thinking of earlier turns | dropped |
| `temperature`, `top_p`, `top_k`, `service_tier`, `strict` | dropped |
| `stop_sequences` | dropped upstream, and watched for by the gateway: the answer ends there |
| betas, `context_management`, `speed`, `inference_geo` | dropped |
| `cache_control` | dropped, but for models on Bedrock that have such a cache |
| citations, `metadata` | dropped |
| a late system message | dropped from its place, and moved to the beginning |
| counting tokens | estimated by the gateway where the upstream does not count, with `x-tollgate-estimated: true` |
| `/v1/responses` | translated |
| `/v1/embeddings` | refused with 501 where no upstream of the route has them |

";

const BETAS: &str = "
## Betas

What `anthropic-beta` names passes on to an upstream that speaks Messages, but for these, which refuse a request with a
name that they do not know. They are told of the betas here; the others are dropped, and named in
`x-tollgate-dropped`.

";

const LENT: &str = "
## Lent credentials

With `credentials` instead of a key, a cloud lends them; `docs/how-to/cloud-credentials.md` says how.

";

fn row(declaration: &Declaration) -> String {
    let endpoint = declaration
        .endpoint
        .as_ref()
        .map(|endpoint| format!("`{endpoint}`"));
    format!(
        "| `{declaration}` | {} | {} | {} | `{}` |\n",
        declaration.summary,
        endpoint.unwrap_or_else(|| "must be written".to_owned()),
        declaration.dialect.as_str(),
        declaration.scheme.as_str(),
    )
}

const CONVERSE: &str = "
## Models on Bedrock that are not Claude

They are asked by Converse. Pictures (PNG, JPEG, GIF, WebP) and PDFs are sent to all of them; who cannot see or read them
says so. Reasoning is shown, and goes back where its maker signed it. A call or result of a tool that is not listed any
more brings a stub of the tool along; `tool_choice` of type `none` leaves the tools out where no calls stand in the
conversation, and is dropped elsewhere. What models take beyond that goes by their maker:

";

const MAKERS: [(&str, Maker); 8] = [
    ("Nova", Maker::Nova),
    ("Nova 2", Maker::ReasoningNova),
    ("gpt-oss", Maker::GptOss),
    ("Llama", Maker::Meta),
    ("Mistral", Maker::Mistral),
    ("Cohere, AI21", Maker::Unbidden),
    ("Claude behind a profile whose name hides it", Maker::Anthropic),
    ("all others", Maker::Other),
];

/// What can be said about the models of a maker.
fn converse_traits(maker: Maker) -> Vec<String> {
    let demand = match maker.demand() {
        Demand::Nothing => "`auto` only, others dropped",
        Demand::Any => "all, a named tool becomes `any`",
        Demand::Certain => "all",
    };
    let cache = match maker.cache() {
        Cache::None => "dropped",
        Cache::Prompt => "cache points for system text and messages",
        Cache::Everything => "cache points",
    };
    let thinking = match maker {
        Maker::Anthropic => "as asked",
        Maker::ReasoningNova => "`reasoningConfig`, up to `medium`",
        Maker::GptOss => "`reasoning_effort`",
        _ => "dropped",
    };
    let schema = if maker.takes_schema() { "kept" } else { "dropped" };
    let status = if maker.takes_status() {
        "as `status`"
    } else {
        "marked in the text"
    };
    vec![
        format!("tool choice: {demand}"),
        format!("`cache_control`: {cache}"),
        format!("thinking: {thinking}"),
        format!("`output_config.format`: {schema}"),
        format!("failed calls: {status}"),
        format!("stop sequences: {}, more are watched for", maker.stops_max()),
    ]
}

/// What can be said about a profile, each with the way it is said.
fn traits(profile: &ChatProfile) -> Vec<String> {
    let mut said = Vec::new();
    let yes_no = |yes: bool| if yes { "yes" } else { "refused" };
    said.push(format!("images: {}", yes_no(profile.images)));
    said.push(format!("documents: {}", yes_no(profile.documents)));
    let choice = match profile.tool_choice {
        ToolChoice::Full => "all",
        ToolChoice::Any => "all, `any` for `required`",
        ToolChoice::AutoOrNone => "`auto` and `none`, others dropped",
    };
    said.push(format!("tool choice: {choice}"));
    said.push(match (profile.effort, profile.efforts.join("`, `")) {
        (false, _) => "effort: dropped".to_owned(),
        (true, all) if all.is_empty() => "effort: all".to_owned(),
        (true, some) => format!("effort: `{some}`"),
    });
    said.push(match profile.thinking_switch {
        Some(switch) => format!("thinking switched by `{}`", switch.as_str()),
        None => "thinking: not switched".to_owned(),
    });
    said.push(match profile.reasoning_in {
        Some(ReasoningIn::ReasoningContent) => "reasoning read from `reasoning_content`".to_owned(),
        Some(ReasoningIn::Reasoning) => "reasoning read from `reasoning`".to_owned(),
        Some(ReasoningIn::ThinkTags) => "reasoning read from `<think>` tags".to_owned(),
        None => "reasoning read wherever it stands, but for tags".to_owned(),
    });
    said.push(match &profile.reasoning_out {
        Some(field) if field == THINK_TAGS => "earlier thinking sent back in `<think>` tags".to_owned(),
        Some(field) => format!("earlier thinking sent back as `{field}`"),
        None => "earlier thinking: dropped".to_owned(),
    });
    said.push(match profile.max_tokens_field {
        MaxTokensField::MaxTokens => "limit as `max_tokens`".to_owned(),
        MaxTokensField::MaxCompletionTokens => "limit as `max_completion_tokens`".to_owned(),
    });
    said.push(match profile.max_tool_id_bytes {
        short if short < 10 => format!("tool ids of exactly {short} letters and digits"),
        long => format!("tool ids of at most {long} bytes"),
    });
    if profile.system_messages == SystemMessages::SingleLeading {
        said.push("one system message, at the beginning".to_owned());
    }
    if !profile.user_after_tool {
        said.push("between a tool's result and a user stands an assistant's word".to_owned());
    }
    said.push(format!(
        "`top_k`: {}",
        if profile.top_k { "yes" } else { "dropped" }
    ));
    if !profile.drop_params.is_empty() {
        said.push(format!("dropped: `{}`", profile.drop_params.join("`, `")));
    }
    let sent = profile
        .send
        .iter()
        .map(|(name, value)| format!("`{name}: {value}` is sent"));
    said.extend(sent);
    if !profile.include_usage {
        said.push("usage is not asked for, it comes by itself".to_owned());
    }
    if profile.responses {
        said.push("serves `/v1/responses`".to_owned());
    }
    said
}

fn page(registry: &Registry) -> String {
    let mut page = INTRODUCTION.to_owned();
    registry
        .declarations()
        .for_each(|declaration| page.push_str(&row(declaration)));
    page.push_str(LOST);
    page.push_str("## Chat completions, provider by provider\n");
    let chat = registry
        .declarations()
        .filter(|declaration| declaration.dialect == Dialect::OpenAiChat);
    for declaration in chat {
        let usual = traits(declaration.chat.usual());
        writeln!(page, "\n### {declaration}\n\n{}.", usual.join("; ")).unwrap();
        for (pattern, profile) in declaration.chat.exceptions() {
            let mut differs = traits(profile);
            differs.retain(|said| !usual.contains(said));
            writeln!(page, "\n- Models `{pattern}`: {}.", differs.join("; ")).unwrap();
        }
    }
    page.push_str(CONVERSE);
    for (makers, maker) in MAKERS {
        writeln!(page, "- {makers}: {}.", converse_traits(maker).join("; ")).unwrap();
    }
    page.push_str(LENT);
    for declaration in registry.declarations() {
        if let Some(cloud) = declaration.cloud {
            writeln!(page, "- `{declaration}`: {}", cloud.as_str()).unwrap();
        }
    }
    page.push_str(BETAS);
    for declaration in registry.declarations() {
        if let Some(betas) = &declaration.betas {
            let renamed = betas
                .renamed
                .iter()
                .map(|(name, there)| format!("`{name}` as `{there}`"));
            let renamed: Vec<String> = renamed.collect();
            let known = betas.known.join("`, `");
            writeln!(page, "- `{declaration}`: `{known}`; {}", renamed.join(", ")).unwrap();
        }
    }
    page.push_str("\n## Options\n\nUnder `[upstream.options]`.\n\n");
    let mut has_options = false;
    for declaration in registry.declarations() {
        for (name, option) in &declaration.options {
            has_options = true;
            let default = option.default.as_ref();
            let default = default.map(|value| format!(" `{value}` where absent."));
            let required = if option.required { " Required." } else { "" };
            let default = default.unwrap_or_default();
            writeln!(
                page,
                "- `{declaration}`: `{name}`. {}{required}{default}",
                option.meaning
            )
            .unwrap();
        }
    }
    if !has_options {
        page.push_str("None of these providers has any.\n");
    }
    page
}

#[test]
fn the_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/providers.md");
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let page = page(&Registry::collect().unwrap());
    if committed != page {
        std::fs::write(&path, page).unwrap();
        panic!("docs/reference/providers.md was out of date; it is written anew: review and commit it");
    }
}
