//! The configuration: arbitrary text gives a configuration or mistakes, never a panic.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use tollgate::config::read::from_text;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = from_text(text, Path::new("fuzz.toml"), None);
    }
});
