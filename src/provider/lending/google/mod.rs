//! Access tokens of Google Cloud: for the machine's own service account, for the key of one, for a federated identity.

mod federation;
mod service_account;

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;

use crate::egress::platform::{PlatformClient, Question};
use crate::provider::authorize::Unauthorized;
use crate::provider::lending::cache::{Leases, Lent, Source};
use crate::provider::lending::{Grounds, Lending, granted, oauth};
use crate::provider::{Misconfigured, Settings};
use crate::types::clock::Clock;

use federation::Federation;
use service_account::ServiceAccount;

/// What tokens are good for.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// The leases of an upstream. What is exchanged is a credential configuration in JSON, as Google's tools write it: the
/// key of a service account, or a federated identity.
///
/// # Errors
/// It is none of both.
pub(super) fn leases(lending: &Lending, settings: &Settings) -> Result<Leases, Misconfigured> {
    if let Grounds::Platform { client, .. } = &lending.grounds {
        return Ok(lending.leases(Metadata {
            client: *client,
            clock: Arc::clone(&lending.clock),
        }));
    }
    let text = settings.key.as_ref().map(|key| key.expose().as_str());
    let text = text.ok_or_else(|| bad("is missing"))?;
    // What serde says of a text may repeat it.
    let kind: Kind = serde_json::from_str(text).map_err(|_| bad("is not such a JSON"))?;
    match kind.name.as_str() {
        "service_account" => Ok(lending.leases(ServiceAccount::read(lending, text)?)),
        "external_account" => Ok(lending.leases(Federation::read(lending, text)?)),
        _ => Err(bad("is of another type")),
    }
}

/// What is wrong with a credential configuration. The text never holds a part of it.
fn bad(what: &str) -> Misconfigured {
    Misconfigured(format!(
        "api_key_secret {what}: name a file with the JSON that Google wrote for a service account's key \
         (\"type\": \"service_account\") or for a federated identity (\"type\": \"external_account\")"
    ))
}

/// What a credential configuration is.
#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    name: String,
}

const PARTY: &str = "the metadata service of Google Cloud";

/// The service account that this machine, pod or service runs as.
#[derive(Debug)]
struct Metadata {
    client: PlatformClient,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Source for Metadata {
    async fn fetch(&self) -> Result<Lent, Unauthorized> {
        let told = self.client.ask(&Question::GoogleToken).await;
        let body = granted(
            PARTY,
            told,
            "attach a service account to this machine or workload",
        )?;
        let (token, ends) = oauth::token(PARTY, &body, self.clock.now())?;
        oauth::lent(PARTY, &token, ends)
    }

    fn endpoints(&self) -> Vec<String> {
        vec![self.client.address(&Question::GoogleToken)]
    }
}
