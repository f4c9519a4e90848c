//! Recorded traffic of real clients, replayed: what arrives upstream and what comes back is, byte for
//! byte, what was sent, wherever the network cuts it.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::support::anthropic_sim;
use crate::support::client::{Answer, Call, Connection};
use crate::support::gateway::Gateway;
use crate::support::setup::{Setup, UPSTREAM_KEY};
use crate::support::upstream::{self, Script, Upstream};
use crate::support::wait::pause;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/fixtures");

/// The base URLs that the recordings' clients were given beside the plain one.
const BASES: [&str; 3] = ["/foundry", "/bedrock", "/vertex"];

/// Headers of a client that an Anthropic upstream may see; everything else is the gateway's to use.
const PASSED: [&str; 4] = ["accept", "user-agent", "anthropic-", "x-stainless-"];

/// A request as a client sent it.
pub struct Recorded {
    pub name: String,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    /// The body in the client's own, compact form, and as it stands in the recording: with other
    /// white space in every place where JSON allows it.
    pub bodies: Vec<Vec<u8>>,
}

#[derive(Deserialize)]
struct Request {
    method: Option<String>,
    path: Option<String>,
    query: Option<String>,
    target: Option<String>,
    #[serde(default)]
    headers: Vec<(String, String)>,
    body: Option<Box<RawValue>>,
    requests: Option<Vec<Request>>,
}

impl Recorded {
    /// The request of a recording, if it is one: some recordings hold answers or tables.
    fn of(name: String, request: Request) -> Option<Self> {
        let target = match (request.target, request.path) {
            (Some(target), _) => target,
            (None, Some(path)) => match request.query.as_deref() {
                None | Some("") => path,
                Some(query) => format!("{path}?{query}"),
            },
            (None, None) => return None,
        };
        let base = BASES.iter().find_map(|base| target.strip_prefix(base));
        let body = request.body.filter(|body| body.get() != "null");
        let forms = |body: Box<RawValue>| {
            let value: Value = serde_json::from_str(body.get()).unwrap();
            vec![value.to_string().into_bytes(), body.get().into()]
        };
        Some(Self {
            name,
            method: request.method?,
            target: base.unwrap_or(&target).to_owned(),
            headers: request.headers,
            bodies: body.map(forms).unwrap_or_default(),
        })
    }

    fn header(&self, name: &str) -> Option<&str> {
        let named = |(key, _): &&(String, String)| key.eq_ignore_ascii_case(name);
        self.headers.iter().find(named).map(|(_, value)| value.as_str())
    }

    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    fn is_governed(&self) -> bool {
        self.method == "POST" && matches!(self.path(), "/v1/messages" | "/v1/messages/count_tokens")
    }

    /// Whether a client of OpenAI's API sent it to a model.
    pub fn is_openai(&self) -> bool {
        self.method == "POST" && matches!(self.path(), "/v1/chat/completions" | "/v1/responses")
    }

    /// The request with a real key in the place of the recorded credential.
    pub fn call(&self, key: &str, body: &[u8]) -> Call {
        let mut call = match body {
            [] => Call::new(&self.method, &self.target),
            body => Call::bare(&self.method, &self.target, body.to_vec()),
        };
        for (name, value) in &self.headers {
            let is_ours = ["host", "content-length", "connection"]
                .iter()
                .any(|ours| name.eq_ignore_ascii_case(ours));
            if !is_ours {
                let value = value
                    .replace("<gateway-token>", key)
                    .replace("<gateway-key>", key);
                call = call.header(name, &value);
            }
        }
        call
    }

    /// The headers that an Anthropic upstream has to see, lower case, in order of their names.
    fn passed_headers(&self) -> Vec<(String, String)> {
        let lower = |(name, value): &(String, String)| (name.to_ascii_lowercase(), value.clone());
        let mut passed: Vec<_> = self.headers.iter().map(lower).filter(is_passed).collect();
        passed.sort();
        passed
    }
}

