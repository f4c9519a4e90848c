//! What is asked and what is answered: requests with a growing conversation, and the mock's answers.
//!
//! A request of a given size is always the same bytes except for ten digits in the newest user text,
//! so that a gateway sees what a running conversation shows it: only the last turn is new.

use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use serde_json::{Value, json};

/// The model name that every request asks for.
pub const MODEL: &str = "claude-sonnet-4-6";
/// A request with this text in it is answered by a stream that pauses between its events.
pub const PAUSE_MARK: &str = "please-pause-between-events";
/// A request with this text in it is answered by a stream that says hello and then stays silent.
pub const HOLD_MARK: &str = "please-hold-this-stream";
/// Server-sent events per streamed answer; each is written as a chunk of its own.
pub const STREAM_EVENTS: usize = 100;

const COUNTER: &str = "0000000000";

/// How a request is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// One JSON document of about 600 bytes.
    Json,
    /// One hundred events, as fast as they can be written.
    Stream,
    /// One hundred events with a pause between them, as a model writes.
    PausedStream,
    /// A stream that stays open and silent.
    Hold,
}

impl Answer {
    /// Whether it comes as events.
    pub fn streams(self) -> bool {
        self != Self::Json
    }
}

/// One kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// As given on the command line.
    pub name: &'static str,
    /// Row title in the report.
    pub title: &'static str,
    /// Size of the request's body.
    pub body_bytes: usize,
    /// How it is to be answered.
    pub answer: Answer,
}

impl Shape {
    /// Whether it is measured in TLS, too: the smallest body, the largest, the most writes.
    pub fn encrypted(self) -> bool {
        matches!(self.name, "2k" | "200k" | "stream")
    }
}

/// The shapes of the report, in its order.
pub const SHAPES: [Shape; 5] = [
    Shape {
        name: "2k",
        title: "JSON, 2 KB body",
        body_bytes: 2 << 10,
        answer: Answer::Json,
    },
    Shape {
        name: "32k",
        title: "JSON, 32 KB body",
        body_bytes: 32 << 10,
        answer: Answer::Json,
    },
    Shape {
        name: "200k",
        title: "JSON, 200 KB body",
        body_bytes: 200 << 10,
        answer: Answer::Json,
    },
    Shape {
        name: "stream",
        title: "100 chunks, at once",
        body_bytes: 2 << 10,
        answer: Answer::Stream,
    },
    Shape {
        name: "slow",
        title: "100 chunks, 2 ms apart",
        body_bytes: 2 << 10,
        answer: Answer::PausedStream,
    },
];

/// A request ready to be sent, with the place of its counter.
#[derive(Clone)]
pub struct Request {
    key: String,
    bytes: Vec<u8>,
    body_at: usize,
    counter_at: usize,
}

