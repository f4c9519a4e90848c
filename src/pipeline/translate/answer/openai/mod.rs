//! Answers for clients of OpenAI's API.
//!
//! - `bytes`, `bytes_stream`: the upstream speaks the same; its bytes pass.
//! - `completion`, `completion_stream`: the upstream speaks Messages; `chunks` writes what its events say.

pub mod bytes;
pub mod bytes_stream;

pub(crate) mod chunks;
pub mod completion;
pub mod completion_stream;
pub mod context;
