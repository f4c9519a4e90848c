//! Values as columns hold them.

use serde::Serialize;

/// A value as it is printed.
pub(super) fn text<T: ToString>(value: Option<&T>) -> Option<String> {
    value.map(ToString::to_string)
}

/// The JSON of a value of ours, none of which can fail to have one.
pub(super) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

/// The stored word of a plain enum.
pub(super) fn word<T: Serialize>(value: &T) -> Option<String> {
    let json = serde_json::to_value(value).ok()?;
    json.as_str().map(ToOwned::to_owned)
}

/// Databases count in signed integers; no count here comes near the difference.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
