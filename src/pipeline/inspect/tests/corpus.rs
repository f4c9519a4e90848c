//! The corpus of secrets and of what only looks like one (`tests/corpus/secrets/README.md`), and captured requests.

use super::*;
use crate::pipeline::inspect::secrets::Match;

struct Row {
    id: String,
    kind: String,
    label: Label,
    text: String,
}

enum Label {
    /// Where the secret stands, in bytes.
    Secret(usize, usize),
    Clean,
    /// Shaped like a token, with a wrong checksum.
    BadChecksum,
}

fn rows() -> Vec<Row> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/secrets/shared.jsonl");
    let text = std::fs::read_to_string(file).unwrap();
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        let part = |part: &Value| part.as_str().unwrap().to_owned();
        let place = |n: usize| usize::try_from(row["span"][n].as_u64().unwrap()).unwrap();
        Row {
            id: part(&row["id"]),
            kind: part(&row["type"]),
            label: match (row["label"].as_str(), row.get("strict")) {
                (Some("secret"), _) => Label::Secret(place(0), place(1)),
                (_, None) => Label::Clean,
                (_, Some(_)) => Label::BadChecksum,
            },
            text: row["parts"].as_array().unwrap().iter().map(part).collect(),
        }
    };
    text.lines().map(row).collect()
}

/// The text as it stands inside a JSON string.
fn escaped(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn as_tool_result(text: &str) -> Value {
    request(
        json!([{ "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "t", "content": text }] }]),
    )
}

#[derive(Default)]
struct Score {
    secrets: usize,
    found: usize,
    covered: usize,
    false_alarms: usize,
    bad_checksums: usize,
    bytes_too_many: usize,
    wrong: Vec<String>,
}

impl Score {
    fn count(&mut self, row: &Row, span: Option<(usize, usize)>, found: &[Match<'_>]) {
        let overlap = |m: &Match<'_>, (start, end): (usize, usize)| {
            m.range.end.min(end).saturating_sub(m.range.start.max(start))
        };
        let wrong = |what: &str| format!("{what} {} {}: {:?}", row.id, row.kind, found);
        match (&row.label, span) {
            (Label::Secret(..), Some(span)) => {
                let length = span.1 - span.0;
                self.secrets += 1;
                if found.iter().any(|m| overlap(m, span) * 10 >= length * 8) {
                    self.found += 1;
                } else {
                    self.wrong.push(wrong("missed"));
                }
                self.covered += usize::from(found.iter().map(|m| overlap(m, span)).sum::<usize>() == length);
                self.bytes_too_many += found
                    .iter()
                    .map(|m| m.range.len() - overlap(m, span))
                    .sum::<usize>();
            }
            (Label::Clean, _) if !found.is_empty() => {
                self.false_alarms += 1;
                self.wrong.push(wrong("false alarm"));
            }
            (Label::BadChecksum, _) if !found.is_empty() => {
                self.bad_checksums += 1;
                self.wrong.push(wrong("bad checksum"));
            }
            _ => {}
        }
    }

    /// Prints the line that `scripts/check --corpora` shows, and holds the targets.
    #[expect(clippy::cast_precision_loss, reason = "counts of rows are small")]
    fn hold(&self, form: &str) {
        let share = |part: usize, whole: usize| part as f64 / whole as f64;
        let (recall, precision) = (
            share(self.found, self.secrets),
            share(self.found, self.found + self.false_alarms),
        );
        println!(
            "{form:<28} recall {recall:.3}  precision {precision:.3}  covered {}/{}  bad checksums {}  bytes too many {}",
            self.covered, self.found, self.bad_checksums, self.bytes_too_many
        );
        assert!(recall >= 0.97 && precision >= 0.98, "{:#?}", self.wrong);
        assert_eq!(self.bad_checksums, 0, "{:#?}", self.wrong);
    }
}

/// Scores the corpus with each text put through `form`.
fn score(name: &str, form: impl Fn(&str) -> String) {
    let detectors = Detectors::shipped().unwrap();
    let mut score = Score::default();
    for row in rows() {
        let span = match row.label {
            Label::Secret(start, end) => Some((form(&row.text[..start]).len(), form(&row.text[..end]).len())),
            _ => None,
        };
        let text = form(&row.text);
        score.count(&row, span, &detectors.scan().text(text.as_bytes()).unwrap());
    }
    score.hold(name);
}

#[test]
fn corpus_as_it_is() {
    score("as it is", str::to_owned);
}

#[test]
fn corpus_escaped_once() {
    score("escaped once", escaped);
}

#[test]
fn corpus_escaped_twice() {
    score("escaped twice", |text| escaped(&escaped(text)));
}

#[test]
fn secrets_of_the_corpus_never_go_on() {
    let detectors = Detectors::shipped().unwrap();
    let look = |body: &Value| inspect(good(body), &detectors, &Actions::SHIPPED, &memory(1));
    let mut gone_on = Vec::new();
    for row in rows() {
        let newest = look(&request(json!([{ "role": "user", "content": row.text }])));
        let result = look(&as_tool_result(&row.text));
        match row.label {
            Label::Secret(start, end) => {
                let clean: Value = serde_json::from_slice(&redacted(&result)).unwrap();
                let clean = clean["messages"][0]["content"][0]["content"].as_str().unwrap();
                if newest.blocked().is_none() || clean.contains(&row.text[start..end]) {
                    gone_on.push(format!("{} {}", row.id, row.kind));
                }
            }
            Label::Clean | Label::BadChecksum => assert_eq!(
                (newest.blocked(), result.splices()),
                (None, &[][..]),
                "{}",
                row.id
            ),
        }
    }
    assert_eq!(gone_on, [""; 0]);
}

#[test]
fn captured_requests_are_understood() {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/corpus/fixtures/claude-code/messages"
    );
    let mut bodies = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let capture: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let Some(body) = capture.get("body").filter(|body| body.get("messages").is_some()) else {
            continue;
        };
        let counting = capture["path"] == "/v1/messages/count_tokens";
        let operation = if counting {
            Operation::CountTokens
        } else {
            Operation::Messages
        };
        let raw = Bytes::from(body.to_string());
        let index = index(&raw, operation).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(index.model().as_str(), body["model"]);
        assert_eq!(index.stream(), body["stream"].as_bool().unwrap_or(false));
        assert_eq!(index.max_tokens(), body["max_tokens"].as_u64());
        let web_search = path.ends_with("web-search-server-tool.json");
        assert_eq!(
            index.powers().len(),
            usize::from(web_search),
            "{}",
            path.display()
        );
        let detectors = Detectors::shipped().unwrap();
        let inspection = inspect(index, &detectors, &Actions::SHIPPED, &memory(1));
        assert_eq!(inspection.findings(), [], "{}", path.display());
        bodies += 1;
    }
    assert!(bodies > 20, "{bodies}");
}
