//! The client's stream: decoding it, and its grammar.

use serde_json::Value;

/// One event as the client sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub name: String,
    pub data: Value,
}

/// Decodes a whole stream, strictly: nothing but comments and complete events with one line of data.
pub fn decode(stream: &[u8]) -> Result<Vec<Event>, String> {
    let text = std::str::from_utf8(stream).map_err(|error| format!("the stream is not UTF-8: {error}"))?;
    let mut events = Vec::new();
    let (mut name, mut data) = (None, None);
    for line in text.split_inclusive('\n') {
        let line = line
            .strip_suffix('\n')
            .ok_or_else(|| format!("unterminated line: {line}"))?;
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            match (name.take(), data.take()) {
                (None, None) => {}
                (Some(name), Some(data)) => events.push(Event { name, data }),
                (name, data) => return Err(format!("half an event: {name:?} {data:?}")),
            }
        } else if let Some(value) = line.strip_prefix("event:") {
            name = Some(value.trim_start().to_owned());
        } else if let Some(value) = line.strip_prefix("data:") {
            let value = serde_json::from_str(value).map_err(|error| format!("{error} in {value}"))?;
            data = Some(value);
        } else if !line.starts_with(':') {
            return Err(format!("unknown line: {line}"));
        }
    }
    if name.is_some() || data.is_some() {
        return Err("the last event is not terminated".to_owned());
    }
    Ok(events)
}

/// Checks the grammar of a complete stream.
pub fn check_grammar(events: &[Event]) -> Result<(), String> {
    let mut state = Grammar::default();
    for (number, event) in events.iter().enumerate() {
        let place = |problem: String| format!("event {number} ({}): {problem}", event.name);
        state.take(event).map_err(place)?;
    }
    if state.ended {
        Ok(())
    } else {
        Err("the stream has no end".to_owned())
    }
}

#[derive(Default)]
struct Grammar {
    started: bool,
    open: Option<String>,
    blocks: u64,
    delta_seen: bool,
    ended: bool,
    tool_ids: Vec<String>,
}

impl Grammar {
    fn take(&mut self, event: &Event) -> Result<(), String> {
        let data = &event.data;
        if data["type"] != event.name.as_str() {
            return Err(format!("data.type is {}", data["type"]));
        }
        if self.ended {
            return Err("behind the end".to_owned());
        }
        if !self.started && !matches!(event.name.as_str(), "message_start" | "error") {
            return Err("before message_start".to_owned());
        }
        match event.name.as_str() {
            "message_start" => self.start(&data["message"]),
            "ping" => Ok(()),
            "content_block_start" => self.open(data),
            "content_block_delta" => self.delta(data),
            "content_block_stop" => {
                self.same_index(data)?;
                self.open
                    .take()
                    .map(|_| ())
                    .ok_or_else(|| "no block is open".to_owned())
            }
            "message_delta" if self.open.is_none() && !self.delta_seen => {
                self.delta_seen = true;
                if data["delta"]["stop_reason"].is_string() {
                    Ok(())
                } else {
                    Err("no stop_reason".to_owned())
                }
            }
            "message_stop" if self.delta_seen => {
                self.ended = true;
                Ok(())
            }
            "error" if data["error"]["type"].is_string() && data["error"]["message"].is_string() => {
                self.ended = true;
                Ok(())
            }
            _ => Err("not allowed here".to_owned()),
        }
    }

    fn start(&mut self, message: &Value) -> Result<(), String> {
        let usage = &message["usage"];
        let fits = !self.started
            && message["content"] == Value::Array(Vec::new())
            && message["stop_reason"].is_null()
            && message["role"] == "assistant"
            && message["type"] == "message"
            && message["id"].is_string()
            && message["model"].is_string()
            && usage["input_tokens"].is_u64()
            && usage["output_tokens"].is_u64();
        self.started = true;
        if fits {
            Ok(())
        } else {
            Err(format!("a bad message: {message}"))
        }
    }

    fn open(&mut self, data: &Value) -> Result<(), String> {
        if self.open.is_some() || self.delta_seen {
            return Err("another block is open, or the message has ended".to_owned());
        }
        if data["index"] != self.blocks {
            return Err(format!("index {} instead of {}", data["index"], self.blocks));
        }
        self.blocks += 1;
        let block = &data["content_block"];
        let kind = block["type"].as_str().unwrap_or_default();
        let fits = match kind {
            "text" => block["text"] == "",
            "thinking" => block["thinking"] == "" && block["signature"].is_string(),
            "tool_use" => {
                let id = block["id"].as_str().unwrap_or_default().to_owned();
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
                let fits = (1..=64).contains(&id.len())
                    && id.bytes().all(plain)
                    && !self.tool_ids.contains(&id)
                    && block["name"].as_str().is_some_and(|name| !name.is_empty())
                    && block["input"] == Value::Object(serde_json::Map::new());
                self.tool_ids.push(id);
                fits
            }
            _ => false,
        };
        self.open = Some(kind.to_owned());
        if fits {
            Ok(())
        } else {
            Err(format!("a bad block: {block}"))
        }
    }

    fn delta(&self, data: &Value) -> Result<(), String> {
        self.same_index(data)?;
        let delta = &data["delta"];
        let fits = match (self.open.as_deref(), delta["type"].as_str()) {
            (Some("text"), Some("text_delta")) => delta["text"].is_string(),
            (Some("thinking"), Some("thinking_delta")) => delta["thinking"].is_string(),
            (Some("thinking"), Some("signature_delta")) => delta["signature"].is_string(),
            (Some("tool_use"), Some("input_json_delta")) => delta["partial_json"].is_string(),
            _ => false,
        };
        if fits {
            Ok(())
        } else {
            Err(format!("a delta that does not fit the block: {delta}"))
        }
    }

    fn same_index(&self, data: &Value) -> Result<(), String> {
        if self.open.is_some() && data["index"] == self.blocks - 1 {
            Ok(())
        } else {
            Err(format!("index {} is not open", data["index"]))
        }
    }
}
