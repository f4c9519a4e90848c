//! Server-sent events as a client reads them.

use serde_json::Value;

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The `event:` line; empty when there was none.
    pub name: String,
    /// The `data:` lines, joined.
    pub data: String,
}

impl Event {
    /// The data as JSON; `null` when it is none (`[DONE]`).
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or(Value::Null)
    }
}

/// Splits a byte stream into events, whatever its cuts.
#[derive(Debug, Default)]
pub struct EventReader {
    pending: Vec<u8>,
}

impl EventReader {
    /// Takes what arrived and returns the events it completes.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.pending.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let Some((at, width)) = blank_line(&self.pending) {
            let rest = self.pending.split_off(at + width);
            let block = std::mem::replace(&mut self.pending, rest);
            events.extend(parse(&String::from_utf8_lossy(&block)));
        }
        events
    }

    /// Whether bytes of an event that never ended are left.
    pub fn is_inside_event(&self) -> bool {
        !self.pending.is_empty()
    }
}

/// All events of a whole body.
pub fn events(body: &[u8]) -> Vec<Event> {
    EventReader::default().push(body)
}

/// The event as an Anthropic upstream writes it.
pub fn anthropic_event(data: &Value) -> Vec<u8> {
    let name = data["type"].as_str().expect("an Anthropic event has a type");
    format!("event: {name}\ndata: {data}\n\n").into_bytes()
}

fn blank_line(bytes: &[u8]) -> Option<(usize, usize)> {
    let borders = [b"\n\n".as_slice(), b"\r\n\r\n"];
    let found = borders.map(|border| memchr::memmem::find(bytes, border).map(|at| (at, border.len())));
    found.into_iter().flatten().min()
}

fn parse(block: &str) -> Option<Event> {
    let mut name = String::new();
    let mut data = Vec::new();
    for line in block.lines() {
        if let Some(value) = line.strip_prefix("event:") {
            value.trim_start().clone_into(&mut name);
        } else if let Some(value) = line.strip_prefix("data:") {
            data.push(value.strip_prefix(' ').unwrap_or(value));
        }
    }
    (!data.is_empty()).then(|| Event {
        name,
        data: data.join("\n"),
    })
}
