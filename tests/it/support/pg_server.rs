//! A PostgreSQL server of one test's own: to be killed, started again, starved and made read-only.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::postgres::{Database, printed};
use crate::support::wait::until;

/// The database that every server has.
const DATABASE: &str = "postgres";

/// A server in processes of its own; killed and removed when dropped.
pub struct PgServer {
    folder: PathBuf,
    address: SocketAddr,
    arguments: Vec<String>,
    child: Child,
}

impl PgServer {
    /// A new, empty server with these settings (`-c name=value`).
    pub async fn start(settings: &[&str]) -> Self {
        Self::with_files(&[], settings).await
    }

    /// The same, with these files in its folder.
    pub async fn with_files(files: &[(&str, &str)], settings: &[&str]) -> Self {
        let folder = PathBuf::from(printed(&["new"]));
        for (name, text) in files {
            put(&folder.join(name), text);
        }
        let arguments: Vec<String> = settings.iter().map(|setting| format!("-c{setting}")).collect();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let child = serve(&folder, address, &arguments);
        let mut server = Self {
            folder,
            address,
            arguments,
            child,
        };
        server.become_ready().await;
        server
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its database, reached through the socket in its folder.
    pub fn database(&self) -> Database {
        Database::of_server(self.folder.clone(), self.address.port(), DATABASE)
    }

    /// What `store.url` says to reach it at an address: its own, or that of a proxy before it.
    pub fn url_at(address: SocketAddr) -> String {
        format!("postgres://tollgate@{address}/{DATABASE}")
    }

    /// What `psql` prints for a statement.
    pub fn psql(&self, sql: &str) -> String {
        self.database().psql(sql)
    }

    /// Kills all of its processes without a word (SIGKILL).
    pub fn kill(&mut self) {
        self.signal_all("KILL");
        self.child.wait().expect("the server is our child");
    }

    /// Stops all of its processes where they are (SIGSTOP): connections stay open, and nobody answers.
    pub fn fall_silent(&self) {
        self.signal_all("STOP");
    }

    /// Lets them go on.
    pub fn speak_again(&self) {
        self.signal_all("CONT");
    }

    fn signal_all(&self, name: &str) {
        let mut all = children(self.child.id());
        all.insert(0, self.child.id());
        for process in all {
            signal(process, name);
        }
    }

    /// Starts it again, on the data and at the address that it had.
    pub async fn restart(&mut self) {
        self.child = serve(&self.folder, self.address, &self.arguments);
        self.become_ready().await;
    }

    async fn become_ready(&mut self) {
        until("the PostgreSQL server to take connections", async || {
            if let Ok(Some(_)) = self.child.try_wait() {
                // The memory of the killed one was not given back yet.
                self.child = serve(&self.folder, self.address, &self.arguments);
            }
            let answer = self.database().try_psql("SELECT 1");
            answer.status.success().then_some(())
        })
        .await;
    }
}

impl Drop for PgServer {
    fn drop(&mut self) {
        // A test that failed may have left it stopped.
        self.speak_again();
        signal(self.child.id(), "QUIT");
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn serve(folder: &Path, address: SocketAddr, arguments: &[String]) -> Child {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/postgres/cluster");
    let mut command = Command::new(script);
    command
        .arg("serve")
        .arg(folder)
        .arg(address.port().to_string())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.join("server.log")).expect("the folder is writable"));
    command.spawn().expect("the script is there")
}

/// Writes a file as the user that the server runs as.
fn put(path: &Path, text: &str) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/postgres/cluster");
    let mut command = Command::new(script);
    command.arg("put").arg(path).stdin(Stdio::piped());
    let mut child = command.spawn().expect("the script is there");
    let mut input = child.stdin.take().expect("it is piped");
    input.write_all(text.as_bytes()).expect("the script reads");
    drop(input);
    assert!(
        child.wait().is_ok_and(|status| status.success()),
        "{}",
        path.display()
    );
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("it is bound").port()
}

fn signal(process: u32, name: &str) {
    let kill = format!("kill -{name} {process}");
    drop(
        Command::new("sh")
            .args(["-c", &kill])
            .stderr(Stdio::null())
            .status(),
    );
}

/// The children of a process (proc(5), the fourth field of `stat`).
fn children(parent: u32) -> Vec<u32> {
    let is_child = |process: &u32| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
        fields.split(' ').nth(1) == Some(&parent.to_string())
    };
    let entries = fs::read_dir("/proc").expect("Linux has /proc").flatten();
    let processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    processes.filter(is_child).collect()
}
