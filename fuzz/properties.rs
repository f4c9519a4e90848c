//! What the targets check; the tests of the product check the same.
#![allow(
    dead_code,
    reason = "every target uses one property, and the vectors' reader only in part"
)]

#[path = "../tests/vectors/mod.rs"]
mod format;
#[path = "../tests/fuzzed/mod.rs"]
pub mod fuzzed;
