//! Streams that pass byte for byte, of OpenAI's API on both sides: the cases stand in
//! `tests/corpus/vectors/openai-bytes`.

use std::fs;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use tollgate::pipeline::translate::{ChatBytes, Ending, Outcome, Progress, ResponseBytes, Rewriter};
use tollgate::types::ids::ModelName;

use super::format::transcript::{self, Transcript};

pub(super) fn rewriter(case: &Value) -> Rewriter {
    let alias = case["alias"].as_str().map(ModelName::from);
    match case["operation"].as_str() {
        Some("chat_completions") => Rewriter::chat_bytes(ChatBytes {
            alias,
            withhold_usage: case["withhold_usage"] == true,
            choices: case["choices"].as_u64().unwrap_or(1),
            input_tokens: 9,
        }),
        Some("responses") => Rewriter::response_bytes(ResponseBytes {
            alias,
            input_tokens: 9,
        }),
        other => panic!("unknown operation {other:?}"),
    }
}

fn check(case: &Value, sent: &Transcript, expected: &[u8]) -> Result<(), String> {
    let mut rewriter = rewriter(case);
    let (mut out, mut progress) = (BytesMut::new(), Progress::More);
    for chunk in &sent.chunks {
        progress = rewriter.push(&Bytes::copy_from_slice(chunk), &mut out);
        if progress != Progress::More {
            break;
        }
    }
    if progress == Progress::More {
        let ending = match sent.ending {
            transcript::Ending::Eof => Ending::Eof,
            transcript::Ending::Reset => Ending::Reset,
        };
        progress = rewriter.end(ending, &mut out);
    }
    let shown = String::from_utf8_lossy(&out).into_owned();
    let rest = out
        .strip_prefix(expected)
        .ok_or_else(|| format!("other bytes: {shown}"))?;
    let fails = case["error"] == true;
    let ours = String::from_utf8_lossy(rest);
    let is_told = fails && case["relayed"] != true;
    let well_told = if is_told {
        ours.matches("data: ").count() == 1
            && ours.contains("\"error\":{\"message\":")
            && !ours.contains("sk-1")
    } else {
        ours.is_empty()
    };
    let observed = rewriter.observed();
    let well_ended = match (&progress, &observed.outcome) {
        (Progress::Finished, Outcome::Complete) => !fails,
        (Progress::Failed(_), Outcome::Failed(_) | Outcome::Broken) => fails,
        _ => false,
    };
    let usage = observed.usage.unwrap_or_default();
    let counted = [usage.input, usage.output, usage.cache_read];
    let wanted = ["input", "output", "cache_read"].map(|key| case["usage"][key].as_u64());
    let well_counted = case["usage"].is_null() || (counted.map(Some) == wanted && !observed.usage_estimated);
    if well_told && well_ended && well_counted {
        Ok(())
    } else {
        Err(format!(
            "{progress:?}, {observed:?}, behind the expected bytes: {ours:?}"
        ))
    }
}

#[test]
fn bytes_pass_however_they_are_cut() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/vectors/openai-bytes");
    let mut failures = Vec::new();
    let mut tried = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            continue;
        }
        let text = |name: &str| fs::read_to_string(path.join(name)).unwrap();
        let case: Value = serde_json::from_str(&text("case.json")).unwrap();
        let sent = Transcript::read(&text("upstream_stream.txt")).unwrap();
        let expected = Transcript::read(&text("expected_stream.txt"))
            .unwrap()
            .chunks
            .concat();
        for (how, sent) in [
            ("as given", sent.clone()),
            ("byte by byte", sent.recut(1)),
            ("as a block", sent.recut(usize::MAX)),
        ] {
            if let Err(problem) = check(&case, &sent, &expected) {
                failures.push(format!("{} {how}: {problem}", path.display()));
            }
        }
        tried += 1;
    }
    assert!(tried >= 14, "only {tried} cases were found");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
