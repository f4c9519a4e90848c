//! Answers for clients of OpenAI's API.
//!
//! - `bytes`, `responses`, `bytes_stream`: the upstream speaks the same; its bytes pass, while `chunk_watch`
//!   or `response_watch` looks at them.
//! - `completion`, `completion_telling`: the answer comes as Messages; `chunks` writes what its events say.
//! - `response`, `response_telling`: likewise; `response_item` tells one item with what `response_events`
//!   writes, `kinds` knows the tools that are no plain functions.

pub mod bytes;
pub mod bytes_stream;
mod chunk_watch;
mod response_watch;
pub mod responses;

pub(crate) mod chunks;
pub mod completion;
pub(crate) mod completion_telling;
pub mod context;
pub(crate) mod kinds;
pub mod response;
pub(crate) mod response_events;
pub(crate) mod response_item;
pub(crate) mod response_telling;
