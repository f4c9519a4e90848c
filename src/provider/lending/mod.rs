//! Credentials that clouds lend for a while: by what the machine is, or in exchange for another credential.
//!
//! Input: what an upstream's operator chose, the environment of a workload, the answers of token endpoints and metadata
//! services. Output: leases that sign requests. Never: a word of what an endpoint said in an error or a log, a
//! credential that is used after its end, a metadata service without `credentials = "platform"`.
//!
//! - `cache`: what was lent is kept, renewed ahead of its end, and fetched once for all who wait.
//! - `aws`: roles of instances, containers and web identities.

pub mod aws;
pub mod cache;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use http::StatusCode;
use serde::Deserialize;
use tokio::io::AsyncReadExt as _;

use crate::egress::exchange::{NoAnswer, Told};
use crate::egress::platform::PlatformClient;
use crate::egress::service::ServiceClient;
use crate::provider::Misconfigured;
use crate::provider::authorize::Unauthorized;
use crate::types::clock::Clock;
use crate::types::secret::Secret;

/// The largest file of a token that is read, in bytes.
const TOKEN_BYTES_MAX: u64 = 64 * 1024;

/// Whose credentials a provider takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cloud {
    /// Amazon Web Services.
    Aws,
}

impl Cloud {
    /// Its name for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "Amazon Web Services",
        }
    }
}

/// The environment variables by which clouds tell their workloads where credentials are.
pub const VARIABLES: [&str; 7] = [
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
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
async fn token_in(path: &str) -> Result<Secret<String>, Unauthorized> {
    let unreadable = |error: std::io::Error| {
        Unauthorized(format!(
            "the token file {path} cannot be read: {error}; mount it, and let this process read it"
        ))
    };
    let file = tokio::fs::File::open(Path::new(path)).await.map_err(unreadable)?;
    let mut text = Secret::new(String::new());
    let mut bounded = file.take(TOKEN_BYTES_MAX);
    bounded
        .read_to_string(text.expose_mut())
        .await
        .map_err(unreadable)?;
    let token = text.expose().trim();
    if token.is_empty() {
        return Err(Unauthorized(format!("the token file {path} is empty")));
    }
    Ok(Secret::new(token.to_owned()))
}

/// This provider knows nobody who lends on these grounds.
fn no_lender(what: &str) -> Misconfigured {
    Misconfigured(format!("nobody lends credentials here: {what}"))
}
