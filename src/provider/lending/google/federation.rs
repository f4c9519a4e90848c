//! A federated identity: the token of another issuer is exchanged for one of Google's (RFC 8693), and that, where it
//! says so, for one of a service account.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use serde::Deserialize;
use serde_json::json;

use crate::egress::exchange::Asked;
use crate::egress::service::ServiceClient;
use crate::provider::Misconfigured;
use crate::provider::authorize::{Scheme, Unauthorized};
use crate::provider::lending::cache::{Lent, Source};
use crate::provider::lending::google::{SCOPE, bad};
use crate::provider::lending::{Lending, granted, oauth, senseless, token_endpoint, token_in};
use crate::types::clock::{Clock, Timestamp};
use crate::types::day;
use crate::types::destination::Destination;
use crate::types::secret::Secret;

const PARTY: &str = "the security token service of Google";

const ACCOUNTS: &str = "the service account that the federated identity acts as";

/// How long tokens of service accounts are asked for.
const LIFETIME: Duration = Duration::from_secs(3_600);

/// A federated identity whose subject token is in a file.
#[derive(Debug)]
pub(super) struct Federation {
    services: Arc<ServiceClient>,
    clock: Arc<dyn Clock>,
    at: Destination,
    audience: String,
    token_type: String,
    file: PathBuf,
    /// The field of the token, where the file is JSON.
    field: Option<String>,
    /// Where the token of a service account is had.
    account: Option<Destination>,
}

/// A credential configuration, as Google's tools write it. Other sources than files are none to us.
#[derive(Deserialize)]
struct Written {
    audience: String,
    subject_token_type: String,
    token_url: String,
    credential_source: WrittenSource,
    service_account_impersonation_url: Option<String>,
}

#[derive(Deserialize)]
struct WrittenSource {
    file: PathBuf,
    format: Option<WrittenFormat>,
}

#[derive(Deserialize)]
struct WrittenFormat {
    #[serde(rename = "type")]
    name: String,
    subject_token_field_name: Option<String>,
}

impl Federation {
    /// The identity in this JSON.
    ///
    /// # Errors
    /// Its subject token comes from elsewhere than a file, or an endpoint is none.
    pub(super) fn read(lending: &Lending, text: &str) -> Result<Self, Misconfigured> {
        let no_file = || {
            bad("names no file with a subject token (credential_source.file; other sources are not served)")
        };
        let written: Written = serde_json::from_str(text).map_err(|_| no_file())?;
        let field = match written.credential_source.format {
            Some(format) if format.name == "json" => {
                Some(format.subject_token_field_name.ok_or_else(no_file)?)
            }
            _ => None,
        };
        let account = written.service_account_impersonation_url;
        let account = account.map(|url| token_endpoint("service_account_impersonation_url", &url));
        Ok(Self {
            services: Arc::clone(&lending.services),
            clock: Arc::clone(&lending.clock),
            at: token_endpoint("token_url", &written.token_url)?,
            audience: written.audience,
            token_type: written.subject_token_type,
            file: written.credential_source.file,
            field,
            account: account.transpose()?,
        })
    }

    /// The token of the other issuer.
    async fn subject(&self) -> Result<Secret<String>, Unauthorized> {
        let text = token_in(&self.file).await?;
        let Some(field) = &self.field else {
            return Ok(text);
        };
        let read: Option<serde_json::Value> = serde_json::from_str(text.expose()).ok();
        let token = read.as_ref().and_then(|value| value.get(field)?.as_str());
        let file = self.file.display();
        let missing = || {
            Unauthorized(format!(
                "the token file {file} has no text in its field `{field}`"
            ))
        };
        Ok(Secret::new(token.ok_or_else(missing)?.to_owned()))
    }

    /// The token of the service account behind this URL, for the federated one.
    async fn acting(
        &self,
        account: &Destination,
        token: &Secret<String>,
    ) -> Result<(Secret<String>, Timestamp), Unauthorized> {
        let (_, bearer) = Scheme::Bearer.header(token).map_err(|_| senseless(PARTY))?;
        let json_type = HeaderValue::from_static("application/json");
        let body = json!({"scope": [SCOPE], "lifetime": format!("{}s", LIFETIME.as_secs())});
        let asked = Asked {
            method: Method::POST,
            target: account.base_path().to_owned(),
            headers: HeaderMap::from_iter([(CONTENT_TYPE, json_type), (AUTHORIZATION, bearer)]),
            body: Secret::new(body.to_string()),
        };
        let told = self.services.ask(account, asked).await;
        let fix = "grant the identity roles/iam.workloadIdentityUser on it";
        let body = granted(ACCOUNTS, told, fix)?;
        let acted: Acted = serde_json::from_slice(body.expose()).map_err(|_| senseless(ACCOUNTS))?;
        let ends = day::moment(&acted.expire_time).ok_or_else(|| senseless(ACCOUNTS))?;
        Ok((Secret::new(acted.access_token), ends))
    }
}

/// A token of a service account.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Acted {
    access_token: String,
    expire_time: String,
}

#[async_trait]
impl Source for Federation {
    async fn fetch(&self) -> Result<Lent, Unauthorized> {
        let subject = self.subject().await?;
        let fields = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("audience", &self.audience),
            ("scope", SCOPE),
            (
                "requested_token_type",
                "urn:ietf:params:oauth:token-type:access_token",
            ),
            ("subject_token_type", &self.token_type),
            ("subject_token", subject.expose()),
        ];
        let told = self
            .services
            .ask(&self.at, oauth::form(&self.at, "", &fields))
            .await;
        let fix = "see that the workload identity pool trusts this token's issuer, audience and attributes";
        let body = granted(PARTY, told, fix)?;
        let (token, ends) = oauth::token(PARTY, &body, self.clock.now())?;
        let (token, ends) = match &self.account {
            Some(account) => self.acting(account, &token).await?,
            None => (token, ends),
        };
        oauth::lent(PARTY, &token, ends)
    }

    fn endpoints(&self) -> Vec<String> {
        let all = [Some(&self.at), self.account.as_ref()];
        all.into_iter().flatten().map(ToString::to_string).collect()
    }
}
