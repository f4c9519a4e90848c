//! The table of upstreams that everything is tried over, each played by a simulation of its own, and one
//! gateway above all of them.

use serde_json::{Value, json};

use crate::support::gateway::Gateway;
use crate::support::setup::{MODEL, Setup, UPSTREAM_KEY};
use crate::support::upstream::{Received, Script, Upstream};
use crate::support::{anthropic_sim, bedrock_sim, cloud_sims, converse_sim, gemini_sim, openai_sim};

/// An upstream of one kind, as an operator configures it, and who plays it.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// What the upstream is called here and in the ledger.
    pub name: &'static str,
    provider: &'static str,
    /// The path of its endpoint.
    base: &'static str,
    /// Further keys of its table.
    keys: &'static str,
    /// What the models of [`Column::model`] are called there.
    served: &'static str,
    plays: fn(&Received) -> Script,
    /// The wire format that the ledger names.
    pub dialect: &'static str,
    /// What its model says by default.
    pub text: &'static str,
    /// The header that carries our credential there, and what it holds.
    pub credential: (&'static str, &'static str),
    /// What of the suite it cannot be asked for, and why.
    pub lacks: &'static [(&'static str, &'static str)],
}

const NO_EMBEDDINGS: (&str, &str) = ("embeddings", "the vendor serves none here: 501");
const NO_COUNTER: (&str, &str) = (
    "counting",
    "there is no counter to ask: the gateway estimates, and says so",
);
const NO_RETRY_AFTER: (&str, &str) = ("retry-after", "Bedrock does not say when to come back");
const NO_THINKING: (&str, &str) = ("thinking", "OpenAI shows no thinking in chat completions");
const SEALED: (&str, &str) = (
    "signatures",
    "signatures of other vendors: what clients get is sealed by the gateway",
);
const BYTES: (&str, &str) = (
    "translation",
    "the Responses API passes byte for byte, so that what breaks there is shown as it is",
);

/// Every kind of upstream.
pub const COLUMNS: [Column; 10] = [
    Column {
        name: "anthropic",
        provider: "anthropic",
        base: "",
        keys: "",
        served: "claude-sonnet-4-6",
        plays: anthropic_sim::respond,
        dialect: "anthropic_messages",
        text: anthropic_sim::TEXT,
        credential: ("x-api-key", UPSTREAM_KEY),
        lacks: &[NO_EMBEDDINGS],
    },
    Column {
        name: "openai",
        provider: "openai",
        base: "/v1",
        keys: "",
        served: "gpt-5.6",
        plays: openai_sim::respond,
        dialect: "openai_chat",
        text: openai_sim::TEXT,
        credential: ("authorization", BEARER),
        lacks: &[NO_COUNTER, NO_THINKING, BYTES],
    },
    Column {
        name: "chat",
        provider: "openai-compatible",
        base: "/v1",
        keys: "",
        served: "claude-sonnet-4-6",
        plays: openai_sim::respond,
        dialect: "openai_chat",
        text: openai_sim::TEXT,
        credential: ("authorization", BEARER),
        lacks: &[NO_COUNTER, NO_THINKING],
    },
    Column {
        name: "gemini",
        provider: "gemini",
        base: "/v1beta",
        keys: "",
        served: "gemini-3.1-pro-preview",
        plays: gemini_sim::respond,
        dialect: "gemini",
        text: gemini_sim::TEXT,
        credential: ("x-goog-api-key", UPSTREAM_KEY),
        lacks: &[NO_EMBEDDINGS, SEALED],
    },
    Column {
        name: "bedrock",
        provider: "bedrock",
        base: "",
        keys: "options = { region = \"eu-central-1\", access_key_id = \"AKIDEXAMPLE\" }\n",
        served: "eu.anthropic.claude-sonnet-4-6-v1:0",
        plays: bedrock_sim::respond,
        dialect: "anthropic_messages",
        text: anthropic_sim::TEXT,
        // The simulation itself verifies the signature.
        credential: ("authorization", "AWS4-HMAC-SHA256 "),
        lacks: &[NO_EMBEDDINGS, NO_RETRY_AFTER],
    },
    Column {
        name: "converse",
        provider: "bedrock",
        base: "",
        keys: "options = { region = \"eu-central-1\", access_key_id = \"AKIDEXAMPLE\" }\n",
        served: "us.amazon.nova-2-lite-v1:0",
        plays: bedrock_sim::respond,
        dialect: "converse",
        text: converse_sim::TEXT,
        credential: ("authorization", "AWS4-HMAC-SHA256 "),
        lacks: &[NO_EMBEDDINGS, NO_COUNTER, SEALED, NO_RETRY_AFTER],
    },
    Column {
        name: "vertex",
        provider: "vertex",
        base: "/v1",
        keys: "options = { project = \"proj\", location = \"us-east5\" }\n",
        served: "claude-sonnet-4-6@20260217",
        plays: cloud_sims::vertex,
        dialect: "anthropic_messages",
        text: anthropic_sim::TEXT,
        credential: ("authorization", BEARER),
        lacks: &[NO_EMBEDDINGS],
    },
    Column {
        name: "vertex-gemini",
        provider: "vertex-gemini",
        base: "/v1",
        keys: "options = { project = \"proj\", location = \"us-east5\" }\n",
        served: "gemini-3.1-pro-preview",
        plays: cloud_sims::vertex_gemini,
        dialect: "gemini",
        text: gemini_sim::TEXT,
        credential: ("authorization", BEARER),
        lacks: &[NO_EMBEDDINGS, SEALED],
    },
    Column {
        name: "foundry",
        provider: "foundry",
        base: "/anthropic",
        keys: "",
        served: "claude-sonnet-4-6",
        plays: cloud_sims::foundry,
        dialect: "anthropic_messages",
        text: anthropic_sim::TEXT,
        credential: ("x-api-key", UPSTREAM_KEY),
        lacks: &[NO_EMBEDDINGS],
    },
    Column {
        name: "azure",
        provider: "azure-openai",
        base: "/openai/v1",
        keys: "",
        served: "gpt-5.6",
        plays: cloud_sims::azure,
        dialect: "openai_chat",
        text: openai_sim::TEXT,
        credential: ("api-key", UPSTREAM_KEY),
        lacks: &[NO_COUNTER, NO_THINKING, BYTES],
    },
];

