//! The real binary as a child process.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;

use rustls::ClientConfig;
use serde_json::Value;

use crate::support::client::{Answer, Call, Connection, Stream};
use crate::support::h2_client::H2Connection;
use crate::support::home::Home;
use crate::support::wait::until;

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_tollgate");

/// What a command printed and how it ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// The exit code; -1 after a signal.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// The output, where success is a matter of course.
    pub fn ok(self) -> Self {
        assert_eq!(
            self.code, 0,
            "the command failed\nstdout: {}\nstderr: {}",
            self.stdout, self.stderr
        );
        self
    }

    /// Standard output as one JSON value.
    pub fn json(self) -> Value {
        let text = self.ok().stdout;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("no JSON ({error}): {text}"))
    }

    /// Standard output as JSON lines, or as one JSON list.
    pub fn json_lines(self) -> Vec<Value> {
        let text = self.ok().stdout;
        if let Ok(Value::Array(list)) = serde_json::from_str(&text) {
            return list;
        }
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON ({error}): {line}"))
        };
        text.lines().map(parse).collect()
    }
}

/// Runs the binary to its end, with this environment and nothing else.
pub async fn run(arguments: &[&str], environment: &[(String, String)]) -> Output {
    let mut command = Command::new(BINARY);
    command
        .args(arguments)
        .env_clear()
        .envs(environment.iter().cloned())
        .stdin(Stdio::null());
    let finished = tokio::task::spawn_blocking(move || command.output());
    let output = finished.await.expect("no panic").expect("the binary starts");
    Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// An API key as `key create` prints it.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its public id.
    pub id: String,
    /// The key itself.
    pub key: String,
}

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1
    Http1,
    /// HTTP/2; without TLS, with prior knowledge.
    Http2,
}

/// A gateway in a process of its own; killed when dropped.
pub struct Gateway {
    /// Its folder.
    pub home: Home,
    /// The public listener.
    pub address: SocketAddr,
    /// The listener of metrics and health.
    pub metrics: SocketAddr,
    /// What clients of the public listener speak TLS with; plain HTTP without it.
    pub tls: Option<Arc<ClientConfig>>,
    /// What clients speak that do not open connections of their own.
    pub protocol: Protocol,
    environment: Vec<(String, String)>,
    launch: Launch,
    child: Child,
}

/// How the binary is started.
#[derive(Clone, Debug)]
pub enum Launch {
    /// The gateway itself, so that its process is the one that is killed and measured.
    Alone,
    /// Under its supervisor, which is then the process of the test.
    Supervised,
    /// By a shell command that finds the binary in `$0` and the configuration in `$1`, with this
    /// socket as its standard input.
    Shell(&'static str, Arc<TcpListener>),
}

impl Gateway {
    /// Starts the binary on the configuration in this folder and waits until it says that it is ready.
    pub async fn start(home: Home, environment: Vec<(String, String)>) -> Self {
        Self::launch(Launch::Alone, home, environment).await
    }

    /// The same, started in this way.
    pub async fn launch(launch: Launch, home: Home, environment: Vec<(String, String)>) -> Self {
        let child = spawn(&launch, &home, &environment);
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut gateway = Self {
            home,
            address: nowhere,
            metrics: nowhere,
            tls: None,
            protocol: Protocol::Http1,
            environment,
            launch,
            child,
        };
        gateway.become_ready().await;
        gateway
    }

