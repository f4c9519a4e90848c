//! A simulated Bedrock: `InvokeModel`, `InvokeModelWithResponseStream` and `CountTokens` for Claude, in real
//! frames; `converse_sim` plays its other models.
//!
//! It verifies signatures by its own reading of the specification, writes the checksums of its frames itself,
//! and refuses bodies that the real service refuses. The words of the simulated Anthropic choose what happens,
//! and `sim:bad-frame`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::{Value, json};
use tollgate::types::digest::Sha256;

use crate::fuzzed::properties::frames::frame;
use crate::support::anthropic_sim::{self, content_for, stream_events, wish};
use crate::support::aws_sim;
use crate::support::converse_sim;
use crate::support::setup::UPSTREAM_KEY;
use crate::support::upstream::{self, Received, Script, Step, Upstream, chunk, end};

/// The id of the access key whose secret is the upstream's key.
pub const ACCESS_KEY: &str = "AKIDEXAMPLE";

/// Where the simulation lives.
pub const REGION: &str = "eu-central-1";

/// The betas that its models know.
const BETAS: [&str; 5] = [
    "interleaved-thinking-2025-05-14",
    "tool-search-tool-2025-10-19",
    "context-management-2025-06-27",
    "context-1m-2025-08-07",
    "effort-2025-11-24",
];

/// Starts one.
pub async fn start() -> Upstream {
    Upstream::start(respond).await
}

/// What the simulation answers to a request.
pub fn respond(request: &Received) -> Script {
    if !is_authorised(request) {
        return error(
            403,
            "InvalidSignatureException",
            "The request signature does not match",
        );
    }
    let asked = request
        .path()
        .strip_prefix("/model/")
        .and_then(|path| path.split_once('/'));
    let (model, action) = match asked {
        Some((model, action)) if request.method() == "POST" && !model.contains([':', '/']) => (model, action),
        _ => return error(404, "ResourceNotFoundException", "no such path"),
    };
    let body = request.json();
    match (model.contains("anthropic.claude"), action) {
        (_, "count-tokens") => return counts(model, &body),
        (false, "converse") => return converse_sim::answers(&body, false),
        (false, "converse-stream") => return converse_sim::answers(&body, true),
        _ => {}
    }
    if let Some(problem) = problem(&body) {
        return error(400, "ValidationException", &problem);
    }
    let wish = wish(&body).unwrap_or_default();
    if let Some(status) = wish.strip_prefix("status-") {
        let status = status.parse().expect("sim:status-N names a number");
        return error(status, "SimulatedException", &format!("simulated {status}"));
    }
    if wish == "hang" {
        return vec![Step::Hang];
    }
    let content = content_for(&wish);
    match action {
        "invoke" => {
            let mut asked = body.clone();
            asked["model"] = json!(model);
            anthropic_sim::says(&asked, &content)
        }
        "invoke-with-response-stream" => stream(&wish, &content),
        _ => error(404, "UnknownOperationException", "no such action"),
    }
}

/// Counts the tokens of what it would be asked. Profiles it does not know, only models; and not all of these.
fn counts(model: &str, body: &Value) -> Script {
    let encoded = body["input"]["invokeModel"]["body"].as_str().unwrap_or_default();
    let asked = STANDARD.decode(encoded).unwrap_or_default();
    let asked: Value = serde_json::from_slice(&asked).unwrap_or_default();
    if !model.starts_with("anthropic.claude-") || model.starts_with("anthropic.claude-3-haiku") {
        return error(
            400,
            "ValidationException",
            "The provided model doesn't support counting tokens.",
        );
    }
    match problem(&asked) {
        None if asked["max_tokens"].is_u64() => upstream::json(200, &json!({"inputTokens": 42})),
        None => error(400, "ValidationException", "max_tokens: Field required"),
        Some(problem) => error(400, "ValidationException", &problem),
    }
}

/// What was asked, also where it is wrapped to be counted.
pub fn unwrapped(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body).into_owned();
    let wrapped: Value = serde_json::from_str(&text).unwrap_or_default();
    let encoded = wrapped["input"]["invokeModel"]["body"].as_str();
    let decoded = encoded.and_then(|encoded| STANDARD.decode(encoded).ok());
    decoded.map_or(text, |decoded| String::from_utf8_lossy(&decoded).into_owned())
}

pub fn error(status: u16, kind: &str, message: &str) -> Script {
    let kind = format!("{kind}:http://internal.amazon.com/coral/");
    let headers = [
        ("content-type", "application/json"),
        ("x-amzn-requestid", "amz-request-1"),
        ("x-amzn-errortype", kind.as_str()),
    ];
    upstream::answer(
        status,
        &headers,
        json!({"message": message}).to_string().as_bytes(),
    )
}

