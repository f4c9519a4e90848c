//! The key of a service account: a signed assertion is exchanged for a token (RFC 7523).

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde::Deserialize;
use serde_json::json;

use crate::egress::service::ServiceClient;
use crate::provider::Misconfigured;
use crate::provider::authorize::Unauthorized;
use crate::provider::lending::cache::{Lent, Source};
use crate::provider::lending::google::{SCOPE, bad};
use crate::provider::lending::{Lending, granted, oauth, token_endpoint};
use crate::tls::pem;
use crate::types::clock::{Clock, Timestamp};
use crate::types::destination::Destination;
use crate::types::secret::Secret;

const PARTY: &str = "the token endpoint of the service account";

/// How long an assertion is good, in seconds: as long as Google allows.
const ASSERTION_S: i64 = 3_600;

/// How far the clock of this machine may be ahead, in seconds.
const SKEW_S: i64 = 10;

/// The key of a service account.
pub(super) struct ServiceAccount {
    services: Arc<ServiceClient>,
    clock: Arc<dyn Clock>,
    at: Destination,
    /// The endpoint as it is written, which is whom assertions are for.
    audience: String,
    account: String,
    key_id: String,
    key: RsaKeyPair,
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccount")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

/// The file of a key, as Google writes it.
#[derive(Deserialize)]
struct Written {
    client_email: String,
    private_key_id: String,
    private_key: String,
    token_uri: String,
}

impl ServiceAccount {
    /// The key in this JSON.
    ///
    /// # Errors
    /// It is damaged, or its token endpoint is none.
    pub(super) fn read(lending: &Lending, text: &str) -> Result<Self, Misconfigured> {
        let damaged = || bad("holds a damaged key of a service account");
        let written: Written = serde_json::from_str(text).map_err(|_| damaged())?;
        let pem = Secret::new(written.private_key);
        let der = pem::private_key(pem.expose()).ok_or_else(damaged)?;
        Ok(Self {
            services: Arc::clone(&lending.services),
            clock: Arc::clone(&lending.clock),
            at: token_endpoint("token_uri", &written.token_uri)?,
            audience: written.token_uri,
            account: written.client_email,
            key_id: written.private_key_id,
            key: RsaKeyPair::from_pkcs8(der.expose()).map_err(|_| damaged())?,
        })
    }

    /// What says who we are, signed (RFC 7515).
    fn assertion(&self, now: Timestamp) -> Option<Secret<String>> {
        let issued = now.unix_seconds() - SKEW_S;
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.key_id});
        let claims = json!({
            "iss": self.account,
            "scope": SCOPE,
            "aud": self.audience,
            "iat": issued,
            "exp": issued + ASSERTION_S,
        });
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        let random = SystemRandom::new();
        let made = self
            .key
            .sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature);
        made.ok()?;
        Some(Secret::new(format!(
            "{signed}.{}",
            URL_SAFE_NO_PAD.encode(signature)
        )))
    }
}

#[async_trait]
impl Source for ServiceAccount {
    async fn fetch(&self) -> Result<Lent, Unauthorized> {
        let unsigned =
            || Unauthorized("the key of the service account does not sign: make a new one".to_owned());
        let assertion = self.assertion(self.clock.now()).ok_or_else(unsigned)?;
        let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
        let fields = [("grant_type", grant), ("assertion", assertion.expose().as_str())];
        let told = self
            .services
            .ask(&self.at, oauth::form(&self.at, "", &fields))
            .await;
        let fix = "see that the key is not revoked, and that the clock of this machine is right";
        let body = granted(PARTY, told, fix)?;
        let (token, ends) = oauth::token(PARTY, &body, self.clock.now())?;
        oauth::lent(PARTY, &token, ends)
    }

    fn endpoints(&self) -> Vec<String> {
        vec![self.at.to_string()]
    }
}
