//! Databases for tests on a private PostgreSQL server; `cluster` beside this file starts and stops it.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// Names the database that suites which know both run on: `sqlite`, or `postgres`.
const STORE: &str = "TOLLGATE_TEST_STORE";

/// Whether suites that know both databases run on PostgreSQL.
pub fn is_chosen() -> bool {
    match std::env::var(STORE).as_deref() {
        Ok("postgres") => true,
        Ok("sqlite") | Err(_) => false,
        Ok(other) => panic!("{STORE} is sqlite or postgres, not {other}"),
    }
}

/// Runs the script beside this file.
pub fn cluster(arguments: &[&str]) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/postgres/cluster");
    let output = Command::new(script).args(arguments).output();
    output.expect("the script is there and may be run")
}

/// What the script printed, where success is a matter of course.
pub fn printed(arguments: &[&str]) -> String {
    let output = cluster(arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// A database of its own; dropped at the end of the test.
#[derive(Debug)]
pub struct Database {
    folder: PathBuf,
    port: String,
    name: String,
    drops: bool,
}

impl Database {
    /// A new, empty database on the server that all tests of a run share.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // The runner of the tests outlives each test, and the server lives as long as the runner.
        let runner = std::os::unix::process::parent_id();
        let folder = PathBuf::from(printed(&["shared", &runner.to_string()]));
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        let database = Self {
            folder,
            port: "5432".to_owned(),
            name,
            drops: true,
        };
        // A killed run of old may have had the same process id.
        database.administer(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", database.name));
        database.administer(&format!("CREATE DATABASE {}", database.name));
        database
    }

    /// A database that a server of the test's own has in this folder.
    pub fn of_server(folder: PathBuf, port: u16, name: &str) -> Self {
        Self {
            folder,
            port: port.to_string(),
            name: name.to_owned(),
            drops: false,
        }
    }

    /// The same database, for one who uses it along with others.
    pub fn shared(&self) -> Self {
        Self {
            folder: self.folder.clone(),
            port: self.port.clone(),
            name: self.name.clone(),
            drops: false,
        }
    }

    /// What `store.url` says.
    pub fn url(&self) -> String {
        format!(
            "postgres:///{}?host={}&port={}&user=tollgate",
            self.name,
            self.folder.display(),
            self.port
        )
    }

    /// What `psql` prints for a statement: no header, one row a line.
    pub fn psql(&self, sql: &str) -> String {
        printed(&self.arguments(&self.name, sql))
    }

    /// The same, where failure is possible.
    pub fn try_psql(&self, sql: &str) -> Output {
        cluster(&self.arguments(&self.name, sql))
    }

    fn administer(&self, sql: &str) {
        printed(&self.arguments("postgres", sql));
    }

    fn arguments<'a>(&'a self, database: &'a str, sql: &'a str) -> [&'a str; 9] {
        let folder = self.folder.to_str().expect("the folder has a plain name");
        [
            "psql", "-h", folder, "-p", &self.port, "-d", database, "-Atc", sql,
        ]
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.drops {
            let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
            // The server may have ended with the run.
            cluster(&self.arguments("postgres", &drop));
        }
    }
}
