//! Schemas of answers.

use bytes::BufMut;

use crate::dialect::raw::{Raw, put_string};

/// Writes a schema, in which every object is closed (`additionalProperties: false`): the Messages API
/// demands it, OpenAI's only where a schema is strict.
pub(crate) fn put_closed(out: &mut Vec<u8>, schema: Raw<'_>) {
    if let Some(elements) = schema.elements() {
        out.put_u8(b'[');
        for (index, element) in elements.into_iter().enumerate() {
            if index > 0 {
                out.put_u8(b',');
            }
            put_closed(out, element);
        }
        out.put_u8(b']');
        return;
    }
    let Some(members) = schema.members() else {
        out.put_slice(schema.text().as_bytes());
        return;
    };
    out.put_u8(b'{');
    let mut separator: &[u8] = b"";
    for (name, value) in members.iter() {
        out.put_slice(separator);
        separator = b",";
        put_string(out, name);
        out.put_u8(b':');
        // Data in a schema is no schema.
        if matches!(name, "enum" | "const" | "default" | "examples") {
            out.put_slice(value.text().as_bytes());
        } else {
            put_closed(out, value);
        }
    }
    let is_object = members.string("type").is_some_and(|kind| kind == "object");
    if is_object && !members.contains("additionalProperties") {
        out.put_slice(separator);
        out.put_slice(br#""additionalProperties":false"#);
    }
    out.put_u8(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_closed_and_nothing_else_changes() {
        let check = |schema: &str, expected: &str| {
            let mut out = Vec::new();
            put_closed(&mut out, Raw::read(schema).unwrap());
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        check(
            r#"{"type":"object","properties":{"type":{"type":"string","enum":[{"type":"object"}]},"in":{"type":"object"}}}"#,
            r#"{"type":"object","properties":{"type":{"type":"string","enum":[{"type":"object"}]},"in":{"type":"object","additionalProperties":false}},"additionalProperties":false}"#,
        );
        check(
            r#"{"anyOf":[{"type":"object","additionalProperties":true},{"type":"number","minimum":1.0e1}]}"#,
            r#"{"anyOf":[{"type":"object","additionalProperties":true},{"type":"number","minimum":1.0e1}]}"#,
        );
    }
}
