//! The shared corpus, where it lies beside the repository, and captured requests.

use std::path::PathBuf;

use super::*;

/// The corpus's types that the shipped rules claim to know.
const CLAIMED: [&str; 25] = [
    "anthropic_api_key",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_temp_access_key_id",
    "gcp_service_account",
    "github_app_installation",
    "github_fine_grained_pat",
    "github_pat_classic",
    "google_api_key",
    "http_basic_url",
    "mongodb_url",
    "mysql_url",
    "npm_token",
    "openai_legacy_key",
    "openai_project_key",
    "openssh_private_key",
    "pem_pkcs8_private_key",
    "pem_rsa_private_key",
    "postgres_url",
    "redis_url",
    "slack_bot_token",
    "slack_webhook",
    "stripe_live_secret",
    "slack_token",
    "stripe_restricted_key",
];

/// A file or folder beside the repository, if it is there.
fn shared(path: &str) -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    ["../shared", "../../shared"]
        .iter()
        .map(|shared| root.join(shared).join(path))
        .find(|path| path.exists())
}

struct Row {
    id: String,
    kind: String,
    secret: bool,
    text: String,
    span: Option<(usize, usize)>,
}

fn rows() -> Vec<Row> {
    let Some(path) = shared("corpora/secrets/shared.jsonl") else {
        return Vec::new();
    };
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            let part = |part: &Value| part.as_str().unwrap().to_owned();
            let place = |n: usize| usize::try_from(row["span"][n].as_u64().unwrap()).unwrap();
            Row {
                id: part(&row["id"]),
                kind: part(&row["type"]),
                secret: row["label"] == "secret",
                text: row["parts"].as_array().unwrap().iter().map(part).collect(),
                span: row["span"].is_array().then(|| (place(0), place(1))),
            }
        })
        .collect()
}

fn as_tool_result(text: &str) -> Value {
    request(
        json!([{ "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "t", "content": text }] }]),
    )
}

#[test]
fn secrets_of_known_types_never_go_on() {
    let mut missed = Vec::new();
    for row in rows()
        .iter()
        .filter(|row| row.secret && CLAIMED.contains(&&*row.kind))
    {
        let (start, end) = row.span.unwrap();
        let secret = &row.text.as_bytes()[start..end];
        let inspection = inspected(&as_tool_result(&row.text));
        let clean: Value = serde_json::from_slice(&redacted(&inspection)).unwrap();
        let clean = clean["messages"][0]["content"][0]["content"]
            .as_str()
            .unwrap()
            .to_owned();
        let covered =
            !inspection.findings().is_empty() && memchr::memmem::find(clean.as_bytes(), secret).is_none();
        let newest = inspected(&request(json!([{ "role": "user", "content": row.text }])));
        if !covered || newest.blocked().is_none() {
            missed.push(format!("{} {}", row.id, row.kind));
        }
    }
    assert_eq!(missed, [""; 0]);
}

#[test]
fn redaction_covers_the_span_and_little_else() {
    for row in rows()
        .iter()
        .filter(|row| row.secret && CLAIMED.contains(&&*row.kind))
    {
        let (start, end) = row.span.unwrap();
        let detectors = Detectors::shipped().unwrap();
        let found = detectors.scan().text(row.text.as_bytes()).unwrap();
        let covers = found.iter().any(|m| m.range.start <= start && end <= m.range.end);
        assert!(
            covers,
            "{} {}: {:?} for {start}..{end}",
            row.id,
            row.kind,
            found.iter().map(|m| &m.range).collect::<Vec<_>>()
        );
        let extra: usize = found.iter().map(|m| m.range.len()).sum::<usize>() - (end - start);
        assert!(extra <= 64, "{} {}: {extra} bytes too many", row.id, row.kind);
    }
}

#[test]
fn clean_texts_pass_unchanged() {
    let mut alarms = Vec::new();
    for row in rows().iter().filter(|row| !row.secret) {
        let inspection = inspected(&as_tool_result(&row.text));
        for finding in inspection.findings() {
            alarms.push(format!("{} {} taken for {}", row.id, row.kind, finding.kind));
        }
        assert_eq!(
            inspected(&request(json!([{ "role": "user", "content": row.text }]))).blocked(),
            None
        );
    }
    assert_eq!(alarms, [""; 0]);
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
        let inspection = inspect(index, &detectors, &Actions::SHIPPED, &key(1));
        assert_eq!(inspection.findings(), [], "{}", path.display());
        bodies += 1;
    }
    assert!(bodies > 20, "{bodies}");
}
