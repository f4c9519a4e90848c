//! What translation costs: `cargo bench --bench translate`.
//!
//! Prints the best and the median of many rounds; the best is the figure to trust on a machine that
//! others use. Targets: below 20 µs per event of a stream, a request of 200 KB below 1.5 ms.
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::hint::black_box;
use std::time::Instant;

use anyhow::Result;
use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use tollgate::pipeline::translate::{
    ChatProfile, ChatRequest, MessagesRequest, Reader, Rewriter, Telling, chat_to_messages, messages_to_chat,
};
use tollgate::types::ids::ModelName;

const ROUNDS: usize = 21;
const DELTAS: u32 = 1_000;

fn main() -> Result<()> {
    let model = ModelName::new("gpt-5.6");
    let profile = ChatProfile::default();
    for kilobytes in [2, 32, 200] {
        let body = conversation(kilobytes);
        let title = format!("Messages to chat, {kilobytes} KB");
        measure(&title, 20, || {
            black_box(messages_to_chat(&body, &model, &profile).ok());
        });
        let ChatRequest { body: chat, .. } = messages_to_chat(&body, &model, &profile)?;
        let title = format!("chat to Messages, {kilobytes} KB");
        measure(&title, 20, || {
            black_box(chat_to_messages(&chat, Reader::Upstream(&model)).ok());
        });
    }

    let body = conversation(2);
    let ChatRequest {
        answer, body: chat, ..
    } = messages_to_chat(&body, &model, &profile)?;
    let chunks = chat_chunks();
    let per_event = |name: &str, events: &[Bytes], start: &dyn Fn() -> Rewriter| {
        let events_count = f64::from(DELTAS);
        let mut out = BytesMut::new();
        let mut work = || {
            let mut rewriter = start();
            for event in events {
                rewriter.push(event, &mut out);
                black_box(&out);
                out.clear();
            }
        };
        let (best, median) = rounds(5, &mut work);
        println!(
            "{name:<36} best {:9.3} µs  median {:9.3} µs  per event",
            best / events_count,
            median / events_count
        );
    };
    let events = message_events();
    per_event("Messages passed", &events, &|| Rewriter::messages(None));
    per_event("chat chunks to Messages", &chunks, &|| {
        Rewriter::chat(answer.clone(), "msg_01")
    });
    let MessagesRequest { answer, .. } = chat_to_messages(&chat, Reader::Upstream(&model))?;
    let name = tollgate::pipeline::translate::CompletionName {
        id: "chatcmpl-01".to_owned(),
        created: 1_790_000_000,
    };
    per_event("Messages to chat chunks", &events, &|| {
        Rewriter::messages(None).told(Telling::completion(answer.clone(), &name))
    });
    Ok(())
}

/// Runs `work` in rounds of `times`: microseconds of the best round and of the median, for one.
fn rounds(times: u32, work: &mut dyn FnMut()) -> (f64, f64) {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..times {
                work();
            }
            start.elapsed().as_secs_f64() * 1e6 / f64::from(times)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    let at = |place: usize| rounds.get(place).copied().unwrap_or_default();
    (at(0), at(ROUNDS / 2))
}

fn measure(name: &str, times: u32, mut work: impl FnMut()) {
    let (best, median) = rounds(times, &mut work);
    println!("{name:<36} best {best:9.2} µs  median {median:9.2} µs");
}

/// A conversation about code of about this size, with calls and results.
fn conversation(kilobytes: usize) -> Bytes {
    let code = "fn main() -> Result<()> {\n    let path = \"src/main.rs\";\n    open(path)?.read_to_end(&mut buffer)\n}\n";
    let mut messages = vec![json!({ "role": "user", "content": "Why does it not compile?" })];
    let mut size = 0;
    while size < kilobytes * 1_000 {
        let id = format!("toolu_{size}");
        messages.push(json!({ "role": "assistant", "content": [
            { "type": "text", "text": "I will read the file first." },
            { "type": "tool_use", "id": id, "name": "Read", "input": { "file_path": "src/main.rs" } },
        ] }));
        let result = code.repeat(10);
        size += result.len() + 300;
        messages.push(json!({ "role": "user", "content": [
            { "type": "tool_result", "tool_use_id": id, "content": result },
        ] }));
    }
    let tools = json!([{ "name": "Read", "description": "Reads a file", "input_schema": { "type": "object",
        "properties": { "file_path": { "type": "string" } }, "required": ["file_path"] } }]);
    let body: Value = json!({ "model": "claude-sonnet-4-6", "max_tokens": 4096, "stream": true, "tools": tools,
        "system": [{ "type": "text", "text": "You are terse." }], "messages": messages });
    Bytes::from(body.to_string())
}

fn message_events() -> Vec<Bytes> {
    let event = |value: &Value| {
        let name = value.get("type").and_then(Value::as_str).unwrap_or_default();
        Bytes::from(format!("event: {name}\ndata: {value}\n\n"))
    };
    let usage = json!({ "input_tokens": 512, "output_tokens": 1 });
    let message = json!({ "id": "msg_01", "type": "message", "role": "assistant", "model": "m", "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": usage });
    let block = json!({ "type": "text", "text": "" });
    let mut events = vec![
        event(&json!({ "type": "message_start", "message": message })),
        event(&json!({ "type": "content_block_start", "index": 0, "content_block": block })),
    ];
    for _ in 0..DELTAS {
        let delta = json!({ "type": "text_delta", "text": "the gateway reads \"every\"\n" });
        events.push(event(
            &json!({ "type": "content_block_delta", "index": 0, "delta": delta }),
        ));
    }
    events
}

fn chat_chunks() -> Vec<Bytes> {
    let chunk = |delta: Value| {
        let choice = json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": null });
        let chunk = json!({ "id": "chatcmpl-01", "object": "chat.completion.chunk", "created": 1_790_000_000,
            "model": "m", "choices": [choice] });
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    let mut chunks = vec![chunk(json!({ "role": "assistant", "content": "" }))];
    for _ in 0..DELTAS {
        chunks.push(chunk(json!({ "content": "the gateway reads \"every\"\n" })));
    }
    chunks
}
