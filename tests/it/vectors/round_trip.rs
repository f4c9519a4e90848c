//! There and back: Messages told as chat completions and read as Messages again keep what the mapping keeps.
//!
//! Requests: model, limits, system text, tools, the choice among them, and every turn with its calls and results. Not kept:
//! cache marks, thinking (it is another vendor's), blank texts, the border between texts of one turn. Answers: every
//! block in its order, stop reasons, usage.

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use tollgate::pipeline::translate::{
    ChatProfile, CompletionName, Ending, Progress, Reader, Rewriter, Telling, chat_to_messages,
    messages_to_chat,
};
use tollgate::types::ids::ModelName;

use super::format::events::{check_grammar, decode};
use super::format::reduced::{of_events, of_stream};
use super::splits::Random;

/// How many conversations and answers are tried.
const ROUNDS: u64 = 400;

const WORDS: [&str; 10] = [
    "gate",
    "Grüße 🙂",
    "\"quoted\"",
    "back\\slash",
    "new\nline",
    "\u{0}\u{1f}",
    "</tag>",
    "data: x",
    "{\"json\": [1]}",
    "ﬀ\u{2028}",
];

/// Things at random, the same for a seed.
struct Maker(Random);

impl Maker {
    fn below(&mut self, limit: usize) -> usize {
        self.0.below(limit)
    }

    fn text(&mut self) -> String {
        let words: Vec<&str> = (0..=self.below(6))
            .map(|_| WORDS[self.below(WORDS.len())])
            .collect();
        words.join(" ")
    }

    fn input(&mut self) -> Value {
        let mut input = json!({"path": self.text()});
        if self.below(2) == 0 {
            input["deep"] = json!({"list": [self.below(9), self.text(), null, true], "number": 1.5});
        }
        input
    }

    /// A turn of the user, with results for these calls.
    fn user(&mut self, calls: &[String]) -> Value {
        let mut content: Vec<Value> = calls
            .iter()
            .map(|id| json!({"type": "tool_result", "tool_use_id": id, "content": self.text()}))
            .collect();
        if calls.is_empty() || self.below(3) == 0 {
            content.push(json!({"type": "text", "text": self.text()}));
        }
        json!({"role": "user", "content": content})
    }

    /// A turn of the model, and the calls in it.
    fn assistant(&mut self, turn: usize) -> (Value, Vec<String>) {
        let calls: Vec<String> = (0..self.below(3))
            .map(|nth| format!("toolu_{turn:02}x{nth:02}"))
            .collect();
        let mut content = Vec::new();
        if calls.is_empty() || self.below(2) == 0 {
            content.push(json!({"type": "text", "text": self.text()}));
        }
        for id in &calls {
            content.push(json!({"type": "tool_use", "id": id, "name": "read_file", "input": self.input()}));
        }
        (json!({"role": "assistant", "content": content}), calls)
    }

    fn request(&mut self) -> Value {
        let mut messages = vec![self.user(&[])];
        for turn in 0..self.below(5) {
            let (assistant, calls) = self.assistant(turn);
            messages.push(assistant);
            messages.push(self.user(&calls));
        }
        let schema =
            json!({"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]});
        let mut request = json!({"model": "claude-sonnet-4-6", "max_tokens": 1 + self.below(9_000),
            "stream": true, "messages": messages,
            "tools": [{"name": "read_file", "description": self.text(), "input_schema": schema}]});
        if self.below(2) == 0 {
            request["system"] = json!(self.text());
        }
        if self.below(2) == 0 {
            request["temperature"] = json!(0.25);
            request["top_p"] = json!(0.5);
        }
        if self.below(2) == 0 {
            request["stop_sequences"] = json!(["END", "\n\nHuman:"]);
        }
        let choices = [
            json!({"type": "auto"}),
            json!({"type": "any", "disable_parallel_tool_use": true}),
            json!({"type": "tool", "name": "read_file"}),
            json!({"type": "none"}),
        ];
        if let Some(choice) = choices.get(self.below(6)) {
            request["tool_choice"] = choice.clone();
        }
        request
    }

    /// The events of an answer.
    fn answer(&mut self) -> Vec<Value> {
        let input = self.below(5_000);
        let mut events = vec![
            json!({"type": "message_start", "message": {"id": "msg_u", "type": "message",
            "role": "assistant", "model": "upstream", "content": [], "stop_reason": null, "stop_sequence": null,
            "usage": {"input_tokens": input, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 40,
                      "output_tokens": 1}}}),
        ];
        let calls = self.below(3);
        let mut blocks = Vec::new();
        if calls == 0 || self.below(2) == 0 {
            let delta = |text| json!({"type": "text_delta", "text": text});
            let pieces: Vec<Value> = (0..=self.below(4)).map(|_| delta(self.text())).collect();
            blocks.push((json!({"type": "text", "text": ""}), pieces));
        }
        for nth in 0..calls {
            let block =
                json!({"type": "tool_use", "id": format!("toolu_{nth}"), "name": "read_file", "input": {}});
            let arguments: Vec<char> = self.input().to_string().chars().collect();
            let size = 1 + self.below(arguments.len());
            let pieces = arguments.chunks(size).map(
                |piece| json!({"type": "input_json_delta", "partial_json": piece.iter().collect::<String>()}),
            );
            blocks.push((block, pieces.collect()));
        }
        for (index, (block, deltas)) in blocks.into_iter().enumerate() {
            events.push(json!({"type": "content_block_start", "index": index, "content_block": block}));
            events.extend(
                deltas
                    .into_iter()
                    .map(|delta| json!({"type": "content_block_delta", "index": index, "delta": delta})),
            );
            events.push(json!({"type": "content_block_stop", "index": index}));
        }
        let reason = if calls > 0 {
            "tool_use"
        } else {
            ["end_turn", "max_tokens"][self.below(2)]
        };
        events.push(
            json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null},
            "usage": {"input_tokens": input, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 40,
                      "output_tokens": 1 + self.below(900)}}),
        );
        events.push(json!({"type": "message_stop"}));
        events
    }
}

