//! The gateway under test: its configuration, its process and a key.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use serde_json::Value;

use crate::vectors::case::Case;

/// How long the gateway may take to be ready.
const START_MAX: Duration = Duration::from_secs(60);

/// The name under which clients ask for the nth case.
pub fn model_name(nth: usize) -> String {
    format!("vector-{nth:03}")
}

/// A running gateway; killed when dropped.
pub struct Gateway {
    child: Child,
    folder: PathBuf,
    pub address: SocketAddr,
    pub key: String,
}

impl Gateway {
    /// Starts the binary with one upstream and one route per case.
    pub fn start(binary: &Path, cases: &[Case], upstream: SocketAddr) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("tollgate-vectors-{}", std::process::id()));
        fs::create_dir_all(folder.join("policies"))?;
        fs::write(
            folder.join("policies/all.cedar"),
            "@id(\"everything\")\npermit(principal, action, resource);\n",
        )?;
        let file = folder.join("tollgate.toml");
        fs::write(&file, config(cases, upstream))?;
        let log = |name: &str| File::create(folder.join(name));
        let mut command = command(binary, &file, &["gateway"]);
        let child = command
            .stdout(log("stdout.log")?)
            .stderr(log("stderr.log")?)
            .spawn();
        let child = child.with_context(|| format!("{} does not start", binary.display()))?;
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut gateway = Self {
            child,
            folder,
            address: nowhere,
            key: String::new(),
        };
        gateway.address = gateway.wait_until_ready()?;
        let run = |arguments: &[&str]| output(&mut self::command(binary, &file, arguments));
        run(&["tenant", "create", "vectors"])?;
        run(&[
            "user",
            "create",
            "--tenant",
            "vectors",
            "client@vectors.test",
            "--role",
            "user",
        ])?;
        let created = run(&[
            "--json",
            "key",
            "create",
            "--tenant",
            "vectors",
            "client@vectors.test",
        ])?;
        let created: Value = serde_json::from_str(&created)?;
        gateway.key = created["key"].as_str().context("no key was printed")?.to_owned();
        Ok(gateway)
    }

    /// What the gateway wrote to its logs.
    pub fn log(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        read("stdout.log") + &read("stderr.log")
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<SocketAddr> {
        let begun = Instant::now();
        loop {
            let log = self.log();
            let printed = |prefix: &str| {
                log.lines()
                    .find_map(|line| line.strip_prefix(prefix)?.trim().parse().ok())
            };
            if let (Some(address), Some(metrics)) = (printed("listening on "), printed("metrics on "))
                && is_ready(metrics)
            {
                return Ok(address);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the gateway ended at start: {status}\n{log}");
            }
            if begun.elapsed() > START_MAX {
                bail!("the gateway is not ready after {START_MAX:?}\n{log}");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn is_ready(metrics: SocketAddr) -> bool {
    use std::io::{Read as _, Write as _};
    let Ok(mut stream) = std::net::TcpStream::connect(metrics) else {
        return false;
    };
    let mut answer = String::new();
    let asked = stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    asked.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 200")
}

#[expect(
    clippy::disallowed_methods,
    reason = "this tool runs the binary that it tests"
)]
fn command(binary: &Path, config: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command
        .arg("--config")
        .arg(config)
        .args(arguments)
        .stdin(Stdio::null())
        .env_clear();
    command
}

fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    Err(anyhow!(
        "{command:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    ))
}

fn config(cases: &[Case], upstream: SocketAddr) -> String {
    let mut config = String::from(
        "[server]\nlisten = [\"127.0.0.1:0\"]\ndata_dir = \"data\"\n\
         [metrics]\nlisten = \"127.0.0.1:0\"\n\
         [policy]\ndirectory = \"policies\"\n\
         [limits]\nrequests_per_minute = 100000\n",
    );
    for (nth, case) in cases.iter().enumerate() {
        let (model, name) = (model_name(nth), format!("v{nth:03}"));
        let upstream_model = toml_string(case.upstream_model());
        let declared = case.provider("declared").and_then(Value::as_str);
        let (provider, chat) = match (case.upstream(), declared) {
            ("messages", _) => ("anthropic", String::new()),
            ("gemini", _) => ("gemini", String::new()),
            (_, Some(declared)) => (declared, String::new()),
            (_, None) => ("openai-compatible", chat(case)),
        };
        config.push_str(&format!(
            "[[model]]\nid = \"{model}\"\n\
             [[upstream]]\nname = \"{name}\"\nprovider = \"{provider}\"\n\
             endpoint = \"http://{upstream}/{nth:03}\"\n{chat}\
             [[route]]\nmodel_pattern = \"{model}\"\nupstreams = [\"{name}\"]\nupstream_model = {upstream_model}\n",
        ));
    }
    config
}

/// The chat profile, every field named, so that nothing depends on the provider's defaults.
fn chat(case: &Case) -> String {
    let text =
        |key: &str, default: &str| toml_string(case.provider(key).and_then(Value::as_str).unwrap_or(default));
    let dropped = case
        .provider("drop_params")
        .cloned()
        .unwrap_or_else(|| Value::Array(Vec::new()));
    let effort = case.provider("effort").and_then(Value::as_bool).unwrap_or(false);
    let id_bytes = case
        .settings
        .get("max_tool_id_length")
        .and_then(Value::as_u64)
        .unwrap_or(40);
    let mut chat = format!(
        "[upstream.chat]\nmax_tokens_field = {}\nsystem_messages = {}\ndrop_params = {dropped}\n\
         effort = {effort}\nmax_tool_id_bytes = {id_bytes}\nresponses = false\n",
        text("max_tokens_field", "max_tokens"),
        text("system_messages", "anywhere"),
    );
    for key in ["reasoning_in", "reasoning_out"] {
        if case.provider(key).is_some() {
            chat.push_str(&format!("{key} = {}\n", text(key, "")));
        }
    }
    chat
}

/// A JSON string is a TOML string.
fn toml_string(text: &str) -> String {
    Value::from(text).to_string()
}
