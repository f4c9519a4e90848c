//! Strict JSON (RFC 8259) over bytes, for the request path.
//!
//! Input: a body as it came. Output: tokens with the places where they stand, and texts that are
//! unescaped on demand. Invariants: one pass; nothing is copied that has no escapes; what is not
//! exactly one well-formed UTF-8 JSON text of bounded depth is refused, because a lenient reader
//! here and another lenient reader upstream could see two different requests. Errors name the
//! problem, the place and the fix, never the content.

pub mod bad;
mod number;
pub mod reader;
mod strings;
pub mod text;

pub use bad::BadJson;
pub use reader::{Kind, Reader, Token};
pub use text::{Escapes, Text};

#[cfg(test)]
mod tests;