/// What of a request is compared: texts of one turn are one text, a string is a block.
fn kept(request: &Value) -> Value {
    let text_of = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => blocks
            .iter()
            .filter_map(|block| block["text"].as_str())
            .collect::<Vec<_>>()
            .join("\n\n"),
        _ => String::new(),
    };
    let turn = |message: &Value| {
        let blocks = message["content"].as_array().cloned().unwrap_or_default();
        let of = |kind: &str| -> Vec<Value> {
            let found = blocks.iter().filter(|block| block["type"] == kind);
            found
                .map(|block| {
                    json!([
                        block["id"],
                        block["name"],
                        block["input"],
                        block["tool_use_id"],
                        text_of(&block["content"])
                    ])
                })
                .collect()
        };
        json!({"role": message["role"], "text": text_of(&message["content"]),
            "calls": of("tool_use"), "results": of("tool_result")})
    };
    let turns: Vec<Value> = request["messages"].as_array().unwrap().iter().map(turn).collect();
    let tools: Vec<Value> = request["tools"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|tool| json!([tool["name"], tool["description"], tool["input_schema"]]))
        .collect();
    json!({"max_tokens": request["max_tokens"], "stream": request["stream"], "turns": turns, "tools": tools,
        "system": text_of(&request["system"]), "temperature": request["temperature"], "top_p": request["top_p"],
        "stop_sequences": request["stop_sequences"], "tool_choice": request["tool_choice"]})
}

#[test]
fn requests_come_back_with_all_that_is_kept() {
    for seed in 0..ROUNDS {
        let request = Maker(Random::new(seed)).request();
        let chat = messages_to_chat(
            request.to_string().as_bytes(),
            &ModelName::new("between"),
            &ChatProfile::default(),
        )
        .unwrap_or_else(|error| panic!("{seed}: {error}: {request:#}"));
        assert_eq!(chat.dropped.len(), 0, "{seed}: {:?}", chat.dropped);
        let back = chat_to_messages(&chat.body, Reader::Upstream(&ModelName::new("claude-sonnet-4-6")))
            .unwrap_or_else(|error| panic!("{seed}: {error}"));
        let back: Value = serde_json::from_slice(&back.body).unwrap();
        assert_eq!(kept(&back), kept(&request), "{seed}");
    }
}

fn rewritten(mut rewriter: Rewriter, stream: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    if rewriter.push(&Bytes::copy_from_slice(stream), &mut out) == Progress::More {
        rewriter.end(Ending::Eof, &mut out);
    }
    out
}

#[test]
fn answers_come_back_as_they_were() {
    let asked = br#"{"model":"c","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"x"}]}"#;
    let chat = messages_to_chat(asked, &ModelName::new("between"), &ChatProfile::default()).unwrap();
    let messages = chat_to_messages(&chat.body, Reader::Upstream(&ModelName::new("m"))).unwrap();
    let name = CompletionName {
        id: "chatcmpl-1".to_owned(),
        created: 1,
    };
    for seed in 0..ROUNDS {
        let events = Maker(Random::new(seed)).answer();
        let stream: String = events
            .iter()
            .map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()))
            .collect();
        let telling = Telling::completion(messages.answer.clone(), &name);
        let chunks = rewritten(Rewriter::messages(None).told(telling), stream.as_bytes());
        let back = rewritten(Rewriter::chat(chat.answer.clone(), "msg_1"), &chunks);
        let decoded = decode(&back).unwrap_or_else(|error| panic!("{seed}: {error}"));
        check_grammar(&decoded).unwrap_or_else(|error| panic!("{seed}: {error}"));
        assert_eq!(of_stream(&decoded), of_events(&events), "{seed}");
    }
}