/// Why the real service would refuse this body.
fn problem(body: &Value) -> Option<String> {
    const KNOWN: [&str; 15] = [
        "anthropic_version",
        "anthropic_beta",
        "max_tokens",
        "messages",
        "system",
        "tools",
        "tool_choice",
        "thinking",
        "temperature",
        "top_p",
        "top_k",
        "stop_sequences",
        "metadata",
        "output_config",
        "context_management",
    ];
    let unknown = body
        .as_object()?
        .keys()
        .find(|key| !KNOWN.contains(&key.as_str()));
    if let Some(unknown) = unknown {
        return Some(format!("{unknown}: Extra inputs are not permitted"));
    }
    if body["anthropic_version"] != "bedrock-2023-05-31" {
        return Some("anthropic_version: Field required".to_owned());
    }
    let mut betas = body["anthropic_beta"].as_array().into_iter().flatten();
    let bad = betas.any(|beta| !beta.as_str().is_some_and(|beta| BETAS.contains(&beta)));
    if bad {
        return Some("invalid beta flag".to_owned());
    }
    body.to_string()
        .contains("\"scope\"")
        .then(|| "cache_control.scope: Extra inputs are not permitted".to_owned())
}

fn stream(wish: &str, content: &[Value]) -> Script {
    let calls = content.iter().any(|block| block["type"] == "tool_use");
    let reason = if calls { "tool_use" } else { "end_turn" };
    let events = stream_events(&json!("claude"), content, reason);
    framed(wish, events.iter().map(|event| event_frame(event)).collect())
}

/// Sends frames, or what a word makes of them.
pub fn framed(wish: &str, mut frames: Vec<Vec<u8>>) -> Script {
    match wish {
        "mid-error" => {
            frames.truncate(4);
            let slow = json!({"message": "Too many tokens"}).to_string();
            frames.push(frame("exception", "throttlingException", slow.as_bytes()));
        }
        "bad-frame" => {
            let at = frames[3].len() / 2;
            frames[3][at] ^= 1;
        }
        "die" => frames.truncate(4),
        _ => {}
    }
    let bytes = frames.concat();
    let head = [(
        "content-type".to_owned(),
        "application/vnd.amazon.eventstream".to_owned(),
    )];
    let mut script = vec![Step::Head(200, head.to_vec())];
    script.extend(bytes.chunks(97.max(bytes.len() / 100)).map(chunk));
    script.push(if wish == "die" { Step::Close } else { end() });
    script
}

/// The frame of an event that the simulated Anthropic wrote.
fn event_frame(event: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(event.to_vec()).expect("events are text");
    let data = text
        .lines()
        .find_map(|line| line.strip_prefix("data: "))
        .expect("events have data");
    let payload = json!({"bytes": STANDARD.encode(data), "p": "abcdefgh"}).to_string();
    frame("event", "chunk", payload.as_bytes())
}

fn is_authorised(request: &Received) -> bool {
    let authorization = request.head.header("authorization").unwrap_or_default();
    authorization == format!("Bearer {UPSTREAM_KEY}") || is_signed(request, authorization)
}

/// Whether the request is signed with the key (AWS Signature Version 4).
fn is_signed(request: &Received, authorization: &str) -> bool {
    let Some(rest) = authorization.strip_prefix("AWS4-HMAC-SHA256 ") else {
        return false;
    };
    let part = |name: &str| {
        rest.split(", ")
            .find_map(|part| part.strip_prefix(&format!("{name}=")))
    };
    let (Some(credential), Some(names), Some(signature)) =
        (part("Credential"), part("SignedHeaders"), part("Signature"))
    else {
        return false;
    };
    let moment = request.head.header("x-amz-date").unwrap_or_default();
    let day = moment.get(..8).unwrap_or_default();
    let scope = format!("{day}/{REGION}/bedrock/aws4_request");
    let wanted = ["host", "x-amz-date"];
    let names: Vec<&str> = names.split(';').collect();
    let Some((id, signed_scope)) = credential.split_once('/') else {
        return false;
    };
    // Keys that were lent are of use with their session only, which is signed, too.
    let session = request.head.header("x-amz-security-token");
    let (secret, in_session) = match id {
        ACCESS_KEY => (UPSTREAM_KEY.to_owned(), session.is_none()),
        id => {
            let is_own = session == Some(aws_sim::session_of(id).as_str());
            (
                aws_sim::secret_of(id),
                is_own && names.contains(&"x-amz-security-token"),
            )
        }
    };
    if signed_scope != scope || !in_session || !wanted.iter().all(|name| names.contains(name)) {
        return false;
    }
    let value = |name: &&str| {
        format!(
            "{name}:{}\n",
            request.head.header(name).unwrap_or_default().trim()
        )
    };
    let headers: String = names.iter().map(value).collect();
    let path = request.path().replace('%', "%25");
    let canonical = format!(
        "POST\n{path}\n\n{headers}\n{}\n{}",
        names.join(";"),
        Sha256::of(&request.body)
    );
    let text = format!(
        "AWS4-HMAC-SHA256\n{moment}\n{scope}\n{}",
        Sha256::of(canonical.as_bytes())
    );
    let keyed = |key: &[u8], text: &str| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
            .as_ref()
            .to_vec()
    };
    let key = format!("AWS4{secret}").into_bytes();
    let key = [day, REGION, "bedrock", "aws4_request"]
        .iter()
        .fold(key, |key, part| keyed(&key, part));
    let made: String = keyed(&key, &text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    made == signature
}
