//! Claude Code from npm against the real binary, over both kinds of upstream: what it prints, what
//! reaches the upstream, and what is written down.

mod conversations;
mod denials;
mod failures;
mod transport;

use serde_json::{Value, json};

use crate::support::claude::{Claude, Printed};
use crate::support::conversation::Does;
use crate::support::gateway::Gateway;
use crate::support::records::{Row, rows, text};
use crate::support::setup::UPSTREAM_KEY;
use crate::support::upstream::Upstream;
use crate::support::wait::until;

/// The model says this and no more.
fn says(text: &str) -> Does {
    Does::Says(vec![json!({"type": "text", "text": text})])
}

/// The model calls a tool.
fn calls(id: &str, name: &str, input: &Value) -> Does {
    Does::Says(vec![
        json!({"type": "text", "text": format!("I use {name}.")}),
        json!({"type": "tool_use", "id": id, "name": name, "input": input}),
    ])
}

/// A gateway's user with Claude Code.
async fn laptop(gateway: &Gateway) -> (Claude, String) {
    let key = gateway.any_key().await;
    (Claude::of(gateway, &key), key)
}

/// The closed rows of a client's session, in order; waits until they are this many.
async fn recorded(gateway: &Gateway, session: &str, count: usize) -> Vec<Row> {
    let sql = format!(
        "SELECT * FROM ai_requests WHERE client_session_id = '{session}' AND outcome != 'open' ORDER BY opened_at"
    );
    until(&format!("{count} rows of session {session}"), async || {
        let found = rows(gateway, &sql);
        assert!(found.len() <= count, "more rows than requests: {found:#?}");
        (found.len() == count).then_some(found)
    })
    .await
}

/// What holds after every run: each request to the upstream is in the ledger under the client's own
/// session, and no credential went where it does not belong.
async fn check_kept(gateway: &Gateway, upstream: &Upstream, key: &str, printed: &Printed) -> Vec<Row> {
    let kept = recorded(gateway, printed.session(), upstream.count()).await;
    for row in &kept {
        assert!(text(row, "client_id").starts_with("claude-cli/"), "{row:?}");
        assert_eq!(text(row, "upstream"), "sim", "{row:?}");
    }
    check_secrecy(upstream, key, printed);
    kept
}

/// The client's key stays here, and the upstream's stays from the client.
fn check_secrecy(upstream: &Upstream, key: &str, printed: &Printed) {
    let sent = upstream.bytes();
    assert_eq!(
        memchr::memmem::find(&sent, key.as_bytes()),
        None,
        "the key went upstream"
    );
    for name in ["x-claude-code-session-id", "authorization: bearer tg_", "x-app:"] {
        let lower = String::from_utf8_lossy(&sent).to_ascii_lowercase();
        assert!(!lower.contains(name), "{name} went upstream");
    }
    assert!(!printed.text().contains(UPSTREAM_KEY), "{printed:#?}");
}
