//! The managed identity of a machine, or of a service on Azure's application platform.

use std::sync::Arc;

use async_trait::async_trait;

use crate::egress::platform::{AppService, PlatformClient, Question};
use crate::provider::authorize::Unauthorized;
use crate::provider::lending::cache::{Lent, Source};
use crate::provider::lending::{granted, oauth};
use crate::types::clock::Clock;

const PARTY: &str = "the identity endpoint of Azure";

/// A managed identity.
#[derive(Debug)]
pub(super) struct Managed {
    pub(super) client: PlatformClient,
    pub(super) clock: Arc<dyn Clock>,
    /// The endpoint of the application platform; none for that of the machine.
    pub(super) app: Option<AppService>,
    /// What tokens are for.
    pub(super) resource: String,
    /// Which identity, where there are several.
    pub(super) client_id: Option<String>,
}

impl Managed {
    fn question(&self) -> Question<'_> {
        let resource = &self.resource;
        let client_id = self.client_id.as_deref();
        match &self.app {
            Some(at) => Question::AzureAppToken {
                at,
                resource,
                client_id,
            },
            None => Question::AzureToken { resource, client_id },
        }
    }
}

#[async_trait]
impl Source for Managed {
    async fn fetch(&self) -> Result<Lent, Unauthorized> {
        let told = self.client.ask(&self.question()).await;
        let fix = "assign a managed identity, and name it by client_id where there are several";
        let body = granted(PARTY, told, fix)?;
        let (token, ends) = oauth::token(PARTY, &body, self.clock.now())?;
        oauth::lent(PARTY, &token, ends)
    }

    fn endpoints(&self) -> Vec<String> {
        vec![self.client.address(&self.question())]
    }
}