fn is_passed((name, _): &(String, String)) -> bool {
    let listed = |start: &str| name == start || (start.ends_with('-') && name.starts_with(start));
    PASSED.iter().any(|start| listed(start)) && name != "anthropic-dangerous-direct-browser-access"
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let inside = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    paths.into_iter().flat_map(inside).collect()
}

/// Every recorded request.
pub fn recorded() -> Vec<Recorded> {
    let mut found = Vec::new();
    for path in files(Path::new(FIXTURES)) {
        if path.extension().is_none_or(|end| end != "json") {
            continue;
        }
        let name = path.strip_prefix(FIXTURES).unwrap().display().to_string();
        // Tables of exchanges name their request in words: they are no requests.
        let Ok(file) = serde_json::from_slice::<Request>(&fs::read(&path).unwrap()) else {
            continue;
        };
        match file.requests {
            Some(requests) => {
                let named = |(index, request)| Recorded::of(format!("{name} {index}"), request);
                found.extend(requests.into_iter().enumerate().filter_map(named));
            }
            None => found.extend(Recorded::of(name, file)),
        }
    }
    assert!(found.len() > 60, "{} recordings", found.len());
    found
}

/// A gateway that routes every model of the recordings to this upstream.
async fn gateway_over(upstream: &Upstream) -> (Gateway, String) {
    let gateway = Setup::anthropic(upstream)
        .route("*", &["sim"], None)
        .start()
        .await;
    let key = gateway.any_key().await;
    (gateway, key)
}

/// An answer with every kind of content and of trap: split characters, comments, events of tomorrow.
fn answer_bytes(model: &Value) -> Vec<u8> {
    let content = [
        json!({"type": "thinking", "thinking": "gr\u{fc}n \u{1f600}", "signature": "c2lnbmF0dXJl/+=="}),
        json!({"type": "text", "text": anthropic_sim::TEXT}),
        json!({"type": "tool_use", "id": "toolu_01A", "name": "Bash", "input": {"command": "echo \"\u{e9}\\n\""}}),
    ];
    let mut bytes =
        b": connected\n\nevent: of_tomorrow\r\ndata: {\"type\":\"of_tomorrow\",\"a\":1.0}\r\n\r\n".to_vec();
    bytes.extend(anthropic_sim::stream_events(model, &content, "tool_use").concat());
    bytes
}

fn json_bytes(request: &upstream::Received) -> Vec<u8> {
    match request.path() {
        "/v1/messages/count_tokens" => br#"{ "input_tokens":42 , "of_tomorrow": 1.50 }"#.to_vec(),
        _ => {
            let model = &request.json()["model"];
            format!(
                "{{\"id\":\"msg_1\", \"type\":\"message\",\"role\":\"assistant\",\"model\":{model},\n\
                 \"content\":[{{\"type\":\"text\",\"text\":\"gr\\u00fcn \u{1f600}\"}}],\"stop_reason\":\"end_turn\",\
                 \"usage\":{{\"input_tokens\":1e0,\"output_tokens\":2}},\"of_tomorrow\":1.50}}"
            )
            .into_bytes()
        }
    }
}

/// The answer to a request, and how it travels: streams byte by byte.
fn respond(request: &upstream::Received) -> Script {
    let body = request.json();
    if body["stream"] == true {
        let bytes = answer_bytes(&body["model"]);
        return upstream::stream(bytes.into_iter().map(|byte| vec![byte]));
    }
    upstream::answer(200, &[("content-type", "application/json")], &json_bytes(request))
}