    async fn become_ready(&mut self) {
        let started = until("the gateway to print its addresses", async || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the gateway ended at start: {status}\n{}", self.log());
            }
            let stdout = self.home.read("stdout.log");
            Some((
                printed(&stdout, "listening on ")?,
                printed(&stdout, "metrics on ")?,
            ))
        });
        (self.address, self.metrics) = started.await;
        until("/readyz", async || {
            (self.health("/readyz").await?.status == 200).then_some(())
        })
        .await;
    }

    async fn health(&self, path: &str) -> Option<Answer> {
        let mut connection = Connection::open(self.metrics).await;
        let call = Call::new("GET", path);
        connection.send(&call.head_bytes()).await;
        connection.answer("GET").await
    }

    /// The value of a metric, as `/metrics` spells it with its labels; `None` where it is not there.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let text = self.health("/metrics").await?.text();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        line.parse().ok()
    }

    /// Sends its process a signal by name, as in `HUP`.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "the gateway was gone before it got the signal"
        );
    }

    /// Waits until it says again where it listens, and takes the new addresses over.
    pub async fn reborn(&mut self) {
        let old = self.metrics;
        (self.address, self.metrics) = until("the gateway to print new addresses", async || {
            let stdout = self.home.read("stdout.log");
            let metrics = printed_last(&stdout, "metrics on ")?;
            (metrics != old).then_some((printed_last(&stdout, "listening on ")?, metrics))
        })
        .await;
        until("/readyz", async || {
            (self.health("/readyz").await?.status == 200).then_some(())
        })
        .await;
    }

    /// The ids of the processes that this one started.
    pub fn children(&self) -> Vec<u32> {
        let id = self.child.id();
        let listed = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let listed = listed.unwrap_or_default();
        listed
            .split_whitespace()
            .map(|id| id.parse().expect("an id"))
            .collect()
    }

    /// The status of `/readyz`.
    pub async fn readiness(&self) -> u16 {
        self.health("/readyz")
            .await
            .expect("the metrics listener answers")
            .status
    }

    /// The id of its process.
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Both logs.
    pub fn log(&self) -> String {
        self.home.read("stdout.log") + &self.home.read("stderr.log")
    }

    /// The arguments that name the configuration, then these.
    fn arguments<'a>(config: &'a str, verbs: &[&'a str]) -> Vec<&'a str> {
        [&["--config", config], verbs].concat()
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.home.join("tollgate.toml")
    }

    /// Writes the address that was found free into the configuration, so that a restart keeps it.
    pub fn keep_address(&self) {
        let free = "listen = [\"127.0.0.1:0\"]";
        let text = self.home.read("tollgate.toml");
        assert!(text.contains(free), "another listener than the tests' usual one");
        let kept = text.replace(free, &format!("listen = [\"{}\"]", self.address));
        self.home.write("tollgate.toml", &kept);
    }

    /// Runs a verb of the command line against this gateway.
    pub async fn cli(&self, verbs: &[&str]) -> Output {
        let config = self.config();
        let config = config.to_str().expect("the home has a plain name");
        run(&Self::arguments(config, verbs), &self.environment).await
    }

    /// Creates a user of tenant `acme` in a role, with a key.
    pub async fn user(&self, name: &str, role: &str) -> Key {
        self.cli(&["user", "create", "--tenant", "acme", name, "--role", role])
            .await
            .ok();
        self.key_of(name).await
    }

    /// Creates a key for a user who is there.
    pub async fn key_of(&self, name: &str) -> Key {
        let created = self
            .cli(&["key", "create", "--tenant", "acme", name, "--json"])
            .await
            .json();
        let text = |field: &str| {
            created[field]
                .as_str()
                .expect("key create prints id and key")
                .to_owned()
        };
        Key {
            id: text("id"),
            key: text("key"),
        }
    }

    /// The key of an ordinary user.
    pub async fn any_key(&self) -> String {
        self.user("ada@acme.test", "user").await.key
    }

    /// Issues a token for a user who is there.
    pub async fn token_of(&self, name: &str, ttl: &str) -> String {
        let issued = self
            .cli(&["token", "issue", "--tenant", "acme", name, "--ttl", ttl, "--json"])
            .await
            .json();
        issued["token"]
            .as_str()
            .expect("token issue prints a token")
            .to_owned()
    }

    /// A connection to the public listener.
    pub async fn connect(&self) -> Connection {
        match &self.tls {
            None => Connection::open(self.address).await,
            Some(_) => self.try_connect().await.expect("the handshake succeeds"),
        }
    }

    /// A TLS connection to the public listener, where the handshake may fail.
    ///
    /// # Errors
    /// The handshake failed.
    pub async fn try_connect(&self) -> io::Result<Connection> {
        let config = self.tls.clone().expect("the test gave a TLS configuration");
        Connection::open_tls(self.address, config).await
    }

    /// An HTTP/2 connection to the public listener.
    pub async fn connect_http2(&self) -> H2Connection {
        let begun = self.connect().await.http2().await;
        begun.unwrap_or_else(|error| panic!("no HTTP/2 here: {error}"))
    }

    /// One request on a connection of its own.
    pub async fn call(&self, call: &Call) -> Answer {
        match self.protocol {
            Protocol::Http1 => self.connect().await.call(call).await,
            Protocol::Http2 => self.connect_http2().await.call(call).await,
        }
    }

    /// One request whose answer is read as it arrives.
    pub async fn stream(&self, call: &Call) -> Stream {
        match self.protocol {
            Protocol::Http1 => self.connect().await.open_stream(call).await,
            Protocol::Http2 => {
                let opened = self.connect_http2().await.open(call).await;
                let (head, body) = opened.unwrap_or_else(|error| panic!("no answer: {error}"));
                Stream::over_http2(head, body)
            }
        }
    }

    /// Kills the process without a word (SIGKILL) and waits for its end.
    pub fn kill(&mut self) {
        self.child.kill().expect("the gateway is our child");
        self.child.wait().expect("the gateway is our child");
    }

    /// Asks the process to end (SIGTERM).
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Waits until the process has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        until("the gateway to end", async || {
            self.child.try_wait().expect("the gateway is our child")
        })
        .await
    }

    /// Starts the binary again on the same folder, after it ended.
    pub async fn restart(&mut self) {
        self.child = spawn(&self.launch, &self.home, &self.environment);
        self.become_ready().await;
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            println!(
                "--- the gateway's last words\n{}",
                lines[lines.len().saturating_sub(40)..].join("\n")
            );
        }
    }
}

