//! What a response repeats of its request.

use crate::dialect::raw::{Members, compact};

/// The longest value that is repeated; of a longer one clients learn nothing new, three times a stream.
const VALUE_BYTES_MAX: usize = 16 << 10;

/// The fields that every response has, and what stands there when the request says nothing.
const FIELDS: [(&str, &str); 18] = [
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("prompt_cache_key", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("safety_identifier", "null"),
    ("service_tier", r#""default""#),
    ("temperature", "null"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "null"),
    ("truncation", r#""disabled""#),
    ("user", "null"),
    ("previous_response_id", "null"),
];

/// The members that repeat the request, each with a comma before it, on one line.
pub(super) fn of(request: &Members<'_>) -> String {
    let mut echo = String::with_capacity(1024);
    for (name, default) in FIELDS {
        let value = request.get(name).map(compact);
        let value = value.as_deref().filter(|value| value.len() <= VALUE_BYTES_MAX);
        echo.push_str(",\"");
        echo.push_str(name);
        echo.push_str("\":");
        echo.push_str(value.unwrap_or(default));
    }
    // Whatever the client said about keeping, nothing is kept here.
    echo.push_str(r#","background":false,"store":false"#);
    echo
}
