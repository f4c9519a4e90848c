//! Answers of chat completions, reduced to what clients read of them.

use serde_json::{Value, json};

/// What matters of a whole completion.
pub fn of_completion(told: &Value) -> Result<Value, String> {
    let choice = &told["choices"][0];
    if told["object"] != "chat.completion" || choice["index"] != 0 || choice["message"]["role"] != "assistant"
    {
        return Err(format!("no completion: {told}"));
    }
    let calls = choice["message"]["tool_calls"].as_array();
    Ok(reduced(
        &choice["message"],
        &calls.cloned().unwrap_or_default(),
        &choice["finish_reason"],
        &told["usage"],
    ))
}

/// What matters of an answer.
pub fn reduced(message: &Value, calls: &[Value], finish: &Value, usage: &Value) -> Value {
    let call = |call: &Value| {
        let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
        let arguments = serde_json::from_str(arguments).unwrap_or_else(|_| json!(arguments));
        json!({"id": call["id"], "name": call["function"]["name"], "arguments": arguments})
    };
    let mut reduced = json!({"content": message["content"], "finish_reason": finish, "usage": usage});
    let more = ["reasoning_content", "reasoning_details", "refusal"];
    for key in more.into_iter().filter(|key| !message[*key].is_null()) {
        reduced[key] = message[key].clone();
    }
    if !calls.is_empty() {
        reduced["tool_calls"] = calls.iter().map(call).collect();
    }
    reduced
}

/// What a client adds up from these chunks; checks their grammar on the way.
pub fn accumulated(stream: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(stream).map_err(|error| error.to_string())?;
    let mut message = json!({});
    let (mut calls, mut finish, mut usage): (Vec<Value>, _, _) = (Vec::new(), Value::Null, Value::Null);
    let mut is_done = false;
    let events = text
        .split_terminator("\n\n")
        .filter(|event| !event.starts_with(':'));
    for (number, event) in events.enumerate() {
        let data = event
            .strip_prefix("data: ")
            .ok_or_else(|| format!("no data: {event}"))?;
        if is_done {
            return Err(format!("behind the end: {event}"));
        }
        if data == "[DONE]" {
            is_done = true;
            continue;
        }
        let chunk: Value = serde_json::from_str(data).map_err(|error| format!("{error} in {data}"))?;
        if chunk.get("error").is_some() {
            is_done = true;
            message = json!({"error": {"code": chunk["error"]["code"]}, "content": message["content"]});
            continue;
        }
        if chunk["object"] != "chat.completion.chunk" {
            return Err(format!("no chunk: {chunk}"));
        }
        let Some(choice) = chunk["choices"].get(0) else {
            usage = chunk["usage"].clone();
            continue;
        };
        if !finish.is_null() || (number == 0) != (choice["delta"]["role"] == "assistant") {
            return Err(format!("out of place: {chunk}"));
        }
        add(&mut message, &mut calls, &choice["delta"])?;
        finish = choice["finish_reason"].clone();
    }
    match (is_done, message.get("error").is_some()) {
        (false, _) => Err("the stream has no end".to_owned()),
        (true, true) => Ok(message),
        (true, false) if finish.is_null() => Err("no finish reason".to_owned()),
        (true, false) => Ok(reduced(&message, &calls, &finish, &usage)),
    }
}

fn add(message: &mut Value, calls: &mut Vec<Value>, delta: &Value) -> Result<(), String> {
    for key in ["content", "reasoning_content", "refusal"] {
        if let Some(piece) = delta[key].as_str().filter(|piece| !piece.is_empty()) {
            let so_far = message[key].as_str().unwrap_or_default().to_owned();
            message[key] = json!(so_far + piece);
        }
    }
    for detail in delta["reasoning_details"].as_array().into_iter().flatten() {
        if !message["reasoning_details"].is_array() {
            message["reasoning_details"] = json!([]);
        }
        if let Some(details) = message["reasoning_details"].as_array_mut() {
            details.push(detail.clone());
        }
    }
    for piece in delta["tool_calls"].as_array().into_iter().flatten() {
        let index = usize::try_from(piece["index"].as_u64().ok_or("no index")?).unwrap_or(usize::MAX);
        if index == calls.len() {
            calls.push(
                json!({"id": piece["id"], "function": {"name": piece["function"]["name"], "arguments": ""}}),
            );
        } else if index + 1 != calls.len() || piece.get("id").is_some() {
            return Err(format!("calls overlap: {piece}"));
        }
        let arguments = &mut calls[index]["function"]["arguments"];
        let so_far = arguments.as_str().unwrap_or_default().to_owned();
        *arguments = json!(so_far + piece["function"]["arguments"].as_str().unwrap_or_default());
    }
    Ok(())
}
