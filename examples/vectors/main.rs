//! Runs conversion vectors against the real binary: `vectors DIR [--gateway PATH]`.
//!
//! A mock upstream serves each case at a path of its own, the gateway has one upstream and one route for
//! each. Every case runs as given and byte by byte, and once more without streaming where it has a whole
//! answer. One line per failing case, then `N passed, N failed`.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a tool for developers: it prints, and JSON values index to null"
)]

mod gateway;
mod told;
#[path = "../../tests/vectors/mod.rs"]
mod vectors;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};

use gateway::{Gateway, model_name};
use vectors::case::{Case, load_all};
use vectors::events::{check_grammar, decode};
use vectors::http::{Message, post};
use vectors::mock::{Mock, Script};
use vectors::pattern::{Bindings, matches};
use vectors::reduced::{Reduced, compare, of_events, of_message, of_stream};
use vectors::request;

/// The pause between two chunks as given, and between two single bytes.
const CHUNK_PAUSE: fn() = || thread::sleep(Duration::from_micros(300));
const BYTE_PAUSE: fn() = || thread::sleep(Duration::from_micros(20));

fn main() -> ExitCode {
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}

fn run() -> anyhow::Result<usize> {
    let (folder, binary) = arguments()?;
    let cases = load_all(&folder).map_err(|error| anyhow!(error))?;
    if cases.is_empty() {
        return Err(anyhow!("no case in {}", folder.display()));
    }
    let mock = Mock::start()?;
    let gateway = Gateway::start(&binary, &cases, mock.address())?;
    let mut failed = 0;
    for (nth, case) in cases.iter().enumerate() {
        let probe = Probe {
            case,
            nth,
            mock: &mock,
            gateway: &gateway,
        };
        let problems = probe.problems();
        if !problems.is_empty() {
            failed += 1;
            println!("FAIL {}: {}", case.name, problems.join("; ").replace('\n', " "));
        }
    }
    if failed > 0 {
        let log = gateway.log();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(20)..].join("\n");
        eprintln!("--- the gateway's last words\n{last}\n---");
    }
    println!("{} passed, {failed} failed", cases.len() - failed);
    Ok(failed)
}

fn arguments() -> anyhow::Result<(PathBuf, PathBuf)> {
    let usage = "usage: vectors DIR [--gateway PATH]";
    let (mut folder, mut binary) = (None, None);
    let mut arguments = std::env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--gateway" {
            binary = Some(PathBuf::from(arguments.next().context(usage)?));
        } else if folder.is_none() {
            folder = Some(PathBuf::from(argument));
        } else {
            return Err(anyhow!(usage));
        }
    }
    // The example lies in a folder beside the binary.
    let own = std::env::current_exe()?;
    let beside = own
        .parent()
        .and_then(Path::parent)
        .map(|folder| folder.join("tollgate"));
    Ok((folder.context(usage)?, binary.or(beside).context(usage)?))
}

/// One case against the gateway.
struct Probe<'p> {
    case: &'p Case,
    nth: usize,
    mock: &'p Mock,
    gateway: &'p Gateway,
}

