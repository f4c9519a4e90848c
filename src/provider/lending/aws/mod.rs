//! Credentials of AWS roles: of a web identity, of a container, of an instance.
//!
//! Who lends is told by the environment, in the order of AWS's own clients: a web identity (EKS service accounts, any
//! OIDC issuer that the role trusts), the agent beside a container (ECS, EKS Pod Identity), the instance.

mod container;
mod instance;
mod web_identity;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;

use crate::egress::platform::Container;
use crate::provider::Misconfigured;
use crate::provider::authorize::{Lease, Unauthorized};
use crate::provider::lending::cache::{Leases, Lent, Source};
use crate::provider::lending::{Environment, Grounds, Lending, no_lender, senseless};
use crate::provider::options::Options;
use crate::types::clock::Timestamp;
use crate::types::day;
use crate::types::secret::Secret;

use container::ContainerRole;
use instance::InstanceRole;
use web_identity::WebIdentity;

/// Temporary keys of a role.
#[derive(Debug)]
pub struct Keys {
    /// The id of the access key.
    pub id: String,
    /// Its secret.
    pub secret: Secret<String>,
    /// The token of the session.
    pub session: Secret<String>,
    /// When they end.
    pub ends: Timestamp,
}

/// Makes what signs from keys.
pub type Sign = Arc<dyn Fn(Keys) -> Arc<dyn Lease> + Send + Sync>;

/// The leases of whichever role this machine has.
///
/// # Errors
/// The environment names a role in a way that makes none.
pub fn leases(lending: &Lending, options: &Options, sign: Sign) -> Result<Leases, Misconfigured> {
    let Grounds::Platform { client, environment } = &lending.grounds else {
        return Err(no_lender(
            "AWS exchanges no keys: write credentials = \"platform\"",
        ));
    };
    let lender: Box<dyn Lender> = if let Some(file) = environment.get("AWS_WEB_IDENTITY_TOKEN_FILE") {
        let services = Arc::clone(&lending.services);
        Box::new(WebIdentity::new(services, environment, file, options)?)
    } else if let Some(at) = container(environment)? {
        Box::new(ContainerRole::new(*client, at, environment))
    } else {
        Box::new(InstanceRole(*client))
    };
    Ok(lending.leases(Signed { lender, sign }))
}

fn container(environment: &Environment) -> Result<Option<Container>, Misconfigured> {
    let relative = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
    let full = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    let (name, found) = match (environment.get(relative), environment.get(full)) {
        (Some(path), _) => (relative, Container::relative(path)),
        (None, Some(uri)) => (full, Container::full(uri)),
        (None, None) => return Ok(None),
    };
    found.map(Some).map_err(|error| {
        Misconfigured(format!(
            "the environment variable {name} is {error}: let the cloud set it, or unset it"
        ))
    })
}

/// Whoever lends keys.
#[async_trait]
trait Lender: fmt::Debug + Send + Sync {
    async fn keys(&self) -> Result<Keys, Unauthorized>;

    fn endpoints(&self) -> Vec<String>;
}

/// Keys that are put to their use as soon as they come.
struct Signed {
    lender: Box<dyn Lender>,
    sign: Sign,
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lender.fmt(f)
    }
}

#[async_trait]
impl Source for Signed {
    async fn fetch(&self) -> Result<Lent, Unauthorized> {
        let keys = self.lender.keys().await?;
        let ends = keys.ends;
        Ok(Lent {
            lease: (self.sign)(keys),
            ends,
        })
    }

    fn endpoints(&self) -> Vec<String> {
        self.lender.endpoints()
    }
}

/// Keys as the agents of containers and the metadata service of instances write them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Written {
    access_key_id: String,
    secret_access_key: String,
    token: String,
    expiration: String,
}

/// Reads keys in JSON.
fn read(party: &str, body: &Secret<Vec<u8>>) -> Result<Keys, Unauthorized> {
    let written: Written = serde_json::from_slice(body.expose()).map_err(|_| senseless(party))?;
    let ends = day::moment(&written.expiration).ok_or_else(|| senseless(party))?;
    Ok(Keys {
        id: written.access_key_id,
        secret: Secret::new(written.secret_access_key),
        session: Secret::new(written.token),
        ends,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_and_what_is_none_is_never_repeated() {
        let body = |text: &str| Secret::new(text.as_bytes().to_vec());
        let keys = read(
            "it",
            &body(
                r#"{"Code":"Success","AccessKeyId":"ASIA1","SecretAccessKey":"s","Token":"t","Expiration":"2026-11-21T12:00:00Z"}"#,
            ),
        )
        .unwrap();
        assert_eq!((keys.id.as_str(), keys.session.expose().as_str()), ("ASIA1", "t"));
        assert_eq!(keys.ends.to_string(), "2026-11-21T12:00:00.000000Z");
        for bad in [
            r#"{"AccessKeyId":"canary"}"#,
            "canary",
            r#"{"AccessKeyId":"canary","SecretAccessKey":"s","Token":"t","Expiration":"canary"}"#,
        ] {
            let error = read("it", &body(bad)).unwrap_err().to_string();
            assert!(!error.contains("canary"), "{error}");
        }
    }
}
