//! The request index: arbitrary bytes never panic, and what is accepted is valid JSON.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tollgate::dialect::operation::Operation;
use tollgate::pipeline::inspect::index::index;

fuzz_target!(|data: &[u8]| {
    let body = Bytes::copy_from_slice(data);
    for operation in [Operation::Messages, Operation::CountTokens] {
        let _ = index(&body, operation);
    }
});
