//! Conversion vectors: how they are read and how answers are compared with them.
//!
//! The format is explained in `tests/corpus/vectors/README.md`. Nothing here knows the gateway's code,
//! so that the same judgement serves the pure functions and the running binary.

pub mod case;
pub mod chunks;
pub mod events;
pub mod http;
pub mod mock;
pub mod pattern;
pub mod reduced;
pub mod request;
pub mod responses;
pub mod transcript;
