//! What a test wants configured, written as an operator would write it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::support::gateway::Gateway;
use crate::support::home::Home;
use crate::support::postgres::{self, Database};
use crate::support::tls::Pair;
use crate::support::upstream::Upstream;

/// The credential of the gateway at its upstreams.
pub const UPSTREAM_KEY: &str = "sk-upstream-canary-7f3a9c";

/// The model that most tests ask for.
pub const MODEL: &str = "claude-sonnet-4-6";

/// A configuration in the making.
pub struct Setup {
    home: Home,
    sections: BTreeMap<String, BTreeMap<String, String>>,
    tables: String,
    of_each_upstream: String,
    environment: Vec<(String, String)>,
}

impl Setup {
    /// Everything on loopback with ports of its own, no upstream yet, and a rate limit that no test meets by chance.
    pub fn new() -> Self {
        let setup = Self {
            home: Home::new(),
            sections: BTreeMap::new(),
            tables: "[[tenant]]\nname = \"acme\"\n".to_owned(),
            of_each_upstream: String::new(),
            environment: vec![("UPSTREAM_KEY".to_owned(), UPSTREAM_KEY.to_owned())],
        };
        setup
            .set("server", "listen", "[\"127.0.0.1:0\"]")
            .set("server", "public_url", "\"http://127.0.0.1\"")
            .set("server", "data_dir", "\"data\"")
            .set("metrics", "listen", "\"127.0.0.1:0\"")
            .set("store", "url", "\"sqlite:data/tollgate.db\"")
            .on_chosen_database()
            .set("vault", "key", "\"file:data/vault.key\"")
            .set("secrets", "upstream_key", "\"env:UPSTREAM_KEY\"")
            .set("limits", "requests_per_minute", "1000000")
    }

    /// One Anthropic upstream, named `sim`, for every Claude model.
    pub fn anthropic(upstream: &Upstream) -> Self {
        Self::new()
            .upstream("sim", "anthropic", &upstream.url())
            .model(MODEL)
            .route("claude-*", &["sim"], None)
    }

    /// One OpenAI-compatible upstream, named `sim`, for every Claude model.
    pub fn openai(upstream: &Upstream) -> Self {
        Self::new()
            .upstream("sim", "openai", &format!("{}/v1", upstream.url()))
            .model(MODEL)
            .route("claude-*", &["sim"], None)
    }

    /// The same of a kind that serves chat completions only.
    pub fn compatible(upstream: &Upstream) -> Self {
        Self::new()
            .upstream("sim", "openai-compatible", &format!("{}/v1", upstream.url()))
            .model(MODEL)
            .route("claude-*", &["sim"], None)
    }

    /// One Gemini upstream, named `sim`, for every Claude model; it is asked for one of its own.
    pub fn gemini(upstream: &Upstream) -> Self {
        Self::new()
            .upstream("sim", "gemini", &format!("{}/v1beta", upstream.url()))
            .model(MODEL)
            .route("claude-*", &["sim"], Some("gemini-3-pro"))
    }

    /// The store in a database of PostgreSQL, where `TOLLGATE_TEST_STORE` says so.
    fn on_chosen_database(self) -> Self {
        if postgres::is_chosen() {
            self.postgres(Database::new())
        } else {
            self
        }
    }

    /// The store in this database of PostgreSQL.
    pub fn postgres(mut self, database: Database) -> Self {
        let url = format!("\"{}\"", database.url());
        self.home.database = Some(database);
        self.set("store", "url", &url)
    }

    /// One of several gateways of an installation: with a name of its own, and the key of all.
    pub fn replica(self, name: &str) -> Self {
        self.variable("VAULT_KEY", &"5e".repeat(32))
            .set("server", "node", &format!("\"{name}\""))
            .set("vault", "key", "\"env:VAULT_KEY\"")
    }

    /// Sets one key of a section to a TOML value.
    pub fn set(mut self, section: &str, key: &str, value: &str) -> Self {
        let section = self.sections.entry(section.to_owned()).or_default();
        section.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Puts a file beside the configuration.
    pub fn file(self, name: &str, text: &str) -> Self {
        self.home.write(name, text);
        self
    }

    /// Serves TLS with this certificate; `more` are further keys of `server.tls`.
    pub fn tls(self, pair: &Pair, more: &str) -> Self {
        self.file("tls.crt", &pair.certificate)
            .file("tls.key", &pair.key)
            .set(
                "server",
                "tls",
                &format!("{{ certificate = \"tls.crt\", key = \"tls.key\"{more} }}"),
            )
    }

    /// Adds these keys to every upstream that is added from here on.
    pub fn each_upstream(mut self, keys: &str) -> Self {
        self.of_each_upstream.push_str(keys);
        self
    }

    /// Adds an upstream that is called with [`UPSTREAM_KEY`].
    pub fn upstream(self, name: &str, provider: &str, endpoint: &str) -> Self {
        let more = self.of_each_upstream.clone();
        self.table(&format!(
            "[[upstream]]\nname = \"{name}\"\nprovider = \"{provider}\"\nendpoint = \"{endpoint}\"\n\
             api_key_secret = \"upstream_key\"\n{more}"
        ))
    }

    /// Declares a model.
    pub fn model(self, id: &str) -> Self {
        self.table(&format!(
            "[[model]]\nid = \"{id}\"\ndisplay_name = \"The {id}\"\n"
        ))
    }

    /// Adds a route behind those that are there.
    pub fn route(self, pattern: &str, upstreams: &[&str], alias: Option<&str>) -> Self {
        let alias = alias
            .map(|name| format!("upstream_model = \"{name}\"\n"))
            .unwrap_or_default();
        self.table(&format!(
            "[[route]]\nmodel_pattern = \"{pattern}\"\nupstreams = {upstreams:?}\n{alias}"
        ))
    }

    /// Adds a table as it stands.
    pub fn table(mut self, text: &str) -> Self {
        self.tables.push('\n');
        self.tables.push_str(text);
        self
    }

    /// Adds a Cedar policy to the shipped ones.
    pub fn policy(self, text: &str) -> Self {
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/policies");
        for entry in std::fs::read_dir(shipped)
            .expect("conf/policies is there")
            .flatten()
        {
            let name = format!("policies/{}", entry.file_name().to_string_lossy());
            let body = std::fs::read_to_string(entry.path()).expect("a policy is text");
            self.home.write(&name, &body);
        }
        self.home.write("policies/zz-of-this-test.cedar", text);
        self.set("policy", "directory", "\"policies\"")
    }

    /// The whole path of a file beside the configuration.
    pub fn path(&self, name: &str) -> String {
        self.home.join(name).to_string_lossy().into_owned()
    }

    /// Sets a variable of the binary's environment.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The configuration as text.
    pub fn toml(&self) -> String {
        let mut text = String::new();
        for (section, keys) in &self.sections {
            writeln!(text, "[{section}]").expect("a string takes text");
            for (key, value) in keys {
                writeln!(text, "{key} = {value}").expect("a string takes text");
            }
        }
        text.push_str(&self.tables);
        text
    }

    /// Writes the files and returns the home with what the binary's environment shall hold.
    pub fn write(self) -> (Home, Vec<(String, String)>) {
        self.home.write("tollgate.toml", &self.toml());
        (self.home, self.environment)
    }

    /// Starts the binary and waits until it is ready.
    pub async fn start(self) -> Gateway {
        let (home, environment) = self.write();
        Gateway::start(home, environment).await
    }
}
