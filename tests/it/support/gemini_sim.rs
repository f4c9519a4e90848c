//! A simulated Gemini: `generateContent`, `streamGenerateContent?alt=sse` and `countTokens` of `/v1beta`.
//!
//! The same words in the last user text choose what happens as in the simulated Anthropic, and
//! `sim:blocked` and `sim:malformed`. Requests that the real service would refuse are refused: unknown names,
//! schemas with unknown keywords, calls without their signature, results that do not fit the calls.

use serde_json::{Value, json};

use crate::support::anthropic_sim;
use crate::support::setup::UPSTREAM_KEY;
use crate::support::upstream::{self, Received, Script, Step, Upstream, chunk, end, stream_head};

/// What the simulated model says by default.
pub const TEXT: &str = "Hello from the simulated Gemini, mit Grüßen.";

/// The signature of the first call of every step, which must come back.
pub const SIGNATURE: &str = "U2ltdWxhdGVkIHNpZ25hdHVyZS8rPT0=";

/// What may stand in place of a signature for calls of other models.
const UNSIGNED: &str = "skip_thought_signature_validator";

/// Keywords of schemas.
const KEYWORDS: [&str; 25] = [
    "type",
    "format",
    "title",
    "description",
    "nullable",
    "default",
    "enum",
    "items",
    "prefixItems",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "minimum",
    "maximum",
    "anyOf",
    "properties",
    "additionalProperties",
    "required",
    "propertyOrdering",
    "$defs",
    "$ref",
];

/// Starts one.
pub async fn start() -> Upstream {
    Upstream::start(respond).await
}

/// What the simulation answers to a request.
pub fn respond(request: &Received) -> Script {
    if request.head.header("x-goog-api-key") != Some(UPSTREAM_KEY) {
        let reason =
            json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"});
        return error(400, "INVALID_ARGUMENT", "API key not valid.", &[reason]);
    }
    let asked = request.path().strip_prefix("/v1beta/models/");
    let Some((model, action)) = asked.and_then(|asked| asked.split_once(':')) else {
        return error(404, "NOT_FOUND", "no such path", &[]);
    };
    let body = request.json();
    match (request.method(), action, request.target().split_once('?')) {
        ("POST", "generateContent", None) => answers(model, &body, false, Calls::Named),
        ("POST", "streamGenerateContent", Some((_, "alt=sse"))) => answers(model, &body, true, Calls::Named),
        ("POST", "countTokens", None) => {
            let asked = &body["generateContentRequest"];
            if asked["model"] != format!("models/{model}") {
                return error(400, "INVALID_ARGUMENT", "model is required", &[]);
            }
            let mut asked = asked.clone();
            asked.as_object_mut().unwrap().shift_remove("model");
            counts(model, &asked)
        }
        _ => error(404, "NOT_FOUND", "no such method", &[]),
    }
}

/// What the model answers to a request to count.
pub fn counts(model: &str, asked: &Value) -> Script {
    match problem(model, asked) {
        Some(problem) => error(400, "INVALID_ARGUMENT", &problem, &[]),
        None => upstream::json(200, &json!({"totalTokens": 42})),
    }
}

/// Whether calls have ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// They do.
    Named,
    /// On Vertex AI they have none.
    Bare,
}

/// What the model answers to a request for content.
pub fn answers(model: &str, body: &Value, stream: bool, calls: Calls) -> Script {
    if let Some(problem) = problem(model, body) {
        return error(400, "INVALID_ARGUMENT", &problem, &[]);
    }
    let wish = wish(body).unwrap_or_default();
    if let Some(status) = wish.strip_prefix("status-") {
        return refuses(status.parse().expect("sim:status-N names a number"));
    }
    let (mut parts, finish) = match wish.as_str() {
        "hang" => return vec![Step::Hang],
        "blocked" => return blocked(stream),
        "malformed" => (Vec::new(), "MALFORMED_FUNCTION_CALL"),
        wish => (content_for(wish, ends_with_results(body)), "STOP"),
    };
    if calls == Calls::Bare {
        let called = parts.iter_mut().filter_map(|part| part.get_mut("functionCall"));
        called.for_each(|call| drop(call.as_object_mut().unwrap().shift_remove("id")));
    }
    if !stream {
        return upstream::json(200, &event(model, &parts, Some(finish)));
    }
    let mut events = events(model, &parts, finish);
    match wish.as_str() {
        "mid-error" => {
            events.truncate(PLAYED);
            events.push(error_body(503, "UNAVAILABLE", "The model is overloaded.", &[]));
            streamed(&events)
        }
        "die" => dies(streamed(&events)),
        _ => streamed(&events),
    }
}