impl Request {
    /// Head and body for one shape, addressed to `host` with `key` as its credential.
    pub fn build(shape: Shape, host: &str, key: &str) -> Result<Self> {
        let body = body(shape)?;
        let mut bytes = format!(
            "POST /v1/messages HTTP/1.1\r\nhost: {host}\r\nx-api-key: {key}\r\n\
             anthropic-version: 2023-06-01\r\nuser-agent: tollgate-bench\r\naccept: application/json\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        let body_at = bytes.len();
        bytes.extend_from_slice(body.as_bytes());
        let counter_at =
            memchr::memmem::rfind(&bytes, COUNTER.as_bytes()).context("body without a counter")?;
        Ok(Self {
            key: key.to_owned(),
            bytes,
            body_at,
            counter_at,
        })
    }

    /// The same with `number` as the newest turn's mark.
    pub fn numbered(&mut self, number: u64) -> &Self {
        let digits = format!("{number:010}");
        for (place, digit) in self.bytes.iter_mut().skip(self.counter_at).zip(digits.bytes()) {
            *place = digit;
        }
        self
    }

    /// Head and body as HTTP/1.1 sends them.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The head as HTTP/2 sends it, to this authority.
    pub fn head(&self, authority: &str) -> Result<http::Request<()>> {
        let head = http::Request::post(format!("https://{authority}/v1/messages"))
            .header("x-api-key", &self.key)
            .header("anthropic-version", "2023-06-01")
            .header("user-agent", "tollgate-bench")
            .header("accept", "application/json")
            .header("content-type", "application/json");
        Ok(head.body(())?)
    }

    /// The body alone.
    pub fn body(&self) -> Bytes {
        Bytes::copy_from_slice(self.bytes.get(self.body_at..).unwrap_or_default())
    }
}

/// A Messages request of exactly the shape's size.
fn body(shape: Shape) -> Result<String> {
    let mut prose = Prose::default();
    let mut turns: Vec<Value> = Vec::new();
    let mut bytes = 0;
    while bytes + 4096 < shape.body_bytes {
        let next = exchange(&mut prose, turns.len());
        bytes += next.iter().map(|turn| turn.to_string().len()).sum::<usize>();
        turns.extend(next);
    }
    let opening = match shape.answer {
        Answer::Hold => format!("{HOLD_MARK} {COUNTER} "),
        Answer::PausedStream => format!("{PAUSE_MARK} {COUNTER} "),
        Answer::Json | Answer::Stream => format!("Turn {COUNTER}. "),
    };
    let bare = request(shape, &turns, &opening);
    ensure!(
        bare.len() <= shape.body_bytes,
        "{} bytes do not fit into {}",
        bare.len(),
        shape.body_bytes
    );
    let padded = request(
        shape,
        &turns,
        &format!("{opening}{}", prose.text(shape.body_bytes - bare.len())),
    );
    ensure!(
        padded.len() == shape.body_bytes,
        "a body of {} bytes",
        padded.len()
    );
    Ok(padded)
}

fn request(shape: Shape, turns: &[Value], newest: &str) -> String {
    let mut messages = turns.to_vec();
    messages.push(json!({ "role": "user", "content": [{ "type": "text", "text": newest }] }));
    json!({
        "model": MODEL,
        "max_tokens": 1024,
        "stream": shape.answer.streams(),
        "system": [{
            "type": "text",
            "text": "You are a careful engineer. Read the files that you are shown before you change them.",
            "cache_control": { "type": "ephemeral" }
        }],
        "tools": [{
            "name": "read_file",
            "description": "Read one file of the workspace and return its text.",
            "input_schema": {
                "type": "object",
                "properties": { "path": { "type": "string" } },
                "required": ["path"]
            }
        }],
        "metadata": { "user_id": "user_bench_account_0001_session_0001" },
        "messages": messages
    })
    .to_string()
}

/// Four turns of a coding session: a question, a tool call, its result, a conclusion.
fn exchange(prose: &mut Prose, turn: usize) -> Vec<Value> {
    let id = format!("toolu_bench{turn:08}");
    let path = format!("src/part_{turn}/mod.rs");
    vec![
        json!({ "role": "user", "content": [{ "type": "text", "text": prose.text(300) }] }),
        json!({ "role": "assistant", "content": [
            { "type": "text", "text": prose.text(160) },
            { "type": "tool_use", "id": id, "name": "read_file", "input": { "path": path } }
        ] }),
        json!({ "role": "user", "content": [
            { "type": "tool_result", "tool_use_id": id, "content": prose.listing(40) }
        ] }),
        json!({ "role": "assistant", "content": [{ "type": "text", "text": prose.text(600) }] }),
    ]
}

/// Plain words from a fixed sequence: the same in every run.
#[derive(Default)]
struct Prose {
    step: u32,
}

impl Prose {
    const WORDS: [&str; 16] = [
        "the", "gateway", "reads", "every", "request", "before", "forward", "which", "stream", "answer",
        "of", "model", "then", "writes", "a", "record",
    ];

    fn word(&mut self) -> &'static str {
        self.step = self.step.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let place = usize::try_from(self.step >> 28).unwrap_or_default();
        Self::WORDS.get(place).copied().unwrap_or("the")
    }

    /// Exactly `bytes` bytes of words.
    fn text(&mut self, bytes: usize) -> String {
        let mut text = String::with_capacity(bytes + 16);
        while text.len() < bytes {
            text.push_str(self.word());
            text.push(' ');
        }
        text.truncate(bytes);
        text
    }

    /// Something like source code: short lines, quotes, indentation.
    fn listing(&mut self, lines: usize) -> String {
        let mut text = String::new();
        for line in 1..=lines {
            let (name, kind, value) = (self.word(), self.word(), self.word());
            let _ = writeln!(
                text,
                "{line:>5}\t    let {name}_{line} = {kind}(\"{value}\", {line});"
            );
        }
        text
    }
}

