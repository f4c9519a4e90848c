//! A real model server behind the gateway: llama.cpp with a tiny model of random weights, made on the spot. It speaks both
//! chat completions and Messages, so it is tried as either kind of upstream, by the official SDKs and by Claude Code.
//!
//! `scripts/sdks` installs it, pinned, beside the SDKs. What it says is different each time; what is checked is that it
//! arrives whole, in order, with the usage that the server counted.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::claude::Claude;
use crate::support::gateway::Gateway;
use crate::support::home::Home;
use crate::support::records::{rows, text};
use crate::support::setup::{MODEL, Setup};
use crate::support::wait::{until, until_within};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk");

fn installed(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .with_file_name("sdk")
        .join(name);
    assert!(
        path.exists(),
        "{} is not installed; run scripts/sdks",
        path.display()
    );
    path
}

/// llama.cpp as a child process; it ends with the pipe to it.
struct ModelServer {
    child: Child,
    address: String,
    _home: Home,
}

impl ModelServer {
    fn start() -> Self {
        let home = Home::new();
        let mut child = Command::new(installed("model-server/bin/python"))
            .arg(Path::new(SCRIPTS).join("model_server.py"))
            .arg(home.join("model.gguf"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the model server starts");
        let mut address = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout)
            .read_line(&mut address)
            .expect("it says where it listens");
        let address = address.trim().to_owned();
        assert!(address.starts_with("http://127.0.0.1:"), "{address:?}");
        Self {
            child,
            address,
            _home: home,
        }
    }

    /// A gateway whose only upstream it is, spoken to as this provider.
    async fn behind(&self, provider: &str) -> Gateway {
        let endpoint = format!("{}/v1", self.address);
        let setup = Setup::new().upstream("llama", provider, &endpoint).model(MODEL);
        setup.route("claude-*", &["llama"], Some("random")).start().await
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// How long Claude Code may ask again and again.
const DEADLINE: Duration = Duration::from_secs(60);

/// As what the server is configured.
const PROVIDERS: [&str; 2] = ["llama.cpp", "anthropic"];

/// Anthropic's and OpenAI's, in Python and TypeScript.
const SDKS: [(&str, &str); 3] = [
    ("python-2/bin/python", "real_model.py"),
    ("python-openai/bin/python", "real_model.py"),
    ("node/bin/node", "real_model.mjs"),
];

async fn run(program: PathBuf, script: &str, gateway: &Gateway, key: &str) {
    let mut command = Command::new(program);
    command
        .arg(Path::new(SCRIPTS).join(script))
        .env("TOLLGATE_URL", format!("http://{}", gateway.address))
        .env("TOLLGATE_KEY", key)
        .env("TOLLGATE_SDK_MODULES", installed("node/node_modules"));
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    let told =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && told.contains("all passed"),
        "{script}:\n{told}"
    );
}

#[tokio::test]
async fn official_sdks_hear_a_model_that_nobody_has_scripted() {
    let server = ModelServer::start();
    for provider in PROVIDERS {
        let gateway = server.behind(provider).await;
        let key = gateway.any_key().await;
        for (program, script) in SDKS {
            run(installed(program), script, &gateway, &key).await;
        }
    }
}

#[tokio::test]
async fn claude_code_hears_a_model_that_nobody_has_scripted() {
    let server = ModelServer::start();
    for provider in PROVIDERS {
        let gateway = server.behind(provider).await;
        let claude = Claude::of(&gateway, &gateway.any_key().await);
        let arguments = ["--model", MODEL, "--tools", "", "--system-prompt", "Be brief."];
        let claude = claude.set("CLAUDE_CODE_MAX_OUTPUT_TOKENS", "4000");
        // A random model may well say nothing at all.
        let printed = until_within(DEADLINE, "an answer with a word in it", async || {
            let printed = claude.print(&arguments, "Shall the gate be open?").await;
            (!printed.ok().trim().is_empty()).then_some(printed)
        })
        .await;
        let sql = format!(
            "SELECT outcome FROM ai_requests WHERE client_session_id = '{}' AND outcome != 'open'",
            printed.session()
        );
        let found = until("a record of what it asked", async || {
            Some(rows(&gateway, &sql)).filter(|found| !found.is_empty())
        })
        .await;
        for row in found {
            assert_eq!(text(&row, "outcome"), "complete", "{provider}: {row:?}");
        }
    }
}