/// The wish in the last text of a user, by the rules of the simulated Anthropic.
fn wish(body: &Value) -> Option<String> {
    let contents = body["contents"].as_array()?;
    let messages = contents.iter().map(|content| {
        let parts = content["parts"].as_array().cloned().unwrap_or_default();
        let texts: Vec<_> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
        json!({"role": content["role"], "content": texts.join(" ")})
    });
    anthropic_sim::wish(&json!({"messages": messages.collect::<Vec<_>>()}))
}

fn ends_with_results(body: &Value) -> bool {
    let last = body["contents"].as_array().and_then(|contents| contents.last());
    last.is_some_and(|last| last["parts"][0].get("functionResponse").is_some())
}

fn content_for(wish: &str, after_tools: bool) -> Vec<Value> {
    let signed = |mut part: Value| {
        part["thoughtSignature"] = json!(SIGNATURE);
        part
    };
    let part = |block: &Value| match block["type"].as_str() {
        Some("tool_use") => {
            json!({"functionCall": {"id": block["id"], "name": block["name"], "args": block["input"]}})
        }
        Some("thinking") => json!({"text": block["thinking"], "thought": true}),
        _ => json!({"text": block["text"]}),
    };
    match wish {
        "tool" | "parallel" | "think-tool" | "bash" | "exec" if !after_tools => {
            let mut parts: Vec<Value> = anthropic_sim::content_for(wish).iter().map(part).collect();
            let first = parts.iter_mut().find(|part| part.get("functionCall").is_some());
            let first = first.expect("these words ask for calls");
            *first = signed(first.take());
            parts
        }
        "thinking" => vec![
            json!({"text": "First I think.", "thought": true}),
            signed(json!({"text": TEXT})),
        ],
        "long" => anthropic_sim::content_for(wish).iter().map(part).collect(),
        _ => vec![json!({"text": TEXT})],
    }
}

fn usage() -> Value {
    json!({"promptTokenCount": 37, "cachedContentTokenCount": 7, "candidatesTokenCount": 10, "thoughtsTokenCount": 5,
        "totalTokenCount": 52})
}

fn event(model: &str, parts: &[Value], finish: Option<&str>) -> Value {
    let mut candidate = json!({"content": {"role": "model", "parts": parts}, "index": 0});
    if let Some(finish) = finish {
        candidate["finishReason"] = json!(finish);
    }
    json!({"candidates": [candidate], "usageMetadata": usage(), "modelVersion": model, "responseId": "sim_response"})
}

/// Texts in pieces, each other part by itself; the end has no content.
fn events(model: &str, parts: &[Value], finish: &str) -> Vec<Value> {
    let mut events = Vec::new();
    for part in parts {
        let letters: Vec<char> = part["text"].as_str().unwrap_or_default().chars().collect();
        if letters.is_empty() {
            events.push(event(model, std::slice::from_ref(part), None));
        }
        for (number, piece) in letters.chunks(7.max(letters.len() / 40)).enumerate() {
            let mut piece_of = part.clone();
            piece_of["text"] = json!(piece.iter().collect::<String>());
            if number > 0 {
                piece_of.as_object_mut().unwrap().shift_remove("thoughtSignature");
            }
            events.push(event(model, &[piece_of], None));
        }
    }
    events.push(event(model, &[], Some(finish)));
    events
}

/// The events with CRLF, cut where no event, line or character ends.
fn streamed(events: &[Value]) -> Script {
    let text: String = events
        .iter()
        .map(|event| format!("data: {event}\r\n\r\n"))
        .collect();
    let bytes = text.into_bytes();
    let mut script = vec![stream_head(&[("x-request-id", "req_of_the_upstream")])];
    script.extend(bytes.chunks(101.max(bytes.len() / 100)).map(chunk));
    script.push(end());
    script
}

