//! Codex itself, headless, as a child process in a home of its own.
//!
//! `scripts/sdks` installs it, pinned, beside the SDKs.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use crate::support::gateway::Gateway;
use crate::support::home::Home;

/// How long a run may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// A person with Codex on a laptop: a home folder, a project, a gateway and a key.
pub struct Codex {
    home: Home,
    key: String,
}

/// What a run printed.
#[derive(Clone, Debug)]
pub struct Printed {
    /// Its exit code; -1 after a signal.
    pub code: i32,
    /// The lines of `--json`, and behind them standard error as one text.
    pub events: Vec<Value>,
}

impl Printed {
    /// The items of this type that were completed.
    pub fn items(&self, kind: &str) -> Vec<&Value> {
        let completed = self
            .events
            .iter()
            .filter(|event| event["type"] == "item.completed");
        let items = completed.map(|event| &event["item"]);
        items.filter(|item| item["type"] == kind).collect()
    }

    /// The last thing that the agent said.
    pub fn said(&self) -> &str {
        let said = self.items("agent_message").pop();
        said.and_then(|item| item["text"].as_str())
            .unwrap_or_else(|| panic!("nothing was said: {self:#?}"))
    }
}

impl Codex {
    /// Somebody who was told the gateway's address, this key and a model, and nothing else.
    pub fn of(gateway: &Gateway, key: &str, model: &str) -> Self {
        let home = Home::new();
        for folder in ["codex", "project", "tmp"] {
            std::fs::create_dir_all(home.join(folder)).expect("the home is writable");
        }
        let config = format!(
            "model = \"{model}\"\nmodel_provider = \"tollgate\"\nweb_search = \"disabled\"\n\
             [analytics]\nenabled = false\n\
             [model_providers.tollgate]\nname = \"Tollgate\"\nbase_url = \"http://{}/v1\"\n\
             env_key = \"TOLLGATE_KEY\"\nwire_api = \"responses\"\n\
             request_max_retries = 0\nstream_max_retries = 0\n",
            gateway.address
        );
        home.write("codex/config.toml", &config);
        Self {
            home,
            key: key.to_owned(),
        }
    }

    /// The text of a file of the project.
    pub fn project(&self, name: &str) -> String {
        self.home.read(&format!("project/{name}"))
    }

    /// Runs to the end with this prompt.
    pub async fn exec(&self, prompt: &str) -> Printed {
        let node = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("sdk/node");
        let program = node.join("node_modules/.bin/codex");
        assert!(
            program.exists(),
            "{} is not installed; run scripts/sdks",
            program.display()
        );
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", node.join("bin").display());
        let child = Command::new(program)
            .args(["exec", "--json", "--skip-git-repo-check"])
            .arg("--dangerously-bypass-approvals-and-sandbox")
            .arg(prompt)
            .current_dir(self.home.join("project"))
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.home.join("."))
            .env("TMPDIR", self.home.join("tmp"))
            .env("CODEX_HOME", self.home.join("codex"))
            .env("TOLLGATE_KEY", &self.key)
            // Nothing listens on the discard port: whatever does not go to the gateway fails at once.
            .env("HTTPS_PROXY", "http://127.0.0.1:9")
            .env("NO_PROXY", "127.0.0.1")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(DEADLINE, child)
            .await
            .expect("Codex ends in time")
            .expect("Codex starts");
        let parse = |line: &str| serde_json::from_str(line).unwrap_or(Value::String(line.to_owned()));
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Printed {
            code: output.status.code().unwrap_or(-1),
            events: lines.lines().map(parse).chain([Value::String(stderr)]).collect(),
        }
    }
}
