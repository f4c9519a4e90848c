//! The role of a container, by the agent beside it: Amazon ECS, EKS Pod Identity, or one on this machine.

use std::path::PathBuf;

use async_trait::async_trait;

use crate::egress::platform::{Container, PlatformClient, Question};
use crate::provider::authorize::Unauthorized;
use crate::provider::lending::aws::{Keys, Lender, read};
use crate::provider::lending::{Environment, granted, token_in};
use crate::types::secret::Secret;

const PARTY: &str = "the agent that lends this container its role";

/// The role of the container that this process runs in.
#[derive(Debug)]
pub(super) struct ContainerRole {
    client: PlatformClient,
    at: Container,
    /// What proves the container to be itself, where the agent wants a proof: a file that is renewed, or a value.
    token_file: Option<PathBuf>,
    token: Option<Secret<String>>,
}

impl ContainerRole {
    pub(super) fn new(client: PlatformClient, at: Container, environment: &Environment) -> Self {
        let variable = |name: &str| environment.get(name).map(str::to_owned);
        Self {
            client,
            at,
            token_file: variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").map(PathBuf::from),
            token: variable("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(Secret::new),
        }
    }
}

#[async_trait]
impl Lender for ContainerRole {
    async fn keys(&self) -> Result<Keys, Unauthorized> {
        let renewed = match &self.token_file {
            Some(path) => Some(token_in(path).await?),
            None => None,
        };
        let question = Question::AwsContainer {
            at: &self.at,
            authorization: renewed.as_ref().or(self.token.as_ref()),
        };
        let told = self.client.ask(&question).await;
        let fix = "give the task a role, or the service account a pod identity association";
        read(PARTY, &granted(PARTY, told, fix)?)
    }

    fn endpoints(&self) -> Vec<String> {
        let question = Question::AwsContainer {
            at: &self.at,
            authorization: None,
        };
        vec![self.client.address(&question)]
    }
}
