//! What translation costs: `cargo bench --bench translate`.
//!
//! Prints the best and the median of many rounds; the best is the figure to trust on a machine that
//! others use. Targets: below 20 µs per event of a stream, a request of 200 KB below 1.5 ms.
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

mod support;

use std::hint::black_box;

use anyhow::Result;
use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use tollgate::pipeline::translate::{
    ChatProfile, MessagesRequest, Reader, Rewriter, Telling, TranslatedRequest, chat_to_messages,
    messages_to_chat, messages_to_converse,
};
use tollgate::types::ids::ModelName;

use crate::support::{conversation, rounds};

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
        let TranslatedRequest { body: chat, .. } = messages_to_chat(&body, &model, &profile)?;
        let title = format!("chat to Messages, {kilobytes} KB");
        measure(&title, 20, || {
            black_box(chat_to_messages(&chat, Reader::Upstream(&model)).ok());
        });
    }

    let body = conversation(2);
    let TranslatedRequest {
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
    let nova = ModelName::new("amazon.nova-pro-v1:0");
    let TranslatedRequest { answer: asked, .. } = messages_to_converse(&body, &nova)?;
    let deltas = converse_events();
    per_event("Converse events to Messages", &deltas, &|| {
        Rewriter::converse(asked.clone(), "msg_01")
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

fn measure(name: &str, times: u32, mut work: impl FnMut()) {
    let (best, median) = rounds(times, &mut work);
    println!("{name:<36} best {best:9.2} µs  median {median:9.2} µs");
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

/// As they come out of their frames.
fn converse_events() -> Vec<Bytes> {
    let delta = json!({ "text": "the gateway reads \"every\"\n" });
    let delta = json!({ "contentBlockDelta": { "contentBlockIndex": 0, "delta": delta, "p": "abcdefgh" } });
    let mut events = vec![Bytes::from_static(
        b"data: {\"messageStart\":{\"role\":\"assistant\"}}\n\n",
    )];
    for _ in 0..DELTAS {
        events.push(Bytes::from(format!("data: {delta}\n\n")));
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
