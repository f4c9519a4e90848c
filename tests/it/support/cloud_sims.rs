//! Clouds that serve other vendors' APIs at addresses of their own: Claude on Vertex AI and in Foundry, and
//! OpenAI's models on Azure. What the real services refuse is refused.

use serde_json::{Value, json};

use crate::support::gemini_sim::Calls;
use crate::support::setup::UPSTREAM_KEY;
use crate::support::upstream::{Received, Script};
use crate::support::{anthropic_sim, gemini_sim, openai_sim};

/// Where all models of the simulated Vertex AI are.
const MODELS: &str = "/v1/projects/proj/locations/us-east5/publishers/anthropic/models/";

/// Betas that Claude on Vertex AI knows.
const BETAS: [&str; 5] = [
    "claude-code-20250219",
    "context-management-2025-06-27",
    "interleaved-thinking-2025-05-14",
    "tool-search-tool-2025-10-19",
    "web-search-2025-03-05",
];

/// Claude on Vertex AI: the path names the model and what is asked, the body the API's version.
pub fn vertex(request: &Received) -> Script {
    let bearer = format!("Bearer {UPSTREAM_KEY}");
    if request.head.header("authorization") != Some(bearer.as_str()) {
        return anthropic_sim::refuses(401);
    }
    let asked = request.target().strip_prefix(MODELS);
    let Some((model, verb)) = asked.and_then(|asked| asked.split_once(':')) else {
        return anthropic_sim::refuses(404);
    };
    let mut body = request.json();
    let version = body["anthropic_version"].as_str();
    let versioned = matches!(version, Some("vertex-2023-10-16" | "2026-10-21"))
        && request.head.header("anthropic-version").is_none();
    let betas = request.head.header("anthropic-beta");
    let unknown = |beta: &str| model == "count-tokens" || !BETAS.contains(&beta);
    if betas.is_some_and(|betas| betas.split(',').any(unknown)) {
        // Unexpected value(s) for the `anthropic-beta` header.
        return anthropic_sim::refuses(400);
    }
    let counts = model == "count-tokens";
    let named = body.get("model").is_some();
    let streams = body["stream"] == true;
    match verb {
        "rawPredict" if versioned && counts && named => anthropic_sim::counts(),
        "rawPredict" | "streamRawPredict"
            if versioned && !counts && !named && streams == (verb == "streamRawPredict") =>
        {
            body["model"] = json!(model);
            anthropic_sim::messages(&body)
        }
        _ => anthropic_sim::refuses(400),
    }
}

/// Gemini on Vertex AI: Gemini's API at another path, where calls and their results have no ids.
pub fn vertex_gemini(request: &Received) -> Script {
    let bearer = format!("Bearer {UPSTREAM_KEY}");
    if request.head.header("authorization") != Some(bearer.as_str()) {
        return gemini_sim::refuses(401);
    }
    let models = MODELS.replace("/anthropic/", "/google/");
    let asked = request.target().strip_prefix(&models);
    let Some((model, verb)) = asked.and_then(|asked| asked.split_once(':')) else {
        return gemini_sim::refuses(404);
    };
    let body = request.json();
    let contents = body["contents"].as_array().into_iter().flatten();
    let mut parts = contents.flat_map(|content| content["parts"].as_array().into_iter().flatten());
    let has_id = |part: &Value| {
        let named = ["functionCall", "functionResponse"];
        named.iter().any(|name| part[*name].get("id").is_some())
    };
    if parts.any(has_id) || (verb == "countTokens" && body.get("toolConfig").is_some()) {
        return gemini_sim::refuses(400);
    }
    match verb {
        "generateContent" => gemini_sim::answers(model, &body, false, Calls::Bare),
        "streamGenerateContent?alt=sse" => gemini_sim::answers(model, &body, true, Calls::Bare),
        "countTokens" => gemini_sim::counts(model, &body),
        _ => gemini_sim::refuses(404),
    }
}

/// Claude in Foundry: Anthropic's API below a path of its own.
pub fn foundry(request: &Received) -> Script {
    if request.head.header("x-api-key") != Some(UPSTREAM_KEY) {
        return anthropic_sim::refuses(401);
    }
    match request.path().strip_prefix("/anthropic") {
        Some("/v1/messages") => anthropic_sim::messages(&request.json()),
        Some("/v1/messages/count_tokens") => anthropic_sim::counts(),
        _ => anthropic_sim::refuses(404),
    }
}

/// OpenAI's models on Azure: OpenAI's API below a path of its own, with a key in a header of its own.
pub fn azure(request: &Received) -> Script {
    if request.head.header("api-key") != Some(UPSTREAM_KEY) {
        return openai_sim::refuses(401);
    }
    match request.path().strip_prefix("/openai") {
        Some(path) => openai_sim::at(path, &request.json()),
        None => openai_sim::refuses(404),
    }
}
