//! Conversion vectors against the pure functions.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is what it is for"
)]

#[path = "../../vectors/mod.rs"]
pub mod format;

mod aborted;
mod bytes;
mod chat;
mod gemini;
mod mock;
mod run;
mod splits;

use std::path::{Path, PathBuf};

use format::case::{Case, load_all};

/// The folders with cases. A checkout of the shared vectors beside the repository is newer than the copy.
fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = root.join("../shared/vectors/openai-chat");
    let copied = root.join("tests/corpus/vectors/openai-chat");
    let published = if shared.is_dir() { shared } else { copied };
    vec![published, root.join("tests/corpus/vectors/own")]
}

fn cases() -> Vec<Case> {
    let cases: Vec<Case> = folders()
        .iter()
        .flat_map(|folder| load_all(folder).unwrap())
        .collect();
    assert!(cases.len() >= 18, "only {} cases were found", cases.len());
    cases
}

fn check(what: &str, run: impl Fn(&Case) -> Result<(), String>) {
    let failures: Vec<String> = cases()
        .iter()
        .filter_map(|case| Some(format!("{}: {}", case.name, run(case).err()?)))
        .collect();
    assert!(failures.is_empty(), "{what}:\n{}", failures.join("\n"));
}

#[test]
fn requests_are_translated() {
    check("requests", run::request);
}

#[test]
fn streams_are_translated_however_they_are_cut() {
    check("streams", run::stream);
}

#[test]
fn whole_answers_are_translated() {
    check("whole answers", run::whole);
}

#[test]
fn both_forms_of_the_expected_answer_agree() {
    check("expectations", |case| {
        let events = format::reduced::of_events(&case.events);
        let message = format::reduced::of_message(&case.message);
        // Where both hold the same matcher there is nothing to match.
        if message == events {
            Ok(())
        } else {
            format::reduced::compare(case, &message, &events)
        }
    });
}