const BEARER: &str = "Bearer sk-upstream-canary-7f3a9c";

impl Column {
    /// The model that clients ask for to reach this upstream.
    pub fn model(&self) -> String {
        format!("{MODEL}-{}", self.name)
    }

    /// Whether it can be asked for this.
    pub fn has(&self, what: &str) -> bool {
        !self.lacks.iter().any(|(lack, _)| *lack == what)
    }

    /// What a client's script is told of it.
    pub fn told(&self) -> Value {
        let lacks: Vec<&str> = self.lacks.iter().map(|(lack, _)| *lack).collect();
        json!({"name": self.name, "model": self.model(), "text": self.text, "lacks": lacks})
    }
}

/// A gateway above every kind of upstream.
pub struct Table {
    /// The gateway; each upstream serves one model, [`Column::model`], and no other.
    pub gateway: Gateway,
    /// A key of its user.
    pub key: String,
    upstreams: Vec<Upstream>,
}

impl Table {
    /// Starts all of it. `claude-opus-4-8` is withheld from users.
    pub async fn start(change: impl FnOnce(Setup) -> Setup) -> Self {
        let withheld = r#"@id("opus-is-for-services") forbid (principal in Role::"user", action == Action::"invoke",
            resource == Model::"claude-opus-4-8");"#;
        let mut upstreams = Vec::new();
        // A simulated 429 asks for a second of rest, which would meet what is asked after it.
        let mut setup = Setup::new().set("resilience", "rest_max", "\"1ms\"");
        for column in &COLUMNS {
            let upstream = Upstream::start(column.plays).await;
            let Column {
                name,
                provider,
                base,
                keys,
                served,
                ..
            } = column;
            setup = setup
                .table(&format!(
                    "[[upstream]]\nname = \"{name}\"\nprovider = \"{provider}\"\nendpoint = \"{}{base}\"\n\
                     api_key_secret = \"upstream_key\"\n{keys}",
                    upstream.url()
                ))
                .model(&column.model())
                .route(&column.model(), &[name], Some(served));
            upstreams.push(upstream);
        }
        let setup = setup
            .model("claude-opus-4-8")
            .route("claude-opus-*", &["anthropic"], None)
            .policy(withheld);
        let gateway = change(setup).start().await;
        let key = gateway.any_key().await;
        Self {
            gateway,
            key,
            upstreams,
        }
    }

    /// The upstreams with their columns.
    pub fn columns(&self) -> impl Iterator<Item = (&'static Column, &Upstream)> {
        COLUMNS.iter().zip(&self.upstreams)
    }

    /// The upstream of a column.
    pub fn upstream(&self, column: &Column) -> &Upstream {
        let mut columns = self.columns();
        let found = columns.find(|(other, _)| other.name == column.name);
        found.expect("every column is played").1
    }

    /// How many requests reached any upstream.
    pub fn count(&self) -> usize {
        self.upstreams.iter().map(Upstream::count).sum()
    }
}
