//! Answers for clients of OpenAI's API.
//!
//! - `bytes`, `bytes_stream`: the upstream speaks the same; its bytes pass.

pub mod bytes;
pub mod bytes_stream;