fn blocked(stream: bool) -> Script {
    let blocked = json!({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 37}});
    if stream {
        streamed(&[blocked])
    } else {
        upstream::json(200, &blocked)
    }
}

/// How many events, or pieces of them, are played before a stream breaks.
const PLAYED: usize = 3;

fn dies(mut script: Script) -> Script {
    script.truncate(PLAYED);
    script.push(Step::Close);
    script
}

/// An error of this status, with the word that belongs to it.
pub fn refuses(status: u16) -> Script {
    let word = match status {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        500 => "INTERNAL",
        504 => "DEADLINE_EXCEEDED",
        _ => "UNAVAILABLE",
    };
    let delay = json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.900s"});
    let details: &[Value] = if status == 429 { &[delay] } else { &[] };
    error(status, word, &format!("simulated {status}"), details)
}

fn error(status: u16, word: &str, message: &str, details: &[Value]) -> Script {
    upstream::json(status, &error_body(status, word, message, details))
}

fn error_body(status: u16, word: &str, message: &str, details: &[Value]) -> Value {
    json!({"error": {"code": status, "message": message, "status": word, "details": details}})
}

/// Why the real service would refuse this body.
fn problem(model: &str, body: &Value) -> Option<String> {
    const KNOWN: [&str; 5] = [
        "contents",
        "systemInstruction",
        "tools",
        "toolConfig",
        "generationConfig",
    ];
    let members = body.as_object()?;
    if let Some(unknown) = members.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Some(format!("Unknown name \"{unknown}\": Cannot find field."));
    }
    let declared = body["tools"][0]["functionDeclarations"].as_array();
    let schemas = declared.into_iter().flatten();
    let schemas = schemas.filter_map(|declared| declared.get("parametersJsonSchema"));
    let asked = body["generationConfig"].get("responseJsonSchema");
    schemas
        .chain(asked)
        .find_map(schema_problem)
        .or_else(|| contents_problem(model, body["contents"].as_array()?))
}

fn schema_problem(schema: &Value) -> Option<String> {
    let members = schema.as_object()?;
    if let Some(unknown) = members.keys().find(|key| !KEYWORDS.contains(&key.as_str())) {
        return Some(format!("Unknown name \"{unknown}\": Cannot find field."));
    }
    let maps = ["properties", "$defs"]
        .iter()
        .filter_map(|key| members.get(*key)?.as_object());
    let lists = ["anyOf", "prefixItems"]
        .iter()
        .filter_map(|key| members.get(*key)?.as_array());
    let singles = ["items", "additionalProperties"]
        .iter()
        .filter_map(|key| members.get(*key));
    maps.flat_map(|map| map.values())
        .chain(lists.flatten())
        .chain(singles)
        .find_map(schema_problem)
}

fn contents_problem(model: &str, contents: &[Value]) -> Option<String> {
    let parts = |content: &'_ Value| content["parts"].as_array().cloned().unwrap_or_default();
    let of = |content: &Value, kind: &str| -> Vec<Value> {
        parts(content)
            .iter()
            .filter_map(|part| part.get(kind).cloned())
            .collect()
    };
    if contents.first()?["role"] != "user" {
        return Some("Please ensure that the first turn is a user's.".to_owned());
    }
    for (number, content) in contents.iter().enumerate() {
        if parts(content).is_empty() {
            return Some(format!("contents[{number}].parts: must not be empty"));
        }
        let calls = of(content, "functionCall");
        let names = |list: &[Value]| -> Vec<Value> {
            list.iter().map(|one| json!([one["name"], one["id"]])).collect()
        };
        let results = contents
            .get(number + 1)
            .map(|next| of(next, "functionResponse"))
            .unwrap_or_default();
        if names(&calls) != names(&results) {
            return Some("Please ensure that the number of function response parts is equal to the number of function call parts.".to_owned());
        }
        let first = parts(content)
            .into_iter()
            .find(|part| part.get("functionCall").is_some());
        let signature = first.map(|part| part["thoughtSignature"].clone());
        if model.starts_with("gemini-3")
            && signature.is_some_and(|signature| signature != SIGNATURE && signature != UNSIGNED)
        {
            return Some("Function call is missing a thought_signature in functionCall parts.".to_owned());
        }
    }
    None
}
