//! Request translation: arbitrary bodies never panic; what comes out is valid JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate::pipeline::translate::{ChatProfile, messages_to_chat};
use tollgate::types::ids::ModelName;

fuzz_target!(|data: &[u8]| {
    let _ = messages_to_chat(data, &ModelName::from("m"), &ChatProfile::default());
});
