//! Wire formats as bytes: no I/O, no policy, no configuration.
//!
//! Input: bodies and chunks as they came. Output: places in them, events of a stream, edits to make.
//! Nothing here ever re-serialises what it did not understand.

pub mod splice;
