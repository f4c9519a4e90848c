//! An application at Microsoft Entra: client credentials (RFC 6749, 4.4), by secret or by assertion (RFC 7523, 2.2).

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use crate::egress::service::ServiceClient;
use crate::provider::Misconfigured;
use crate::provider::authorize::Unauthorized;
use crate::provider::lending::cache::{Lent, Source};
use crate::provider::lending::{Lending, granted, oauth, token_endpoint, token_in};
use crate::types::clock::Clock;
use crate::types::destination::Destination;
use crate::types::secret::Secret;

const PARTY: &str = "Microsoft Entra";

/// Where applications of the public cloud prove who they are.
const AUTHORITY: &str = "https://login.microsoftonline.com";

/// By what an application proves itself.
#[derive(Debug)]
pub(super) enum Proof {
    /// A secret of its own.
    Secret(Secret<String>),
    /// A token of an issuer that it trusts, in a file that somebody renews.
    File(PathBuf),
}

/// An application, as it is configured.
#[derive(Debug)]
pub(super) struct Application<'a> {
    /// Who issues tokens; the public cloud's where absent.
    pub(super) authority: Option<&'a str>,
    pub(super) tenant: &'a str,
    pub(super) client_id: &'a str,
    /// What tokens are for.
    pub(super) scope: String,
    pub(super) proof: Proof,
}

/// An application and where it gets tokens.
#[derive(Debug)]
pub(super) struct Entra {
    services: Arc<ServiceClient>,
    clock: Arc<dyn Clock>,
    at: Destination,
    client_id: String,
    scope: String,
    proof: Proof,
}

impl Entra {
    pub(super) fn new(lending: &Lending, application: Application<'_>) -> Result<Self, Misconfigured> {
        let authority = application.authority.unwrap_or(AUTHORITY).trim_end_matches('/');
        let at = format!("{authority}/{}/oauth2/v2.0/token", application.tenant);
        Ok(Self {
            services: Arc::clone(&lending.services),
            clock: Arc::clone(&lending.clock),
            at: token_endpoint("authority", &at)?,
            client_id: application.client_id.to_owned(),
            scope: application.scope,
            proof: application.proof,
        })
    }
}

#[async_trait]
impl Source for Entra {
    async fn fetch(&self) -> Result<Lent, Unauthorized> {
        let mut fields = vec![
            ("grant_type", "client_credentials"),
            ("client_id", &self.client_id),
            ("scope", &self.scope),
        ];
        let assertion;
        match &self.proof {
            Proof::Secret(secret) => fields.push(("client_secret", secret.expose())),
            Proof::File(file) => {
                assertion = token_in(file).await?;
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                fields.push(("client_assertion_type", kind));
                fields.push(("client_assertion", assertion.expose()));
            }
        }
        let told = self
            .services
            .ask(&self.at, oauth::form(&self.at, "", &fields))
            .await;
        let fix = match self.proof {
            Proof::Secret(_) => "see that tenant and client_id are right and the secret has not expired",
            Proof::File(_) => {
                "see that the application has a federated credential for this token's issuer and subject"
            }
        };
        let body = granted(PARTY, told, fix)?;
        let (token, ends) = oauth::token(PARTY, &body, self.clock.now())?;
        oauth::lent(PARTY, &token, ends)
    }

    fn endpoints(&self) -> Vec<String> {
        vec![self.at.to_string()]
    }
}
