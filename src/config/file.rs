//! The configuration file, section by section. Meanings and defaults stand in `conf/default.toml`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use crate::config::credentials::Credentials;
use crate::config::effective::Effective;
use crate::config::mistake::Mistake;
use crate::config::price::Price;
use crate::config::quantity::{ByteSize, Span};
use crate::config::resilience::{BreakerOf, Resilience};
use crate::config::route::Route;
use crate::config::secret_source::SecretSource;
use crate::dialect::openai::profile::ChatDifferences;
use crate::types::destination::Destination;
use crate::types::network::Network;

/// A whole configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// What relative paths are relative to.
    pub folder: PathBuf,
    /// Every key with its value and where that was written.
    pub effective: Effective,
    /// `[server]`
    pub server: Server,
    /// `[metrics]`
    pub metrics: Metrics,
    /// `[store]`
    pub store: Store,
    /// `[ledger]`
    pub ledger: Ledger,
    /// `[vault]`
    pub vault: Vault,
    /// `[identity]`
    pub identity: Identity,
    /// `[policy]`
    pub policy: Policy,
    /// `[prices]`
    pub prices: Prices,
    /// `[secret_rules]`
    pub secret_rules: SecretRules,
    /// `[timeouts]`
    pub timeouts: Timeouts,
    /// `[egress]`
    pub egress: Egress,
    /// `[limits]`
    pub limits: Limits,
    /// `[resilience]`
    pub resilience: Resilience,
    /// `[log]`
    pub log: Log,
    /// `[secrets]`: names and sources.
    pub secrets: BTreeMap<String, SecretSource>,
    /// `[[tenant]]`: made at the start if missing.
    pub tenants: Vec<Tenant>,
    /// `[[upstream]]`
    pub upstreams: Vec<Upstream>,
    /// `[[model]]`
    pub models: Vec<Model>,
    /// `[[route]]`, first match wins.
    pub routes: Vec<Route>,
    /// `[[price]]`, first match wins.
    pub contracts: Vec<Price>,
}

impl Config {
    /// A mistake at the line where this key, or what is below it, is written.
    pub fn mistake(&self, key: &str, message: impl Into<String>) -> Mistake {
        Mistake {
            file: self.file.clone(),
            line: self.effective.line(key).unwrap_or(1),
            message: message.into(),
        }
    }

    /// Every file and folder that this configuration is made from.
    pub fn files(&self) -> Vec<PathBuf> {
        let secrets = self.secrets.values().filter_map(|source| match source {
            SecretSource::File(path) => Some(self.folder.join(path)),
            // Credentials are fixed while the service runs.
            SecretSource::Env(_) | SecretSource::Credential(_) => None,
        });
        let named = [&self.policy.directory, &self.prices.file, &self.secret_rules.file];
        let named = named.into_iter().filter(|path| !path.as_os_str().is_empty());
        let upstreams = self.upstreams.iter();
        let material = upstreams.flat_map(|upstream| [&upstream.ca, &upstream.client_certificate]);
        std::iter::once(self.file.clone())
            .chain(named.cloned())
            .chain(material.flatten().cloned())
            .chain(secrets)
            .collect()
    }
}

/// `[server]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Addresses of the public listener.
    pub listen: Vec<SocketAddr>,
    /// The address that clients use; empty for the first listen address.
    pub public_url: String,
    /// The name of this node on its host.
    pub node: String,
    /// Where the journal, the embedded database, generated keys and `admin.sock` live.
    pub data_dir: PathBuf,
    /// The largest accepted request body.
    pub body_bytes_max: ByteSize,
    /// The sum of all request bodies held at one moment.
    pub buffered_bytes_max: ByteSize,
    /// Requests of clients that are handled at once.
    pub requests_in_flight_max: usize,
    /// Connections of clients that are open at once.
    pub connections_max: usize,
    /// The largest JSON answer that is read.
    pub answer_bytes_max: ByteSize,
    /// TLS on the public listener; plain HTTP where absent.
    pub tls: Option<Tls>,
    /// Whether plain connections may begin with HTTP/2 (prior knowledge, RFC 9113, 3.3).
    pub h2c: bool,
    /// Proxies in front of the gateway whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Whether these proxies begin every connection with a PROXY header of version 2.
    pub proxy_protocol: bool,
}

/// `server.tls`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain in PEM, the leaf first.
    pub certificate: PathBuf,
    /// Its private key in PEM.
    pub key: PathBuf,
    /// The authorities of client certificates in PEM; absent, clients are asked for none.
    pub client_ca: Option<PathBuf>,
    /// Whether clients must present a certificate.
    #[serde(default)]
    pub client_certificate: ClientCertificate,
}

/// Whether clients must present a certificate of `client_ca`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificate {
    /// They may; a certificate of another authority is refused.
    #[default]
    Optional,
    /// They must.
    Required,
}

/// `[metrics]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Address of `/metrics`, `/healthz` and `/readyz`.
    pub listen: SocketAddr,
}

/// `[store]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// `sqlite:PATH` or `postgres://USER@HOST/DATABASE`, never with a password.
    pub url: Spanned<String>,
    /// The name of the password under `[secrets]`; none for servers that want none.
    pub password_secret: Option<Spanned<String>>,
}