/// What the upstream got is what the client sent, and what it answered is what came back.
fn compare(recorded: &Recorded, body: &[u8], answer: &Answer, got: &upstream::Received) {
    let name = &recorded.name;
    assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    assert!(
        got.body == body,
        "{name}: another body upstream: {}",
        String::from_utf8_lossy(&got.body)
    );
    assert_eq!(got.target(), recorded.target, "{name}");
    let lower = |(name, value): &(String, String)| (name.to_ascii_lowercase(), value.clone());
    let (mut passed, own): (Vec<_>, Vec<_>) = got.head.headers.iter().map(lower).partition(is_passed);
    passed.sort();
    assert_eq!(passed, recorded.passed_headers(), "{name}");
    let own = |key: &str| {
        own.iter()
            .any(|(name, value)| name == "x-api-key" && value == key)
    };
    assert!(own(UPSTREAM_KEY), "{name}: {:?}", got.head.headers);
    let expected = match got.json()["stream"] == true {
        true => answer_bytes(&got.json()["model"]),
        false => json_bytes(got),
    };
    assert!(
        answer.body == expected,
        "{name}: another answer: {}",
        answer.text()
    );
}

#[tokio::test]
async fn recorded_requests_arrive_as_they_were_sent() {
    let upstream = Upstream::start(respond).await;
    let (gateway, key) = gateway_over(&upstream).await;
    let mut connection = gateway.connect().await;
    let mut replayed = 0;
    for recorded in recorded().iter().filter(|recorded| recorded.is_governed()) {
        for body in &recorded.bodies {
            let call = recorded.call(&key, body);
            for call in [call.clone(), call.clone().chunked(1021), call.chunked(7)] {
                let answer = connection.call(&call).await;
                compare(recorded, body, &answer, &upstream.last());
                replayed += 1;
            }
        }
    }
    assert!(replayed >= 6 * 40, "{replayed} replays");
    let seen = upstream.bytes();
    let leaked = memchr::memmem::find(&seen, key.as_bytes());
    assert_eq!(leaked, None, "the client's key went upstream");
}

/// Sends a request in two pieces, with a border that the gateway's reader sees.
async fn call_cut_at(connection: &mut Connection, call: &Call, place: usize) -> Answer {
    let bytes = [call.head_bytes(), call.body_bytes()].concat();
    let (front, back) = bytes.split_at(place);
    connection.send(front).await;
    pause(std::time::Duration::from_millis(1)).await;
    connection.send(back).await;
    connection.answer("POST").await.expect("an answer")
}

#[tokio::test]
async fn a_recorded_request_arrives_wherever_it_is_cut() {
    let upstream = Upstream::start(respond).await;
    let (gateway, key) = gateway_over(&upstream).await;
    let all = recorded();
    let named = |name: &str| all.iter().find(|recorded| recorded.name.ends_with(name)).unwrap();
    let mut connection = gateway.connect().await;
    let short = named("count-tokens-context-command.json");
    let call = short.call(&key, &short.bodies[0]);
    for place in 1..call.head_bytes().len() + short.bodies[0].len() {
        let answer = call_cut_at(&mut connection, &call, place).await;
        compare(short, &short.bodies[0], &answer, &upstream.last());
    }
    let long = named("tool-turn-2-tool-result.json");
    let body = &long.bodies[1];
    let call = long.call(&key, body);
    let head = call.head_bytes().len();
    for place in (0..body.len()).step_by(257).chain(body.len() - 3..body.len()) {
        let answer = call_cut_at(&mut connection, &call, head + place).await;
        compare(long, body, &answer, &upstream.last());
    }
}

/// The bodies that were not shortened have the length that their clients announced: the compact form
/// is the clients' own.
#[test]
fn bodies_have_the_recorded_length() {
    let mut same = 0;
    for recorded in recorded() {
        let announced: Option<usize> = recorded
            .header("content-length")
            .and_then(|length| length.parse().ok());
        let shortened =
            String::from_utf8_lossy(recorded.bodies.first().map_or(b"", Vec::as_slice)).contains("[redacted");
        if let (Some(announced), Some(body), false) = (announced, recorded.bodies.first(), shortened) {
            let is_model_request = recorded.is_governed() || recorded.name.starts_with("sdk");
            if is_model_request {
                assert_eq!(body.len(), announced, "{}", recorded.name);
                same += 1;
            }
        }
    }
    assert!(same > 15, "{same}");
}