impl Probe<'_> {
    fn problems(&self) -> Vec<String> {
        let outcomes = [
            ("as given", self.stream(None, CHUNK_PAUSE)),
            ("byte by byte", self.stream(Some(1), BYTE_PAUSE)),
            ("whole", self.whole()),
        ];
        let problems = outcomes
            .into_iter()
            .filter_map(|(how, outcome)| Some(format!("{how}: {}", outcome.err()?)));
        problems.collect()
    }

    fn stream(&self, cut: Option<usize>, after_chunk: fn()) -> Result<(), String> {
        let answer = self.send(&self.case.request_text, cut, after_chunk)?;
        self.check_received(&self.case.upstream_request, true)?;
        self.check_drops(&answer)?;
        if self.case.client() != "messages" {
            return told::compare_stream(self.case, &answer);
        }
        let expected = of_events(&self.case.events);
        let actual = stream_of(&answer)?;
        compare(self.case, &expected, &actual)?;
        compare(self.case, &of_message(&self.case.message), &actual)
    }

    fn whole(&self) -> Result<(), String> {
        if self.case.upstream_response.is_none() {
            return Ok(());
        }
        let answer = self.send(&self.case.unstreamed_request().to_string(), None, || {})?;
        self.check_received(&self.case.unstreamed_upstream_request(), false)?;
        if self.case.client() != "messages" {
            return told::compare_whole(self.case, &answer);
        }
        let message: Value = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
        let actual = if answer.status() == 200 {
            of_message(&message)
        } else {
            refusal(&message)
        };
        compare(self.case, &of_message(&self.case.message), &actual)
    }

    /// Sends the request as it is written, but for its model.
    fn send(&self, request: &str, cut: Option<usize>, after_chunk: fn()) -> Result<Message, String> {
        self.mock.play(Script {
            stream: self.case.transcript.clone(),
            template: self.case.switch("template"),
            cut,
            whole: self.case.upstream_response.clone(),
            after_chunk,
        });
        let model = Value::String(model_name(self.nth)).to_string();
        let request = request.replacen(&self.case.request["model"].to_string(), &model, 1);
        let bearer = format!("Bearer {}", self.gateway.key);
        let headers = [
            ("authorization", bearer.as_str()),
            ("anthropic-version", "2023-06-01"),
        ];
        let path = match self.case.client() {
            "chat_completions" => "/v1/chat/completions",
            "responses" => "/v1/responses",
            _ => "/v1/messages",
        };
        let answer = post(self.gateway.address, path, &headers, &request);
        let answer = answer.map_err(|error| format!("no answer: {error}"))?;
        if answer.complete {
            Ok(answer)
        } else {
            Err("the gateway broke off its answer".to_owned())
        }
    }

    fn check_received(&self, expected: &Value, stream: bool) -> Result<(), String> {
        let received = self.mock.received();
        let [(path, body)] = received.as_slice() else {
            return Err(format!("the upstream received {} requests", received.len()));
        };
        let model = self.case.upstream_model();
        let operation = match (self.case.upstream(), stream) {
            ("messages", _) => "v1/messages".to_owned(),
            ("gemini", true) => format!("models/{model}:streamGenerateContent?alt=sse"),
            ("gemini", false) => format!("models/{model}:generateContent"),
            _ => "chat/completions".to_owned(),
        };
        let wanted = format!("/{:03}/{operation}", self.nth);
        if *path != wanted {
            return Err(format!("the upstream was asked at {path} instead of {wanted}"));
        }
        if (self.case.client(), self.case.upstream()) == ("messages", "chat_completions") {
            request::compare(self.case, expected, body)
        } else {
            matches(expected, body, &mut Bindings::default(), "request")
        }
    }

    /// Losses are told in a header, unless it is full.
    fn check_drops(&self, answer: &Message) -> Result<(), String> {
        let told = answer.header("x-tollgate-dropped").unwrap_or_default();
        let paths: Vec<&str> = told.split(", ").collect();
        let missing = self
            .case
            .list("reported_drops")
            .into_iter()
            .find(|path| !paths.contains(path));
        match missing {
            Some(path) if !told.contains("...+") => Err(format!("the loss of {path} is not told: {told:?}")),
            _ => Ok(()),
        }
    }
}

/// What the client's stream comes to. A failure before the first event may be an answer of its own.
fn stream_of(answer: &Message) -> Result<Reduced, String> {
    if answer.status() != 200 {
        let body: Value = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
        return Ok(refusal(&body));
    }
    let kind = answer.header("content-type").unwrap_or_default();
    if !kind.starts_with("text/event-stream") {
        return Err(format!("the answer is {kind}"));
    }
    let events = decode(&answer.body)?;
    check_grammar(&events)?;
    Ok(of_stream(&events))
}

fn refusal(body: &Value) -> Reduced {
    of_message(&json!({"error": body["error"], "partial_content": []}))
}