/// `[ledger]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// When a record counts as written.
    pub durability: Spanned<Durability>,
    /// The size beyond which new requests are refused.
    pub max_bytes: ByteSize,
    /// How long shipped bodies stay.
    pub keep: Span,
    /// How long a record may be on its way into the store, where `durability` is `store`.
    pub store_timeout: Span,
    /// Acknowledges records before they are on disk: the negative control of crash tests.
    #[cfg(feature = "test-support")]
    #[serde(default)]
    pub acknowledge_early: bool,
}

/// When a record counts as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// On disk.
    Journal,
    /// On disk and in the store.
    Store,
    /// With the operating system.
    Relaxed,
}

/// `[vault]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vault {
    /// Where the key-encryption key lies.
    pub key: SecretSource,
}

/// `[identity]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// How long the identity view may be served without the store.
    pub max_staleness: Span,
}

/// `[policy]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// A folder of `*.cedar` files; empty for the shipped policies.
    pub directory: PathBuf,
}

/// `[prices]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// A price table; empty for the shipped one.
    pub file: PathBuf,
}

/// `[secret_rules]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretRules {
    /// A file of rules beside the shipped ones; empty for none.
    pub file: PathBuf,
    /// Whether the shipped rules apply.
    pub shipped: bool,
    /// Ids of rules that do not apply.
    pub off: Vec<String>,
}

/// `[timeouts]`
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    /// Connecting to an upstream.
    pub connect: Span,
    /// From the request sent to the first byte of the answer.
    pub first_byte: Span,
    /// The longest silence inside an answer.
    pub idle: Span,
    /// A whole exchange.
    pub total: Span,
    /// Receiving a request's body.
    pub body: Span,
    /// The longest wait for the head of a request, that of an idle connection included.
    pub client_idle: Span,
    /// A client that reads nothing.
    pub client_write: Span,
    /// Silence after which a ping goes to the client.
    pub ping: Span,
    /// How long listeners stay open at shutdown after readiness went off; not at all where absent.
    pub drain_delay: Option<Span>,
    /// How long running requests may finish at shutdown.
    pub drain: Span,
}

/// `[egress]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Egress {
    /// The HTTP proxy that connections to upstreams go through; empty for none.
    pub proxy: String,
    /// The name of its credential `USER:PASSWORD` under `[secrets]`.
    pub proxy_credential_secret: Option<Spanned<String>>,
    /// Names and ranges of addresses that are reached without it.
    pub no_proxy: Vec<String>,
}

/// `[limits]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Requests per minute and session.
    pub requests_per_minute: u32,
    /// Factors by role; the best role of a principal counts.
    pub role_multiplier: BTreeMap<String, f64>,
}

/// `[log]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// A level or a filter.
    pub filter: String,
    /// How lines look.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[[tenant]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// The tenant's name.
    pub name: String,
    /// Where its data belongs, in the operator's own words; routes may ask for it.
    pub region: Option<String>,
}

/// `[[upstream]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// The name that routes use.
    pub name: Spanned<String>,
    /// What kind of upstream it is; decides dialect and credential scheme.
    pub provider: Spanned<String>,
    /// Base URL, `http://` or `https://`; the provider's public one where absent.
    pub endpoint: Option<Destination>,
    /// What the provider must know besides, by the names that it declares.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// The name of its credential under `[secrets]`; none for upstreams that want none.
    pub api_key_secret: Option<Spanned<String>>,
    /// On what grounds a cloud lends its credential; the key itself is sent where absent.
    pub credentials: Option<Spanned<Credentials>>,
    /// Whether it gets `traceparent` and `tracestate`; not, where absent.
    pub trace_context: Option<bool>,
    /// Requests at it at once; as in `[resilience]` where absent.
    pub max_concurrent: Option<u32>,
    /// Requests that wait for a place at it; as in `[resilience]` where absent.
    pub queue: Option<u32>,
    /// How long a place is waited for; as in `[resilience]` where absent.
    pub queue_timeout: Option<Span>,
    /// What differs from `[resilience.breaker]`.
    #[serde(default)]
    pub breaker: BreakerOf,
    /// Which HTTP it is spoken to in.
    #[serde(default)]
    pub http2: Http2,
    /// The authorities that vouch for it, in PEM; the system's where absent.
    pub ca: Option<PathBuf>,
    /// Our certificate towards it, in PEM, for upstreams that want one.
    pub client_certificate: Option<PathBuf>,
    /// The name of that certificate's key (PEM) under `[secrets]`.
    pub client_key_secret: Option<Spanned<String>>,
    /// What differs from the provider's usual chat-completions dialect.
    #[serde(default)]
    pub chat: ChatDifferences,
}

/// Which HTTP an upstream is spoken to in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Http2 {
    /// HTTP/2 where TLS negotiates it.
    #[default]
    Auto,
    /// HTTP/1.1.
    Never,
    /// HTTP/2, without TLS by prior knowledge.
    Only,
}

/// `[[model]]`: what `/v1/models` lists.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The name that clients ask for.
    pub id: Spanned<String>,
    /// The name that people see; the id where absent.
    pub display_name: Option<String>,
    /// One sentence for model pickers.
    pub description: Option<String>,
    /// RFC 3339; 1970 where absent.
    pub created_at: Option<String>,
    /// The context window in tokens.
    pub max_input_tokens: Option<u64>,
    /// The largest answer in tokens.
    pub max_tokens: Option<u64>,
    /// Whether a context of one million tokens may be asked for.
    pub supports_1m: Option<bool>,
    /// `opus`, `sonnet`, `haiku` …: how Claude Desktop groups models.
    pub anthropic_family_tier: Option<String>,
    /// Whether it is the default of its family.
    pub is_family_default: Option<bool>,
}
