//! A JSON text as places in it: values stay the bytes that they came in.
//!
//! Reading this way keeps what re-serialising loses (spelling of numbers, escapes, order of keys) and
//! copies no text. Values are scanned once per level of nesting that the reader descends.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use bytes::BufMut;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// One JSON value as it is written, without surrounding white space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// The value that this text holds; `None` unless it holds exactly one.
    pub fn read(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The text of the value.
    pub const fn text(self) -> &'a str {
        self.0
    }

    /// Where it stands in the text that it was read from; `None` for another text.
    pub fn place_in(self, whole: &[u8]) -> Option<Range<usize>> {
        let start = self.0.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
        let place = start..start.checked_add(self.0.len())?;
        (place.end <= whole.len()).then_some(place)
    }

    /// Whether it is `null`.
    pub fn is_null(self) -> bool {
        self.0 == "null"
    }

    /// The members, where it is an object.
    pub fn members(self) -> Option<Members<'a>> {
        if self.0.starts_with('{') {
            serde_json::from_str(self.0).ok()
        } else {
            None
        }
    }

    /// The elements, where it is an array.
    pub fn elements(self) -> Option<Vec<Self>> {
        if self.0.starts_with('[') {
            serde_json::from_str(self.0).ok()
        } else {
            None
        }
    }

    /// The string, unescaped.
    pub fn string(self) -> Option<Cow<'a, str>> {
        let escaped = self.escaped()?;
        if escaped.contains('\\') {
            serde_json::from_str(self.0).ok().map(Cow::Owned)
        } else {
            Some(Cow::Borrowed(escaped))
        }
    }

    /// The string as it stands between its quotes, escapes included.
    pub fn escaped(self) -> Option<&'a str> {
        self.0.strip_prefix('"')?.strip_suffix('"')
    }

    /// The whole number; a float without fraction counts, a negative one does not.
    pub fn count(self) -> Option<u64> {
        self.0.parse().ok().or_else(|| {
            let float: f64 = self.0.parse().ok()?;
            // Beyond 2^53 a float no longer names one integer, and no token count gets there.
            let whole = float.fract() == 0.0 && (0.0..9e15).contains(&float);
            whole.then(|| format!("{float:.0}").parse().ok()).flatten()
        })
    }

    /// The truth value.
    pub fn boolean(self) -> Option<bool> {
        match self.0 {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'a RawValue>::deserialize(deserializer).map(|raw| Self(raw.get()))
    }
}

/// The members of a JSON object, in order. Of repeated keys the last one counts, as in every client.
#[derive(Clone, Debug, Default)]
pub struct Members<'a>(Vec<(Cow<'a, str>, Raw<'a>)>);

impl<'a> Members<'a> {
    /// The members of the object that this text holds.
    pub fn read(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The value under a key; `null` counts as absent.
    pub fn get(&self, key: &str) -> Option<Raw<'a>> {
        let found = self.0.iter().rev().find(|(name, _)| name == key);
        found.map(|(_, value)| *value).filter(|value| !value.is_null())
    }

    /// Whether the key stands there, even with `null`.
    pub fn contains(&self, key: &str) -> bool {
        self.0.iter().any(|(name, _)| name == key)
    }

    /// The string under a key, unescaped.
    pub fn string(&self, key: &str) -> Option<Cow<'a, str>> {
        self.get(key)?.string()
    }

    /// The members of the object under a key.
    pub fn members(&self, key: &str) -> Option<Self> {
        self.get(key)?.members()
    }

    /// The whole number under a key.
    pub fn count(&self, key: &str) -> Option<u64> {
        self.get(key)?.count()
    }

    /// All members, `null` ones too.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Raw<'a>)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), *value))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(8);
                while let Some(Key(name)) = map.next_key()? {
                    members.push((name, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// A key, borrowed where it has no escapes. (`Cow` itself always deserialises to an owned text.)
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrow;
        impl<'de> Visitor<'de> for Borrow {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Borrow)
    }
}

/// Writes a text as it stands between the quotes of a JSON string.
pub fn put_escaped(out: &mut impl BufMut, text: &str) {
    let bytes = text.as_bytes();
    let mut done = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..=0x1f => b"",
            _ => continue,
        };
        out.put_slice(bytes.get(done..at).unwrap_or_default());
        if escape.is_empty() {
            out.put_slice(format!("\\u{byte:04x}").as_bytes());
        } else {
            out.put_slice(escape);
        }
        done = at + 1;
    }
    out.put_slice(bytes.get(done..).unwrap_or_default());
}

