//! Vectors of Claude on Bedrock and Vertex AI, where bytes pass but for what the cloud wants otherwise.
//!
//! The cases stand in `tests/corpus/vectors/{bedrock,vertex}`, whose READMEs say what differs.

use std::path::Path;

use bytes::Bytes;
use serde_json::Value;
use tollgate::dialect::operation::Operation;
use tollgate::dialect::splice;
use tollgate::pipeline::translate::{Outcome, Progress, Rewriter, messages_json};
use tollgate::provider::{Ask, Provider};
use tollgate::types::ids::ModelName;

use super::format::case::{Case, load_all};
use super::format::events::{check_grammar, decode};
use super::format::pattern::{Bindings, matches};
use super::format::reduced::{compare, of_events, of_message, of_stream};
use super::format::transcript::Transcript;
use super::frames::{client_headers, framed, provider, unframed};
use super::run::replay;
use super::splits::{Random, recut};

fn check(what: &str, run: impl Fn(&Case, &dyn Provider) -> Result<(), String>) {
    let bedrock = provider("bedrock", &[("region", "eu-central-1")]);
    let vertex = provider("vertex", &[("project", "acme")]);
    let mut failures = Vec::new();
    for (folder, at_least, provider) in [("bedrock", 9, &bedrock), ("vertex", 6, &vertex)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/corpus/vectors")
            .join(folder);
        let cases = load_all(&path).unwrap();
        assert!(cases.len() >= at_least, "only {} cases were found", cases.len());
        let failed = cases.iter().filter_map(|case| {
            let problem = run(case, provider.as_ref()).err()?;
            Some(format!("{folder}/{}: {problem}", case.name))
        });
        failures.extend(failed);
    }
    assert!(failures.is_empty(), "{what}:\n{}", failures.join("\n"));
}

#[test]
fn requests_are_edited() {
    check("requests", |case, provider| {
        let client = client_headers(&case.settings);
        let ask = Ask {
            operation: Operation::Messages,
            model: &ModelName::new(case.upstream_model()),
            stream: true,
            query: None,
            client: &client,
        };
        let body = Bytes::from(case.request_text.clone());
        let edits = provider.edits(&ask, &body).map_err(|unfit| unfit.0)?;
        let sent = splice::apply(&body, &edits.splices).map_err(|misfit| misfit.to_string())?;
        let sent: Value = serde_json::from_slice(&sent).map_err(|error| error.to_string())?;
        matches(&case.upstream_request, &sent, &mut Bindings::default(), "request")?;
        let mut lost: Vec<_> = edits.lost.into_iter().map(|lost| lost.path).collect();
        lost.sort();
        let mut expected = case.list("reported_drops");
        expected.sort_unstable();
        if lost != expected {
            return Err(format!("reported {lost:?} instead of {expected:?}"));
        }
        Ok(())
    });
}

#[test]
fn streams_pass_however_they_are_cut() {
    check("streams", |case, _| {
        let given = framed(&case.transcript);
        let judge = |how: &str, transcript: &Transcript| {
            judge(case, transcript).map_err(|problem| format!("{how}: {problem}"))
        };
        judge("as given", &given)?;
        judge("as a block", &given.recut(usize::MAX))?;
        judge("byte by byte", &given.recut(1))?;
        let mut random = Random::new(29);
        (0..20).try_for_each(|_| judge("cut at random", &recut(&given, &mut random, 90)))
    });
}

fn judge(case: &Case, transcript: &Transcript) -> Result<(), String> {
    let alias = Some(ModelName::from("assistant"));
    let (stream, rewriter, progress) = replay(Rewriter::messages(alias), &unframed(transcript));
    let events = decode(&stream)?;
    check_grammar(&events)?;
    let told = of_stream(&events);
    compare(case, &of_events(&case.events), &told)?;
    compare(case, &of_message(&case.message), &told)?;
    if let Some(first) = events.iter().find(|event| event.data["type"] == "message_start")
        && first.data["message"]["model"] != "assistant"
    {
        return Err("the alias is not put back".to_owned());
    }
    let is_error = case.message.get("error").is_some();
    match (&progress, &rewriter.observed().outcome) {
        (Progress::Finished, Outcome::Complete) if !is_error => Ok(()),
        (Progress::Failed(_), Outcome::Failed(_) | Outcome::Broken) if is_error => Ok(()),
        _ => Err(format!("ended with {progress:?}")),
    }
}

#[test]
fn whole_answers_pass() {
    check("whole answers", |case, _| {
        let Some(response) = &case.upstream_response else {
            return Ok(());
        };
        let alias = ModelName::from("assistant");
        let (told, _) = messages_json(&Bytes::from(response.to_string()), Some(&alias));
        let told: Value = serde_json::from_slice(&told).map_err(|error| error.to_string())?;
        compare(case, &of_message(&case.message), &of_message(&told))?;
        if told["model"] == "assistant" {
            Ok(())
        } else {
            Err("the alias is not put back".to_owned())
        }
    });
}
