//! The role of an EC2 instance, by version 2 of its metadata service.

use async_trait::async_trait;

use crate::egress::platform::{PlatformClient, Question};
use crate::provider::authorize::Unauthorized;
use crate::provider::lending::aws::{Keys, Lender, read};
use crate::provider::lending::{granted, senseless};
use crate::types::secret::Secret;

const PARTY: &str = "the metadata service of AWS";

/// The role of the instance that this process runs on.
#[derive(Debug)]
pub(super) struct InstanceRole(pub(super) PlatformClient);

#[async_trait]
impl Lender for InstanceRole {
    async fn keys(&self) -> Result<Keys, Unauthorized> {
        let told = self.0.ask(&Question::AwsSession).await;
        let fix = "allow the metadata service for this instance, and two hops where the gateway runs in a container";
        let session = text(&granted(PARTY, told, fix)?)?;
        let told = self.0.ask(&Question::AwsRole { session: &session }).await;
        let roles = text(&granted(PARTY, told, "attach a role to this instance")?)?;
        let role = roles.expose().lines().next().unwrap_or_default().to_owned();
        let question = Question::AwsRoleKeys {
            session: &session,
            role: &role,
        };
        let told = self.0.ask(&question).await;
        read(PARTY, &granted(PARTY, told, "attach a role to this instance")?)
    }

    fn endpoints(&self) -> Vec<String> {
        let none = Secret::new(String::new());
        let asked = [
            self.0.address(&Question::AwsSession),
            self.0.address(&Question::AwsRole { session: &none }),
        ];
        asked.into()
    }
}

fn text(body: &Secret<Vec<u8>>) -> Result<Secret<String>, Unauthorized> {
    let text = std::str::from_utf8(body.expose()).map_err(|_| senseless(PARTY))?;
    Ok(Secret::new(text.trim().to_owned()))
}
