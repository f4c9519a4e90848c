//! The decoder of event streams, fed with arbitrary bytes.
#![no_main]

#[path = "../properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::fuzzed::sse(data));
