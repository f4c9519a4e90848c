//! What benchmarks of parts share: rounds of measuring, and a conversation of a given size.

use std::time::Instant;

use bytes::Bytes;
use serde_json::{Value, json};

/// How often everything is measured; the best and the median count.
const ROUNDS: usize = 21;

/// Runs `work` in rounds of `times`: microseconds of the best round and of the median, for one.
pub fn rounds(times: u32, work: &mut dyn FnMut()) -> (f64, f64) {
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

/// A conversation about code of about this size: text with many line ends and quotes, and tool calls.
pub fn conversation(kilobytes: usize) -> Bytes {
    let code = "fn main() -> Result<()> {\n    let path = \"src/main.rs\";\n    open(path)?.read_to_end(&mut buffer)\n}\n";
    let mut messages = vec![json!({ "role": "user", "content": "Why does it not compile?" })];
    let mut size = 0;
    while size < kilobytes * 1_000 {
        let id = format!("toolu_{size}");
        messages.push(json!({ "role": "assistant", "content": [
            { "type": "text", "text": "I will read the file first, see https://doc.example.com/reference." },
            { "type": "tool_use", "id": id, "name": "Read", "input": { "file_path": "src/main.rs" } },
        ] }));
        // No two are alike, so that none is known by another.
        let result = format!("// {size}\n{}", code.repeat(10));
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
