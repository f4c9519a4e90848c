//! What a stream is billed for that is broken off: tried behind every piece of every recorded stream, as given and
//! in small pieces.

use std::fs;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use tollgate::pipeline::record::aborted::{Asked, OVERRUN_TOKENS};
use tollgate::pipeline::record::prices::{Cost, PriceTable, Served};
use tollgate::pipeline::translate::{Progress, Rewriter, messages_to_chat};
use tollgate::types::ids::ModelName;
use tollgate::types::usage::Usage;

use super::format::transcript::{Ending, Transcript};
use super::{bytes as passed, gemini, run, told};

/// One recorded stream, and what makes its rewriter.
struct Stream {
    name: String,
    rewriter: Box<dyn Fn() -> Rewriter>,
    transcript: Transcript,
}

/// A stream behind one of its pieces.
struct Moment {
    seen: Option<Usage>,
    /// Whether the upstream had told all counts.
    told: bool,
    /// Whether it had said why it stopped.
    told_its_end: bool,
    /// Bytes of text that the client had got.
    delivered: usize,
}

fn streams() -> Vec<Stream> {
    let mut streams = Vec::new();
    for case in super::cases() {
        let model = ModelName::new(case.upstream_model());
        let Ok(sent) = messages_to_chat(case.request_text.as_bytes(), &model, &run::profile(&case)) else {
            continue;
        };
        let body: Value = serde_json::from_slice(&sent.body).unwrap();
        streams.push(Stream {
            transcript: case.transcript.clone().filled(&body).unwrap(),
            rewriter: Box::new(move || Rewriter::chat(sent.answer.clone(), "msg_test")),
            name: format!("messages over chat, {}", case.name),
        });
    }
    for (folder, case) in told::cases() {
        if case.upstream() == "messages" {
            streams.push(Stream {
                name: format!("messages, {folder}/{}", case.name),
                rewriter: Box::new(|| Rewriter::messages(None)),
                transcript: case.transcript.clone(),
            });
        }
        streams.push(Stream {
            name: format!("{folder}/{}", case.name),
            transcript: case.transcript.clone(),
            rewriter: Box::new(move || told::rewriter(&case)),
        });
    }
    for (case, context) in gemini::answers() {
        streams.push(Stream {
            name: format!("messages over Gemini, {}", case.name),
            transcript: case.transcript.clone(),
            rewriter: Box::new(move || Rewriter::gemini(context.clone(), "msg_test")),
        });
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/vectors/openai-bytes");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Ok(settings) = fs::read_to_string(path.join("case.json")) else {
            continue;
        };
        let settings: Value = serde_json::from_str(&settings).unwrap();
        let text = fs::read_to_string(path.join("upstream_stream.txt")).unwrap();
        streams.push(Stream {
            name: format!("bytes, {}", path.display()),
            rewriter: Box::new(move || passed::rewriter(&settings)),
            transcript: Transcript::read(&text).unwrap(),
        });
    }
    assert!(streams.len() >= 80, "only {} streams were found", streams.len());
    streams.push(long());
    streams
}

/// A stream of 300 words, because the recorded ones are short.
fn long() -> Stream {
    let event =
        |data: Value| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap()).into_bytes();
    let start = json!({"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant",
        "model": "m", "content": [], "usage": {"input_tokens": 40, "cache_read_input_tokens": 900, "output_tokens": 1}}});
    let word =
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "words "}});
    let end = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 420}});
    let mut chunks = vec![event(start)];
    chunks.extend((0..300).map(|_| event(word.clone())));
    chunks.push(event(end));
    chunks.push(event(json!({"type": "message_stop"})));
    Stream {
        name: "messages, made".to_owned(),
        rewriter: Box::new(|| Rewriter::messages(None)),
        transcript: Transcript {
            status: 200,
            headers: Vec::new(),
            chunks,
            ending: Ending::Eof,
        },
    }
}

/// The moments behind each piece, until the stream ends.
fn moments(stream: &Stream, pieces: &Transcript) -> Vec<Moment> {
    let mut rewriter = (stream.rewriter)();
    let mut out = BytesMut::new();
    let mut moments = Vec::new();
    for chunk in &pieces.chunks {
        let progress = rewriter.push(&Bytes::copy_from_slice(chunk), &mut out);
        let observed = rewriter.observed();
        moments.push(Moment {
            seen: observed.usage,
            told: observed.usage.is_some() && !observed.usage_estimated,
            told_its_end: observed.stop_reason.is_some(),
            delivered: delivered(&out),
        });
        if progress != Progress::More {
            break;
        }
    }
    moments
}

