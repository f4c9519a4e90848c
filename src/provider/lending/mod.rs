//! Credentials that clouds lend for a while: by what the machine is, or in exchange for another credential.
//!
//! Input: what an upstream's operator chose, the environment of a workload, the answers of token endpoints and metadata
//! services. Output: leases that sign requests. Never: a word of what an endpoint said in an error or a log, a
//! credential that is used after its end, a metadata service without `credentials = "platform"`.
//!
//! - `cache`: what was lent is kept, renewed ahead of its end, and fetched once for all who wait.
//! - `aws`: roles of instances, containers and web identities. `google`, `azure`: access tokens, which `oauth` reads.

pub mod aws;
mod azure;
pub mod cache;
mod google;
mod oauth;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use http::StatusCode;
use serde::Deserialize;
use tokio::io::AsyncReadExt as _;

use crate::egress::exchange::{NoAnswer, Told};
use crate::egress::platform::PlatformClient;
use crate::egress::service::ServiceClient;
use crate::provider::authorize::{Authorization, Unauthorized};
use crate::provider::declaration::Declaration;
use crate::provider::lending::cache::{Leases, Loans, Source};
use crate::provider::{Misconfigured, Settings};
use crate::types::clock::Clock;
use crate::types::destination::Destination;
use crate::types::digest::Sha256;
use crate::types::secret::Secret;

/// The largest file of a token that is read, in bytes.
const TOKEN_BYTES_MAX: u64 = 64 * 1024;

/// Whose credentials a provider takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cloud {
    /// Amazon Web Services.
    Aws,
    /// Google Cloud.
    Google,
    /// Microsoft Azure.
    Azure,
}

impl Cloud {
    /// Its name for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "Amazon Web Services",
            Self::Google => "Google Cloud",
            Self::Azure => "Microsoft Azure",
        }
    }
}

/// The environment variables by which clouds tell their workloads where credentials are.
pub const VARIABLES: [&str; 13] = [
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_AUTHORITY_HOST",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
];

/// What these variables say, those that are empty left out.
#[derive(Clone, Debug, Default)]
pub struct Environment(Arc<BTreeMap<&'static str, Secret<String>>>);

impl Environment {
    /// The variables that are set, of [`VARIABLES`].
    pub fn new(set: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let set = set.into_iter().filter(|(_, value)| !value.is_empty());
        Self(Arc::new(
            set.map(|(name, value)| (name, Secret::new(value))).collect(),
        ))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.expose().as_str())
    }
}

/// What credentials are borrowed with.
#[derive(Clone, Debug)]
pub struct Lending {
    /// The client of token endpoints.
    pub services: Arc<ServiceClient>,
    /// The time, by which credentials end.
    pub clock: Arc<dyn Clock>,
    /// On what grounds they are lent.
    pub grounds: Grounds,
    /// What was lent already.
    pub loans: Loans,
    /// What stands for all settings by which this credential is lent, secrets included.
    pub settings: Sha256,
}

impl Lending {
    /// The leases from this source, or those that were kept from an earlier configuration with the same settings.
    fn leases(&self, source: impl Source) -> Leases {
        self.loans.of(self.settings, source, &self.clock)
    }
}

/// On what grounds a credential is lent.
#[derive(Clone, Debug)]
pub enum Grounds {
    /// By what this machine is (`credentials = "platform"`).
    Platform {
        /// The client of metadata services.
        client: PlatformClient,
        /// What the workload was told.
        environment: Environment,
    },
    /// In exchange for the upstream's key (`credentials = "exchange"`).
    Exchange,
}

/// How an upstream is authorised by a header: by its key as it is, or by a token that its cloud lends.
///
/// # Errors
/// The key is none that HTTP can carry, or nobody lends on these grounds.
pub fn authorization(declaration: &Declaration, settings: &Settings) -> Result<Authorization, Misconfigured> {
    let Some(lending) = &settings.lending else {
        return Authorization::fixed(declaration.scheme, settings.key.as_ref());
    };
    let leases = match declaration.cloud {
        Some(Cloud::Google) => google::leases(lending, settings)?,
        Some(Cloud::Azure) => azure::leases(lending, settings)?,
        Some(Cloud::Aws) | None => {
            return Err(no_lender("remove credentials, and name a key by api_key_secret"));
        }
    };
    Ok(Authorization::Leased(Box::new(leases)))
}

/// A configured token endpoint. Whoever listens on the way to one has the credential: it speaks TLS, or is on this
/// machine.
fn token_endpoint(named: &str, url: &str) -> Result<Destination, Misconfigured> {
    let at =
        Destination::parse(url).map_err(|error| Misconfigured(format!("`{named}` `{url}` is {error}")))?;
    let is_here = at.host() == "localhost"
        || at
            .host()
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    if at.tls() || is_here {
        Ok(at)
    } else {
        Err(Misconfigured(format!(
            "`{named}` `{url}` is not safe for credentials: use https://"
        )))
    }
}

/// Why a party lent nothing: how it answered, and what to do about it.
fn refused(party: &str, status: StatusCode, fix: &str) -> Unauthorized {
    Unauthorized(format!(
        "{party} lends no credential (status {}): {fix}",
        status.as_u16()
    ))
}

/// The same where it did not answer.
fn unanswered(party: &str, error: &NoAnswer) -> Unauthorized {
    Unauthorized(format!(
        "{party} lends no credential: {error}; see that connections from this machine may go there"
    ))
}

/// The same where its answer makes no sense.
fn senseless(party: &str) -> Unauthorized {
    Unauthorized(format!(
        "{party} lends no credential: its answer has none that can be read; see what answers at its address"
    ))
}

/// The body of a successful answer.
fn granted(party: &str, told: Result<Told, NoAnswer>, fix: &str) -> Result<Secret<Vec<u8>>, Unauthorized> {
    let told = told.map_err(|error| unanswered(party, &error))?;
    if told.status == StatusCode::OK {
        Ok(told.body)
    } else {
        Err(refused(party, told.status, fix))
    }
}

/// The token in a file, which whoever runs the workload renews.
async fn token_in(path: &Path) -> Result<Secret<String>, Unauthorized> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| {
        Unauthorized(format!(
            "the token file {shown} cannot be read: {error}; mount it, and let this process read it"
        ))
    };
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let mut text = Secret::new(String::new());
    let mut bounded = file.take(TOKEN_BYTES_MAX);
    bounded
        .read_to_string(text.expose_mut())
        .await
        .map_err(unreadable)?;
    let token = text.expose().trim();
    if token.is_empty() {
        return Err(Unauthorized(format!("the token file {shown} is empty")));
    }
    Ok(Secret::new(token.to_owned()))
}

/// This provider knows nobody who lends on these grounds.
fn no_lender(what: &str) -> Misconfigured {
    Misconfigured(format!("nobody lends credentials here: {what}"))
}
