//! Claude Code and Codex, headless: each calls its shell over every upstream, and sends back what it printed.

use crate::suite::ledger;
use crate::support::claude::Claude;
use crate::support::codex::Codex;
use crate::support::columns::{Column, Table};
use crate::support::upstream::Upstream;

/// What the shell prints where a simulated model asks for it.
const PRINTED: &str = "Größe 18";

/// The upstream got the shell's output, and the client's key did not go there.
fn check_sent(table: &Table, column: &Column, upstream: &Upstream) {
    let sent = String::from_utf8_lossy(&upstream.last().body).into_owned();
    assert!(sent.contains(PRINTED), "{}: {sent}", column.name);
    let all = upstream.bytes();
    let leaked = memchr::memmem::find(&all, table.key.as_bytes());
    assert_eq!(leaked, None, "{}: the key went upstream", column.name);
}

#[tokio::test]
async fn claude_code() {
    let table = Table::start(|setup| setup).await;
    for (column, upstream) in table.columns() {
        let claude = Claude::of(&table.gateway, &table.key);
        let printed = claude
            .print(&["--model", &column.model()], "sim:bash please")
            .await;
        assert_eq!(printed.ok(), column.text, "{}", column.name);
        check_sent(&table, column, upstream);
    }
    ledger::check(&table, &["anthropic_messages"], &[true]).await;
}

#[tokio::test]
async fn codex() {
    let table = Table::start(|setup| setup).await;
    for (column, upstream) in table.columns() {
        let codex = Codex::of(&table.gateway, &table.key, &column.model());
        let printed = codex.exec("sim:exec please").await;
        assert_eq!(printed.code, 0, "{}: {printed:#?}", column.name);
        assert_eq!(printed.said(), column.text, "{}", column.name);
        check_sent(&table, column, upstream);
    }
    ledger::check(&table, &["openai_responses"], &[true]).await;
}
