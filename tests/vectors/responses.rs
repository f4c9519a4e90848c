//! Answers of the Responses API, reduced to what clients read of them.

use serde_json::{Value, json};

use super::events::decode;

/// What matters of a whole response.
pub fn of_response(response: &Value) -> Result<Value, String> {
    if response["object"] != "response" || response["output"].as_array().is_none() {
        return Err(format!("no response: {response}"));
    }
    let output = response["output"].as_array().into_iter().flatten();
    let output: Vec<Value> = output.map(item).collect();
    if response["status"] == "failed" {
        return Ok(json!({"error": {"code": response["error"]["code"]}, "output": output}));
    }
    let mut reduced = json!({"status": response["status"], "output": output, "usage": response["usage"]});
    if !response["incomplete_details"].is_null() {
        reduced["reason"] = response["incomplete_details"]["reason"].clone();
    }
    Ok(reduced)
}

/// What matters of an item.
fn item(item: &Value) -> Value {
    let kind = item["type"].as_str().unwrap_or_default();
    let arguments = item["arguments"].as_str().unwrap_or_default();
    let arguments = serde_json::from_str(arguments).unwrap_or_else(|_| json!(arguments));
    let mut reduced = match kind {
        "message" => json!({"type": kind, "content": item["content"]}),
        "reasoning" => json!({"type": kind, "summary": item["summary"], "sealed": item["encrypted_content"]}),
        "function_call" => {
            json!({"type": kind, "id": item["call_id"], "name": item["name"], "arguments": arguments})
        }
        _ => json!({"type": kind, "id": item["call_id"], "name": item["name"], "input": item["input"]}),
    };
    if item["namespace"].is_string() {
        reduced["namespace"] = item["namespace"].clone();
    }
    if item["status"] == "incomplete" {
        reduced["status"] = item["status"].clone();
    }
    reduced
}

/// A reader of the stream that believes nothing.
#[derive(Default)]
struct Reader {
    /// The items that are over, as they were told then.
    done: Vec<Value>,
    /// The item that is open, and what was added up of it.
    open: Option<Value>,
    text: String,
    part: Option<Value>,
}

/// What a client adds up from these events; checks their grammar on the way.
pub fn of_stream(stream: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(stream).map_err(|error| error.to_string())?;
    let events = decode(text.as_bytes())?;
    let mut reader = Reader::default();
    let mut end = None;
    for (number, event) in events.iter().enumerate() {
        let data = &event.data;
        let problem = |what: &str| format!("{what}: {data}");
        if end.is_some() {
            return Err(problem("behind the end"));
        }
        if data["type"] != event.name.as_str() || data["sequence_number"] != number {
            return Err(problem("misnamed or misnumbered"));
        }
        match (number, event.name.as_str()) {
            (0, "response.created") | (1, "response.in_progress") => {
                if data["response"]["status"] != "in_progress" || data["response"]["output"] != json!([]) {
                    return Err(problem("a beginning that is none"));
                }
            }
            (0 | 1, _) => return Err(problem("not the beginning")),
            (_, "response.completed" | "response.incomplete" | "response.failed") => {
                let status = data["response"]["status"].as_str().unwrap_or_default();
                if !event.name.ends_with(status) || (status != "failed" && reader.open.is_some()) {
                    return Err(problem("an end that is none"));
                }
                if data["response"]["output"] != json!(reader.done) {
                    return Err(problem("another output than was told"));
                }
                end = Some(of_response(&data["response"])?);
            }
            (_, name) => reader.take(name, data).map_err(problem)?,
        }
    }
    end.ok_or_else(|| "the stream has no end".to_owned())
}

impl Reader {
    fn take(&mut self, name: &str, data: &Value) -> Result<(), &'static str> {
        if data["output_index"] != self.done.len() {
            return Err("not the next item");
        }
        if name == "response.output_item.added" {
            let previous = self.open.replace(data["item"].clone());
            self.text.clear();
            return if previous.is_none() {
                Ok(())
            } else {
                Err("items overlap")
            };
        }
        let open = self.open.as_ref().ok_or("no item is open")?;
        if name == "response.output_item.done" {
            if data["item"]["id"] != open["id"] || data["item"]["type"] != open["type"] {
                return Err("another item");
            }
            if text_of(&data["item"]) != self.text || self.part.is_some() {
                return Err("another text than was told");
            }
            self.open = None;
            self.done.push(data["item"].clone());
            return Ok(());
        }
        if data["item_id"] != open["id"] {
            return Err("of another item");
        }
        let has_parts = matches!(open["type"].as_str(), Some("message" | "reasoning"));
        if let Some(kind) = name.strip_suffix(".delta") {
            if has_parts != self.part.is_some() || !fits(kind, open) {
                return Err("a piece out of place");
            }
            self.text.push_str(data["delta"].as_str().ok_or("no piece")?);
        } else if name.ends_with("_part.added") {
            if self.part.replace(data["part"].clone()).is_some() || !has_parts {
                return Err("a part out of place");
            }
        } else if name.ends_with("_part.done") {
            let part = self.part.take().ok_or("no part is open")?;
            if part["type"] != data["part"]["type"] {
                return Err("another part");
            }
        } else if name.ends_with(".done") {
            let keys = ["text", "refusal", "arguments", "input"];
            let whole = keys.iter().find_map(|key| data[*key].as_str());
            if whole != Some(self.text.as_str()) {
                return Err("another text than came in pieces");
            }
        } else {
            return Err("of no known kind");
        }
        Ok(())
    }
}

/// Whether pieces of this kind belong to the item.
fn fits(kind: &str, item: &Value) -> bool {
    let wanted: &[&str] = match item["type"].as_str().unwrap_or_default() {
        "message" => &["response.output_text", "response.refusal"],
        "reasoning" => &["response.reasoning_summary_text"],
        "function_call" => &["response.function_call_arguments"],
        "custom_tool_call" => &["response.custom_tool_call_input"],
        _ => &[],
    };
    wanted.contains(&kind)
}

/// The text, the arguments or the input of an item.
fn text_of(item: &Value) -> &str {
    let parts = [
        &item["content"][0]["text"],
        &item["content"][0]["refusal"],
        &item["summary"][0]["text"],
    ];
    let all = parts.into_iter().chain([&item["arguments"], &item["input"]]);
    all.into_iter().find_map(Value::as_str).unwrap_or_default()
}