/// How many bytes of text these events hold, read as a client reads them.
fn delivered(out: &[u8]) -> usize {
    let text = String::from_utf8_lossy(out);
    let events = text.lines().filter_map(|line| line.strip_prefix("data:"));
    events
        .filter_map(|data| serde_json::from_str::<Value>(data).ok())
        .map(|data| text_bytes(&data))
        .sum()
}

fn text_bytes(data: &Value) -> usize {
    let size = |value: &Value| value.as_str().map_or(0, str::len);
    let delta = &data["delta"];
    let of_messages = size(&delta["text"]) + size(&delta["thinking"]) + size(&delta["partial_json"]);
    let choices = data["choices"].as_array().into_iter().flatten();
    let of_chat = choices.map(|choice| {
        let delta = &choice["delta"];
        // The same thought may stand in both.
        let thought = size(&delta["reasoning"]).max(size(&delta["reasoning_content"]));
        let calls = delta["tool_calls"].as_array().into_iter().flatten();
        let arguments: usize = calls.map(|call| size(&call["function"]["arguments"])).sum();
        size(&delta["content"]) + size(&delta["refusal"]) + thought + arguments
    });
    size(delta) + of_messages + of_chat.sum::<usize>()
}

fn price(table: &PriceTable, usage: &Usage) -> i64 {
    let served = Served {
        provider: "anthropic",
        upstream: "u",
        model: "claude-opus-5-5",
    };
    // What tools and tiers cost is another matter.
    let tokens = Usage {
        server_tools: Default::default(),
        terms: Default::default(),
        ..*usage
    };
    match table.cost(&served, &tokens) {
        Cost::Known(cost) => cost.get(),
        Cost::Unknown => panic!("the price is known"),
    }
}

/// The most that the whole answer can come to: all of its text, and no discount of a cache that only the end tells.
fn whole(moments: &[Moment]) -> Usage {
    let seen = || moments.iter().filter_map(|moment| moment.seen);
    Usage {
        input: seen().map(|usage| usage.total_input()).max().unwrap_or(0),
        output: seen().map(|usage| usage.output).max().unwrap_or(0),
        ..Usage::default()
    }
}

fn judge(table: &PriceTable, what: &str, moments: &[Moment]) {
    let whole = whole(moments);
    let last = moments
        .iter()
        .filter_map(|moment| moment.seen)
        .next_back()
        .unwrap_or_default();
    let most = price(table, &whole).max(price(table, &last));
    let asked = Asked {
        input: whole.input,
        output_max: Some(whole.output),
    };
    let unbounded = Asked {
        output_max: None,
        ..asked
    };
    let mut before = 0;
    for (place, moment) in moments.iter().enumerate() {
        let what = format!("{what}, behind piece {place}");
        let bill = asked.hung_up(moment.seen, moment.told_its_end);
        let cost = price(table, &bill);
        let tokens = u64::try_from(moment.delivered).unwrap() * 2 / 7;
        if !moment.told {
            assert!(
                bill.output >= tokens,
                "{what}: {} of {tokens} tokens are billed",
                bill.output
            );
            // Before anything was seen the input is a guess, and behind the last word nothing more is made: both
            // are known better later, and may come to less.
            if moment.seen.is_some() && !moment.told_its_end {
                assert!(cost >= before, "{what}: {cost} after {before}");
                before = cost;
            }
        }
        assert!(cost <= most, "{what}: {cost} of {most}");
        if moment.told && moment.told_its_end {
            assert_eq!(Some(bill), moment.seen, "{what}: the upstream told all");
        }
        let seen = moment.seen.unwrap_or_default().output;
        let beyond = unbounded.hung_up(moment.seen, moment.told_its_end).output - seen;
        assert_eq!(
            beyond,
            if moment.told_its_end { 0 } else { OVERRUN_TOKENS },
            "{what}"
        );
    }
}

#[test]
fn an_aborted_stream_costs_what_was_delivered_and_never_more_than_the_whole() {
    let table = PriceTable::shipped().unwrap();
    let (mut tried, mut grown) = (0, 0);
    for stream in streams() {
        for (how, pieces) in [
            ("as given", stream.transcript.clone()),
            ("in small pieces", stream.transcript.recut(23)),
        ] {
            let moments = moments(&stream, &pieces);
            judge(&table, &format!("{} {how}", stream.name), &moments);
            tried += moments.len();
            grown += usize::from(whole(&moments).output > OVERRUN_TOKENS);
        }
    }
    assert!(tried > 2_000, "{tried} places were tried");
    assert!(
        grown >= 6,
        "{grown} streams are longer than what goes beyond them"
    );
}
