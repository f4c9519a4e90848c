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
mod clouds;
mod converse;
mod frames;
mod gemini;
mod mock;
mod refused;
mod round_trip;
mod run;
mod splits;
mod told;

use std::path::{Path, PathBuf};

use format::case::{Case, load_all};

/// The folders with cases. A checkout of the shared vectors beside the repository is newer than the copy.
fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = root.join("../shared/vectors/openai-chat");
    let copied = root.join("tests/corpus/vectors/openai-chat");
    let published = if shared.is_dir() { shared } else { copied };
    vec![
        published,
        root.join("tests/corpus/vectors/own"),
        root.join("tests/corpus/vectors/providers"),
    ]
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

/// What a provider lacks and what would mean something else without it is refused, by name.
#[test]
fn what_a_provider_lacks_is_refused_where_it_matters() {
    use serde_json::{Value, json};
    use tollgate::pipeline::translate::messages_to_chat;
    use tollgate::provider::registry::Registry;
    use tollgate::types::ids::ModelName;

    let registry = Registry::collect().unwrap();
    let check = |label: &str, block: Value, refused: bool| {
        let model = ModelName::from("m");
        let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [block]}]});
        let chat = &registry.find(label).unwrap().chat;
        let sent = messages_to_chat(body.to_string().as_bytes(), &model, chat.of(&model));
        let told = sent.err().map(|error| error.client_text());
        assert_eq!(told.is_some(), refused, "{label}: {told:?}");
        assert!(told.is_none_or(|told| told.starts_with("messages[0].content[0]: ")));
    };
    let image =
        || json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}});
    let pdf = || json!({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="}});
    let text =
        || json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "t"}});
    for (label, images, documents) in [
        ("openai", true, true),
        ("openai-compatible", true, true),
        ("openrouter", true, true),
        ("deepseek", false, false),
        ("moonshot", true, false),
        ("mistral", true, false),
        ("vllm", true, false),
        ("ollama", true, false),
        ("llama.cpp", true, false),
    ] {
        check(label, image(), !images);
        check(label, pdf(), !documents);
        check(label, text(), false);
    }
}