fn spawn(launch: &Launch, home: &Home, environment: &[(String, String)]) -> Child {
    // The first life's addresses must not be taken for the second's.
    let log = |name: &str| {
        let path = home.join(name);
        if path.exists() {
            std::fs::rename(&path, home.join(&format!("earlier-{name}"))).expect("the home is writable");
        }
        File::create(path).expect("the home is writable")
    };
    let config = home.join("tollgate.toml");
    let mut command = match launch {
        Launch::Shell(script, _) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", script, BINARY]).arg(config);
            shell
        }
        Launch::Alone | Launch::Supervised => {
            let verb = if matches!(launch, Launch::Alone) {
                "gateway"
            } else {
                "serve"
            };
            let mut binary = Command::new(BINARY);
            binary.arg(verb).arg("--config").arg(config);
            binary
        }
    };
    let input = match launch {
        Launch::Shell(_, socket) => Stdio::from(OwnedFd::from(socket.try_clone().expect("a socket of ours"))),
        Launch::Alone | Launch::Supervised => Stdio::null(),
    };
    command
        .env_clear()
        .envs(environment.iter().cloned())
        .stdin(input)
        .stdout(log("stdout.log"))
        .stderr(log("stderr.log"));
    command.spawn().expect("the binary starts")
}

fn printed_last(stdout: &str, prefix: &str) -> Option<SocketAddr> {
    let whole = stdout.rsplit_once('\n')?.0;
    let mut lines = whole.lines().rev();
    lines
        .find_map(|line| line.strip_prefix(prefix))?
        .trim()
        .parse()
        .ok()
}

fn printed(stdout: &str, prefix: &str) -> Option<SocketAddr> {
    // A line that is still being written has no end yet.
    let whole = stdout.rsplit_once('\n')?.0;
    whole
        .lines()
        .find_map(|line| line.strip_prefix(prefix))?
        .trim()
        .parse()
        .ok()
}