#[tokio::test]
async fn other_recorded_requests_are_answered_here() {
    let upstream = Upstream::start(respond).await;
    let (gateway, key) = gateway_over(&upstream).await;
    let governed = |recorded: &&Recorded| !recorded.is_governed() && !recorded.is_openai();
    for recorded in recorded().iter().filter(governed) {
        let body = recorded.bodies.first().map_or([].as_slice(), Vec::as_slice);
        let mut connection = gateway.connect().await;
        let call = recorded.call(&key, body);
        connection.send(&call.head_bytes()).await;
        connection.send(&call.body_bytes()).await;
        let answer = connection.answer(&recorded.method).await.expect("an answer");
        let expected = match (recorded.method.as_str(), recorded.path()) {
            ("HEAD", "/" | "/api/hello") | ("GET", "/v1/models") => 200,
            // Hooks, telemetry and the formats of Bedrock and Vertex have no endpoint here.
            _ => 404,
        };
        assert_eq!(answer.status, expected, "{}: {}", recorded.name, answer.text());
        if recorded.path() == "/v1/models" {
            let listed = answer.json();
            assert_eq!(
                listed["data"][0]["id"],
                crate::support::setup::MODEL,
                "{}",
                recorded.name
            );
        }
    }
    assert_eq!(upstream.count(), 0, "nothing of this is an upstream's business");
}

/// Rows of a table of recorded exchanges: status and body, both as the client got them.
fn recorded_errors() -> Vec<(u16, Vec<u8>)> {
    let read = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(Path::new(FIXTURES).join(name)).unwrap()).unwrap()
    };
    let mut errors = Vec::new();
    for row in read("claude-code/gateway/errors.json")["rows"]
        .as_array()
        .unwrap()
    {
        if row["body"].is_object() {
            let status = row["status"].as_u64().unwrap();
            errors.push((
                u16::try_from(status).unwrap(),
                row["body"].to_string().into_bytes(),
            ));
        }
    }
    let table = read("claude-code/errors/error-behaviour-2.1.329.json");
    for row in table["rows"].as_array().unwrap() {
        let words: Vec<&str> = row["response"].as_str().unwrap().split(' ').collect();
        let (status, kind) = match words.as_slice() {
            [status, kind] if kind.ends_with("_error") => (status.parse::<u16>(), *kind),
            _ => continue,
        };
        let message = row["user_visible"].as_str().unwrap();
        let body = json!({"type": "error", "error": {"type": kind, "message": message}});
        errors.extend(
            status
                .ok()
                .map(|status| (status, format!("{body:#}").into_bytes())),
        );
    }
    assert!(errors.len() > 10, "{}", errors.len());
    errors
}

#[tokio::test]
async fn recorded_errors_come_back_as_they_were_answered() {
    let errors = recorded_errors();
    let scripts: Vec<Script> = errors
        .iter()
        .map(|(status, body)| upstream::answer(*status, &[("content-type", "application/json")], body))
        .collect();
    let upstream = Upstream::scripted(scripts).await;
    let (gateway, key) = gateway_over(&upstream).await;
    for (status, body) in errors {
        let answer = gateway
            .call(&Call::messages(&key, &crate::support::prompt::ask_stream("hi")))
            .await;
        let told = answer.text();
        let kind = serde_json::from_slice::<Value>(&body).unwrap()["error"]["type"].clone();
        if kind == "authentication_error" || kind == "permission_error" {
            // Relayed, these would sign the user out: it is the gateway's credential that was refused.
            assert_eq!(
                (answer.status, answer.error_type().as_str()),
                (502, "api_error"),
                "{told}"
            );
        } else {
            assert_eq!((answer.status, &answer.body), (status, &body), "{told}");
        }
    }
}