/// Writes a text as a JSON string, quotes included.
pub fn put_string(out: &mut impl BufMut, text: &str) {
    out.put_u8(b'"');
    put_escaped(out, text);
    out.put_u8(b'"');
}

/// The text as it stands between the quotes of a JSON string.
pub fn escape(text: &str) -> String {
    let mut escaped = Vec::with_capacity(text.len() + 8);
    put_escaped(&mut escaped, text);
    String::from_utf8(escaped).unwrap_or_default()
}

/// The text of an escaped one; `None` where it is no text (half a surrogate pair).
pub fn unescape(escaped: &str) -> Option<Cow<'_, str>> {
    if !escaped.contains('\\') {
        return Some(Cow::Borrowed(escaped));
    }
    serde_json::from_str(&format!("\"{escaped}\""))
        .ok()
        .map(Cow::Owned)
}

/// The value without white space between its tokens; numbers and strings keep their spelling.
pub fn compact(value: Raw<'_>) -> Cow<'_, str> {
    let text = value.text();
    if !text.bytes().any(|byte| byte.is_ascii_whitespace()) {
        return Cow::Borrowed(text);
    }
    let (mut in_string, mut after_backslash) = (false, false);
    Cow::Owned(
        text.chars()
            .filter(|c| {
                if in_string {
                    in_string = after_backslash || *c != '"';
                    after_backslash = !after_backslash && *c == '\\';
                    return true;
                }
                in_string = *c == '"';
                !c.is_ascii_whitespace()
            })
            .collect(),
    )
}

/// Whether an escaped text holds nothing but white space.
pub fn is_blank(escaped: &str) -> bool {
    let Some(first) = escaped.bytes().find(|byte| *byte != b' ') else {
        return true;
    };
    if first == b'\\' {
        return unescape(escaped).is_some_and(|text| text.trim().is_empty());
    }
    !first.is_ascii() && escaped.trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_members_without_copying() {
        let text = r#" {"a" : 1, "b\u0041":"x\ny", "n":null, "a":[ 2 ,{"q":"}"}]} "#;
        let members = Members::read(text).unwrap();
        assert_eq!(members.get("a").unwrap().text(), r#"[ 2 ,{"q":"}"}]"#);
        assert_eq!(members.string("bA").unwrap(), "x\ny");
        assert!(members.get("n").is_none() && members.contains("n"));
        assert_eq!(members.get("a").unwrap().elements().unwrap().len(), 2);
        assert!(Members::read("[]").is_none() && Members::read("{} x").is_none());
    }

    #[test]
    fn counts_are_lenient_but_never_negative() {
        let check = |text, count| assert_eq!(Raw::read(text).unwrap().count(), count, "{text}");
        check("17", Some(17));
        check("17.0", Some(17));
        check("1e3", Some(1000));
        check("-1", None);
        check("1.5", None);
        check("1e300", None);
        check("\"7\"", None);
    }

    #[test]
    fn escapes_what_json_demands() {
        let text = "a\"b\\c\n\r\t\u{1}\u{7f}ü";
        let escaped = escape(text);
        assert_eq!(escaped, "a\\\"b\\\\c\\n\\r\\t\\u0001\u{7f}ü");
        assert_eq!(
            Raw::read(&format!("\"{escaped}\"")).unwrap().string().unwrap(),
            text
        );
    }

    #[test]
    fn compacts_between_tokens_only() {
        let check = |text, expected: &str| assert_eq!(compact(Raw::read(text).unwrap()), expected);
        check(
            r#"{ "a b" : [ 1.50 , "x \" y\\" , { } ] }"#,
            r#"{"a b":[1.50,"x \" y\\",{}]}"#,
        );
        check("{}", "{}");
    }

    #[test]
    fn blank_is_seen_through_escapes() {
        for blank in ["", "  ", r"\n\n", r" \t\u0020\r", "\u{a0}"] {
            assert!(is_blank(blank), "{blank:?}");
        }
        for text in ["x", r"\n x", r"\\n", r"\u0041", "ü", r#"\""#] {
            assert!(!is_blank(text), "{text:?}");
        }
    }
}