/// The mock's complete JSON answers, heads included: as Messages, and as a chat completion.
pub fn json_answers() -> [Vec<u8>; 2] {
    let text = Prose::default().text(280);
    let message = json!({
        "id": "msg_01BenchBenchBenchBench01",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [{ "type": "text", "text": text }],
        "stop_reason": "end_turn",
        "stop_sequence": null,
        "usage": {
            "input_tokens": 512,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 64,
            "service_tier": "standard"
        }
    });
    let completion = json!({
        "id": "chatcmpl-BenchBenchBenchBench",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": MODEL,
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": text, "refusal": null },
                      "logprobs": null, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 512, "completion_tokens": 64, "total_tokens": 576,
                   "prompt_tokens_details": { "cached_tokens": 0 } }
    });
    [message, completion].map(|body| {
        let body = body.to_string();
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nrequest-id: req_bench\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    })
}

/// The head of a streamed answer.
pub const STREAM_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
     cache-control: no-cache\r\nrequest-id: req_bench\r\ntransfer-encoding: chunked\r\n\r\n";

/// The chunks of a streamed answer, framed, as Messages and as chat completions; the first carries the head, the last
/// ends the body.
pub fn stream_chunks() -> [Vec<Vec<u8>>; 2] {
    let named = |event: &Value| {
        let name = event.get("type").and_then(Value::as_str).unwrap_or_default();
        format!("event: {name}\ndata: {event}\n\n")
    };
    let messages = message_events().iter().map(named).collect();
    let mut completions: Vec<String> = completion_chunks()
        .iter()
        .map(|chunk| format!("data: {chunk}\n\n"))
        .collect();
    completions.push("data: [DONE]\n\n".to_owned());
    [messages, completions].map(|events: Vec<String>| framed(&events))
}

fn message_events() -> Vec<Value> {
    let mut prose = Prose::default();
    let mut events = vec![
        json!({ "type": "message_start", "message": {
            "id": "msg_01BenchBenchBenchBench01", "type": "message", "role": "assistant", "model": MODEL,
            "content": [], "stop_reason": null, "stop_sequence": null,
            "usage": { "input_tokens": 512, "cache_creation_input_tokens": 0,
                       "cache_read_input_tokens": 0, "output_tokens": 1 }
        } }),
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
    ];
    while events.len() + 3 < STREAM_EVENTS {
        let delta = json!({ "type": "text_delta", "text": prose.text(18) });
        events.push(json!({ "type": "content_block_delta", "index": 0, "delta": delta }));
    }
    events.push(json!({ "type": "content_block_stop", "index": 0 }));
    events.push(json!({ "type": "message_delta",
                        "delta": { "stop_reason": "end_turn", "stop_sequence": null },
                        "usage": { "output_tokens": 400 } }));
    events.push(json!({ "type": "message_stop" }));
    events
}

/// The same as chunks, without the mark of their end.
fn completion_chunks() -> Vec<Value> {
    let mut prose = Prose::default();
    let chunk = |choices: Value| {
        json!({ "id": "chatcmpl-BenchBenchBenchBench", "object": "chat.completion.chunk",
                "created": 1_790_000_000, "model": MODEL, "choices": choices })
    };
    let choice = |delta: Value, finish: Value| {
        chunk(json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish }]))
    };
    let mut chunks = vec![choice(json!({ "role": "assistant", "content": "" }), Value::Null)];
    while chunks.len() + 3 < STREAM_EVENTS {
        chunks.push(choice(json!({ "content": prose.text(18) }), Value::Null));
    }
    chunks.push(choice(json!({}), json!("stop")));
    let mut last = chunk(json!([]));
    if let Some(members) = last.as_object_mut() {
        let usage = json!({ "prompt_tokens": 512, "completion_tokens": 400, "total_tokens": 912 });
        members.insert("usage".to_owned(), usage);
    }
    chunks.push(last);
    chunks
}

fn framed(events: &[String]) -> Vec<Vec<u8>> {
    let mut chunks: Vec<Vec<u8>> = events
        .iter()
        .map(|text| format!("{:x}\r\n{text}\r\n", text.len()).into_bytes())
        .collect();
    if let Some(first) = chunks.first_mut() {
        first.splice(0..0, STREAM_HEAD.bytes());
    }
    if let Some(last) = chunks.last_mut() {
        last.extend_from_slice(b"0\r\n\r\n");
    }
    chunks
}
