//! The official SDKs: one process a client, which goes over all upstreams and checks what it sees itself
//! (`tests/sdk`). `scripts/sdks` installs them, pinned.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::suite::ledger;
use crate::support::columns::{COLUMNS, Column, Table};
use crate::support::tls::Authority;

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk");

/// Where `scripts/sdks` puts them: beside the folder that cargo gives to integration tests.
fn installed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .with_file_name("sdk")
        .join(name)
}

/// What a client speaks with the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spoken {
    Plain,
    Tls,
    /// HTTP/2, as TLS negotiates it.
    Http2,
}

/// Runs a script over the whole table; its output is shown when it fails. `dialects` are the wire formats that it
/// speaks, each streaming and not.
async fn check(program: &str, script: &str, spoken: Spoken, dialects: &[&str]) {
    let program = installed(program);
    assert!(
        program.exists(),
        "{} is not installed; run scripts/sdks",
        program.display()
    );
    let authority = (spoken != Spoken::Plain).then(|| Authority::new("operator"));
    let table = Table::start(|setup| match &authority {
        Some(authority) => setup
            .tls(&authority.server(&["127.0.0.1"]), "")
            .file("ca.pem", &authority.pem()),
        None => setup,
    })
    .await;
    let scheme = if authority.is_some() { "https" } else { "http" };
    let told: Value = COLUMNS.iter().map(Column::told).collect();
    let mut command = Command::new(&program);
    command
        .arg(Path::new(SCRIPTS).join(script))
        .env("TOLLGATE_URL", format!("{scheme}://{}", table.gateway.address))
        .env("TOLLGATE_KEY", &table.key)
        .env("TOLLGATE_COLUMNS", told.to_string())
        .env("TOLLGATE_SDK_MODULES", installed("node/node_modules"))
        .env_remove("ANTHROPIC_API_KEY")
        .env_remove("ANTHROPIC_AUTH_TOKEN")
        .env_remove("ANTHROPIC_BASE_URL")
        .env_remove("OPENAI_API_KEY")
        .env_remove("OPENAI_BASE_URL");
    if authority.is_some() {
        // Python's way and Node's way to trust an authority of one's own.
        command
            .env("SSL_CERT_FILE", table.gateway.home.join("ca.pem"))
            .env("NODE_EXTRA_CA_CERTS", table.gateway.home.join("ca.pem"));
    }
    if spoken == Spoken::Http2 {
        command.env("TOLLGATE_HTTP2", "1");
    }
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    let told =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}:\n{told}");
    assert!(told.contains("all passed"), "{script} ended early:\n{told}");
    ledger::check(&table, dialects, &[false, true]).await;
}

const MESSAGES: &[&str] = &["anthropic_messages"];
const OPENAI: &[&str] = &["openai_chat", "openai_responses"];

#[tokio::test]
async fn messages_in_python_of_old() {
    check("python-0/bin/python", "anthropic_sdk.py", Spoken::Plain, MESSAGES).await;
}

#[tokio::test]
async fn messages_in_python_over_http2() {
    check("python-2/bin/python", "anthropic_sdk.py", Spoken::Http2, MESSAGES).await;
}

#[tokio::test]
async fn messages_in_typescript() {
    check("node/bin/node", "anthropic_sdk.mjs", Spoken::Tls, MESSAGES).await;
}

#[tokio::test]
async fn chat_and_responses_in_python() {
    check("python-openai/bin/python", "openai_sdk.py", Spoken::Tls, OPENAI).await;
}

#[tokio::test]
async fn chat_and_responses_in_typescript() {
    check("node/bin/node", "openai_sdk.mjs", Spoken::Plain, OPENAI).await;
}
