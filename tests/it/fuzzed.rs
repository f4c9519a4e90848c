//! Every byte string that a fuzzer once found, and a few to begin with, against what must hold.

use std::fs;
use std::path::Path;

use crate::vectors::format;

#[path = "../fuzzed/mod.rs"]
pub mod properties;

/// Tries every file of a folder of the corpus.
fn check(name: &str, holds: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus/fuzz")
        .join(name);
    let mut tried = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        holds(&fs::read(&path).unwrap());
        tried += 1;
    }
    assert!(tried > 0, "no corpus for {name}");
}

#[test]
fn event_streams_are_decoded() {
    check("sse", properties::sse);
}

#[test]
fn requests_are_indexed() {
    check("index", properties::index);
}

#[test]
fn requests_are_translated() {
    check("translate", properties::translate);
}

#[test]
fn answers_are_passed_and_translated() {
    check("stream", properties::stream);
}

#[test]
fn configurations_are_read() {
    check("config", properties::config);
}
