//! Claude Code itself, headless, as a child process in a home of its own.
//!
//! `scripts/sdks` installs it, pinned, beside the SDKs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::gateway::Gateway;
use crate::support::home::Home;
use crate::support::wait::until_within;

/// How long a run may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// A person with Claude Code on a laptop: a home folder, a project, a gateway and a key.
pub struct Claude {
    home: Home,
    environment: Vec<(String, String)>,
}

/// What a run printed.
#[derive(Clone, Debug)]
pub struct Printed {
    /// Its exit code; -1 after a signal.
    pub code: i32,
    /// The lines of `stream-json`.
    pub events: Vec<Value>,
    /// Standard error.
    pub stderr: String,
}

impl Printed {
    /// The last line, which tells how it went.
    pub fn end(&self) -> &Value {
        let end = self.events.iter().rfind(|event| event["type"] == "result");
        end.unwrap_or_else(|| panic!("no result in {self:#?}"))
    }

    /// The text that a person sees at the end.
    pub fn result(&self) -> &str {
        let result = self.end()["result"].as_str();
        result.unwrap_or_else(|| panic!("no text in {:#}", self.end()))
    }

    /// The text of a run that went well.
    pub fn ok(&self) -> &str {
        let went_well = self.code == 0 && self.end()["is_error"] == false;
        assert!(went_well, "{self:#?}");
        self.result()
    }

    /// The text of a run that failed as such.
    pub fn failed(&self) -> &str {
        let failed = self.code == 1 && self.end()["is_error"] == true;
        assert!(failed, "{self:#?}");
        self.result()
    }

    /// The session's id, as the client names it in a header of each request.
    pub fn session(&self) -> &str {
        self.end()["session_id"].as_str().expect("a session has an id")
    }

    /// The lines of this type and subtype.
    pub fn lines(&self, kind: &str, subtype: &str) -> Vec<&Value> {
        let is_one = |event: &&Value| event["type"] == kind && event["subtype"] == subtype;
        self.events.iter().filter(is_one).collect()
    }

    /// Everything, as one text.
    pub fn text(&self) -> String {
        let lines = self.events.iter().map(Value::to_string);
        lines.chain([self.stderr.clone()]).collect()
    }
}

/// A run that goes on.
pub struct Run {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Drop for Run {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Run {
    /// What it printed so far.
    pub fn so_far(&self) -> String {
        read(&self.stdout)
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> Printed {
        let status = until_within(DEADLINE, "Claude Code to end", async || {
            self.child.try_wait().expect("it is our child")
        })
        .await;
        let read =
            |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
        let parse = |line: &str| serde_json::from_str(line).unwrap_or(Value::String(line.to_owned()));
        Printed {
            code: status.code().unwrap_or(-1),
            events: read(&self.stdout).lines().map(parse).collect(),
            stderr: read(&self.stderr),
        }
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

impl Claude {
    /// Somebody who was told the gateway's address and this key, and nothing else.
    pub fn of(gateway: &Gateway, key: &str) -> Self {
        let home = Home::new();
        for folder in ["home", "config", "project", "tmp"] {
            std::fs::create_dir_all(home.join(folder)).expect("the home is writable");
        }
        let path = |name: &str| home.join(name).display().to_string();
        let environment = [
            ("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned()),
            ("HOME", path("home")),
            ("CLAUDE_CONFIG_DIR", path("config")),
            ("TMPDIR", path("tmp")),
            ("ANTHROPIC_BASE_URL", format!("http://{}", gateway.address)),
            ("ANTHROPIC_AUTH_TOKEN", key.to_owned()),
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1".to_owned()),
            ("DISABLE_AUTOUPDATER", "1".to_owned()),
            // Without this it refuses to act without asking where it runs as root.
            ("IS_SANDBOX", "1".to_owned()),
            // Nothing listens on the discard port: whatever does not go to the gateway fails at once.
            ("HTTPS_PROXY", "http://127.0.0.1:9".to_owned()),
            ("NO_PROXY", "127.0.0.1".to_owned()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value));
        Self {
            home,
            environment: environment.into(),
        }
    }

    /// Sets a variable; an empty value removes it.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.retain(|(key, _)| key != name);
        if !value.is_empty() {
            self.environment.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Sets a variable to the name of a file that holds this text.
    pub fn with_file(self, variable: &str, name: &str, text: &str) -> Self {
        let path = self.home.write(name, text).display().to_string();
        self.set(variable, &path)
    }

    /// A file of the project.
    pub fn project(&self, name: &str) -> PathBuf {
        self.home.join("project").join(name)
    }

    /// What a file of the configuration folder holds.
    pub fn config(&self, name: &str) -> String {
        self.home.read(&format!("config/{name}"))
    }

    /// Starts a run with this prompt.
    pub fn start(&self, arguments: &[&str], prompt: &str) -> Run {
        let program =
            Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("sdk/node/node_modules/.bin/claude");
        assert!(
            program.exists(),
            "{} is not installed; run scripts/sdks",
            program.display()
        );
        let (stdout, stderr) = (self.home.join("stdout.jsonl"), self.home.join("stderr.log"));
        let log = |path: &Path| File::create(path).expect("the home is writable");
        let child = Command::new(program)
            .args(["-p", "--output-format", "stream-json", "--verbose"])
            .arg("--dangerously-skip-permissions")
            .args(arguments)
            .arg(prompt)
            .current_dir(self.project("."))
            .env_clear()
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log(&stdout))
            .stderr(log(&stderr))
            .spawn()
            .expect("Claude Code starts");
        Run {
            child,
            stdout,
            stderr,
        }
    }

    /// Runs to the end with this prompt.
    pub async fn print(&self, arguments: &[&str], prompt: &str) -> Printed {
        self.start(arguments, prompt).ended().await
    }
}
