//! The official Anthropic and OpenAI SDKs against the real binary, over both kinds of upstream.
//!
//! `scripts/test` installs them, pinned, into `target/sdk`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::gateway::Gateway;
use crate::support::setup::Setup;
use crate::support::tls::Authority;
use crate::support::upstream::Upstream;
use crate::support::{anthropic_sim, gemini_sim, openai_sim};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk");

/// Where `scripts/test` puts the SDKs: beside the folder that cargo gives to integration tests.
fn installed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .with_file_name("sdk")
        .join(name)
}

/// What the gateway's clients speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spoken {
    Plain,
    Tls,
    /// HTTP/2, as TLS negotiates it.
    Http2,
}

/// What an SDK is tried over: the kind of the upstream, and how it is spoken to the gateway.
const ARRANGEMENTS: [(&str, Spoken); 4] = [
    ("anthropic", Spoken::Plain),
    ("openai", Spoken::Plain),
    ("gemini", Spoken::Plain),
    ("anthropic", Spoken::Tls),
];

/// What the SDKs of OpenAI are tried over: `chat` is an upstream that serves nothing but chat completions.
const OPENAI_ARRANGEMENTS: [(&str, Spoken); 4] = [
    ("anthropic", Spoken::Plain),
    ("openai", Spoken::Plain),
    ("chat", Spoken::Plain),
    ("anthropic", Spoken::Tls),
];

async fn gateway_over(kind: &str, authority: Option<&Authority>) -> (Gateway, Upstream) {
    let withheld = r#"@id("opus-is-for-services") forbid (principal in Role::"user", action == Action::"invoke",
        resource == Model::"claude-opus-4-8");"#;
    let (setup, upstream) = match kind {
        "anthropic" => {
            let upstream = anthropic_sim::start().await;
            (Setup::anthropic(&upstream), upstream)
        }
        "chat" => {
            let upstream = openai_sim::start().await;
            (Setup::compatible(&upstream), upstream)
        }
        "gemini" => {
            let upstream = gemini_sim::start().await;
            (Setup::gemini(&upstream), upstream)
        }
        _ => {
            let upstream = openai_sim::start().await;
            (Setup::openai(&upstream), upstream)
        }
    };
    // The simulated 429 asks for a second of rest, which would meet what is asked after it.
    let setup = setup.set("resilience", "rest_max", "\"1ms\"");
    let mut setup = setup.model("claude-opus-4-8").policy(withheld);
    if let Some(authority) = authority {
        let authority_file = authority.pem();
        setup = setup
            .tls(&authority.server(&["127.0.0.1"]), "")
            .file("ca.pem", &authority_file);
    }
    (setup.start().await, upstream)
}

/// Runs a script of `tests/sdk` with the addresses it needs; its output is shown when it fails.
async fn check(program: PathBuf, script: &str, arrangements: &[(&str, Spoken)]) {
    assert!(
        program.exists(),
        "{} is not installed; run scripts/test",
        program.display()
    );
    for &(kind, spoken) in arrangements {
        let secured = spoken != Spoken::Plain;
        let authority = secured.then(|| Authority::new("operator"));
        let (gateway, upstream) = gateway_over(kind, authority.as_ref()).await;
        let scheme = if secured { "https" } else { "http" };
        let mut command = Command::new(&program);
        command
            .arg(Path::new(SCRIPTS).join(script))
            .env("TOLLGATE_URL", format!("{scheme}://{}", gateway.address))
            .env("TOLLGATE_KEY", gateway.any_key().await)
            .env("TOLLGATE_UPSTREAM", kind)
            .env("TOLLGATE_SDK_MODULES", installed("node/node_modules"))
            .env_remove("ANTHROPIC_API_KEY")
            .env_remove("ANTHROPIC_AUTH_TOKEN")
            .env_remove("ANTHROPIC_BASE_URL")
            .env_remove("OPENAI_API_KEY")
            .env_remove("OPENAI_BASE_URL");
        if secured {
            // Python's way and Node's way to trust an authority of one's own.
            command
                .env("SSL_CERT_FILE", gateway.home.join("ca.pem"))
                .env("NODE_EXTRA_CA_CERTS", gateway.home.join("ca.pem"));
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
        assert!(output.status.success(), "{script} over {kind}:\n{told}");
        assert!(
            told.contains("all passed"),
            "{script} over {kind} ended early:\n{told}"
        );
        assert!(upstream.count() > 5, "{script} over {kind} reached its upstream");
    }
}

#[tokio::test]
async fn python_0() {
    check(
        installed("python-0/bin/python"),
        "anthropic_sdk.py",
        &ARRANGEMENTS,
    )
    .await;
}

#[tokio::test]
async fn python_2() {
    check(
        installed("python-2/bin/python"),
        "anthropic_sdk.py",
        &ARRANGEMENTS,
    )
    .await;
}

#[tokio::test]
async fn python_2_over_http2() {
    let arrangements = [("anthropic", Spoken::Http2), ("openai", Spoken::Http2)];
    check(
        installed("python-2/bin/python"),
        "anthropic_sdk.py",
        &arrangements,
    )
    .await;
}

#[tokio::test]
async fn typescript() {
    check(installed("node/bin/node"), "anthropic_sdk.mjs", &ARRANGEMENTS).await;
}

#[tokio::test]
async fn python_openai() {
    check(
        installed("python-openai/bin/python"),
        "openai_sdk.py",
        &OPENAI_ARRANGEMENTS,
    )
    .await;
}

#[tokio::test]
async fn typescript_openai() {
    check(installed("node/bin/node"), "openai_sdk.mjs", &OPENAI_ARRANGEMENTS).await;
}
