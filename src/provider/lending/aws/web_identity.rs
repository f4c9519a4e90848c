//! The role that a web identity may take: `AssumeRoleWithWebIdentity` of the security token service.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use crate::egress::service::ServiceClient;
use crate::provider::Misconfigured;
use crate::provider::authorize::Unauthorized;
use crate::provider::lending::aws::{Keys, Lender};
use crate::provider::lending::{Environment, granted, no_lender, oauth, senseless, token_endpoint, token_in};
use crate::provider::options::Options;
use crate::types::day;
use crate::types::destination::Destination;
use crate::types::secret::Secret;

const PARTY: &str = "the security token service of AWS";

/// The role of a web identity.
#[derive(Debug)]
pub(super) struct WebIdentity {
    services: Arc<ServiceClient>,
    at: Destination,
    token_file: PathBuf,
    role: String,
    session_name: String,
}

impl WebIdentity {
    /// The identity whose token is in this file. The service is that of the upstream's region, unless
    /// `sts_endpoint` names another.
    pub(super) fn new(
        services: Arc<ServiceClient>,
        environment: &Environment,
        token_file: &str,
        options: &Options,
    ) -> Result<Self, Misconfigured> {
        let role = environment.get("AWS_ROLE_ARN").ok_or_else(|| {
            no_lender("AWS_WEB_IDENTITY_TOKEN_FILE is set and AWS_ROLE_ARN is not: set both, or none")
        })?;
        let at = match options.get("sts_endpoint") {
            Some(endpoint) => endpoint.to_owned(),
            None => format!("https://sts.{}.amazonaws.com", options.word("region")?),
        };
        let session_name = environment.get("AWS_ROLE_SESSION_NAME").unwrap_or("tollgate");
        Ok(Self {
            services,
            at: token_endpoint("sts_endpoint", &at)?,
            token_file: token_file.into(),
            role: role.to_owned(),
            session_name: session_name.to_owned(),
        })
    }
}

#[async_trait]
impl Lender for WebIdentity {
    async fn keys(&self) -> Result<Keys, Unauthorized> {
        let token = token_in(&self.token_file).await?;
        let fields = [
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", &self.role),
            ("RoleSessionName", &self.session_name),
            ("WebIdentityToken", token.expose()),
        ];
        let asked = oauth::form(&self.at, "/", &fields);
        let told = self.services.ask(&self.at, asked).await;
        let fix = "see that the role's trust policy names this identity's issuer, subject and audience";
        let body = granted(PARTY, told, fix)?;
        read(&body).ok_or_else(|| senseless(PARTY))
    }

    fn endpoints(&self) -> Vec<String> {
        vec![self.at.to_string()]
    }
}

/// The keys in an answer, which is XML.
fn read(body: &Secret<Vec<u8>>) -> Option<Keys> {
    let text = std::str::from_utf8(body.expose()).ok()?;
    let keys = element(text, "Credentials")?;
    Some(Keys {
        id: element(keys, "AccessKeyId")?.to_owned(),
        secret: Secret::new(element(keys, "SecretAccessKey")?.to_owned()),
        session: Secret::new(element(keys, "SessionToken")?.to_owned()),
        ends: day::moment(element(keys, "Expiration")?)?,
    })
}

/// What stands in the first element of this name. The values that are looked for have no entities: ids, moments and
/// base64.
fn element<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (inner, _) = rest.split_once(&format!("</{name}>"))?;
    Some(inner.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_from_the_services_answer() {
        let answer = "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n\
             <AssumeRoleWithWebIdentityResult><Audience>sts.amazonaws.com</Audience><Credentials>\n\
             <SessionToken> dG9rZW4= </SessionToken><SecretAccessKey>s/+=</SecretAccessKey>\n\
             <Expiration>2026-11-21T12:00:00Z</Expiration><AccessKeyId>ASIA1</AccessKeyId>\n\
             </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";
        let keys = read(&Secret::new(answer.as_bytes().to_vec())).unwrap();
        assert_eq!(
            (
                keys.id.as_str(),
                keys.secret.expose().as_str(),
                keys.session.expose().as_str()
            ),
            ("ASIA1", "s/+=", "dG9rZW4=")
        );
        assert!(read(&Secret::new(b"<Credentials></Credentials>".to_vec())).is_none());
    }
}
