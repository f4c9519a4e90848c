//! One admin service on a real store, with a ledger that remembers and can be made to fail.

mod commands;
mod over_socket;
mod secrecy;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::json;

use crate::control::admin::answer::Answer;
use crate::control::admin::command::Command;
use crate::control::admin::error::AdminError;
use crate::control::admin::ledger::{AdminEvent, AdminLedger, Phase, RecordError};
use crate::control::admin::service::{AdminService, Parts};
use crate::pipeline::identify::signing::SigningKey;
use crate::pipeline::identify::token::TokenIssuer;
use crate::pipeline::identify::view::IdentityView;
use crate::pipeline::identify::{Authenticator, reason::NotIdentified};
use crate::store::Store;
use crate::store::fixture::Site;
use crate::types::clock::{Clock, SystemClock};
use crate::types::entropy::SystemEntropy;
use crate::types::principal::Principal;
use crate::types::secret::Secret;
use crate::vault::Vault;

const ISSUER: &str = "https://ai.example.com";
const UID: u32 = 4_242;

/// What happens when something is recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Willing,
    /// Nothing can be recorded.
    Broken,
    /// Recording works, but the store is gone right afterwards.
    StoreDies,
}

struct Remembering {
    events: Mutex<Vec<AdminEvent>>,
    mood: Mutex<Mood>,
    store: Arc<Store>,
}

#[async_trait]
impl AdminLedger for Remembering {
    async fn record(&self, event: &AdminEvent) -> Result<(), RecordError> {
        let mood = *self.mood.lock();
        if mood == Mood::Broken {
            return Err(RecordError("the disk is full".into()));
        }
        self.events.lock().push(event.clone());
        if mood == Mood::StoreDies {
            self.store.close().await;
        }
        Ok(())
    }
}

struct House {
    service: Arc<AdminService>,
    ledger: Arc<Remembering>,
    store: Arc<Store>,
    authenticator: Authenticator,
    directory: tempfile::TempDir,
    site: Site,
}

impl House {
    async fn build() -> Self {
        let (directory, site) = (tempfile::tempdir().unwrap(), Site::new());
        let store = Arc::new(site.connect().await);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let entropy = Arc::new(SystemEntropy::new());
        let vault = Vault::new(&Secret::new([9; 32]), entropy.clone()).unwrap();
        let key = SigningKey::newest_or_new(&store, &vault, &*entropy, clock.now())
            .await
            .unwrap();
        let view = IdentityView::load(store.clone(), clock.clone(), Duration::from_secs(600));
        let view = Arc::new(view.await.unwrap());
        let ledger = Arc::new(Remembering {
            events: Mutex::default(),
            mood: Mutex::new(Mood::Willing),
            store: store.clone(),
        });
        let issuer = TokenIssuer::new(ISSUER, key, clock.clone(), entropy.clone());
        let service = Arc::new(AdminService::new(Parts {
            store: store.clone(),
            ledger: ledger.clone(),
            issuer: Some(Arc::new(issuer)),
            view: Some(view.clone()),
            clock: clock.clone(),
            entropy,
        }));
        let authenticator = Authenticator::new(view, ISSUER, clock);
        Self {
            service,
            ledger,
            store,
            authenticator,
            directory,
            site,
        }
    }

    /// A house with tenant `acme` and user `ada@acme.test` in team `research`.
    async fn furnished() -> Self {
        let house = Self::build().await;
        house
            .run(json!({"noun": "tenant", "verb": "create", "name": "acme"}))
            .await
            .unwrap();
        house
            .run(
                json!({"noun": "user", "verb": "create", "user": ada(), "roles": ["user"], "teams": ["research"]}),
            )
            .await
            .unwrap();
        house
    }

    /// Carries out a command as it comes over the wire.
    async fn run(&self, command: serde_json::Value) -> Result<Answer, AdminError> {
        let command: Command = serde_json::from_value(command).unwrap();
        self.service.execute(UID, command).await
    }

    async fn create_key(&self) -> (String, String) {
        let command = json!({"noun": "key", "verb": "create", "user": ada(), "name": "laptop"});
        match self.run(command).await {
            Ok(Answer::KeyCreated { id, key, .. }) => (id.to_string(), key.expose().clone()),
            other => panic!("{other:?}"),
        }
    }

    async fn issue_token(&self) -> (String, String) {
        let command = json!({"noun": "token", "verb": "issue", "user": ada(), "ttl_s": 900});
        match self.run(command).await {
            Ok(Answer::TokenIssued { id, token, .. }) => (id.to_string(), token.expose().clone()),
            other => panic!("{other:?}"),
        }
    }

    async fn identify(&self, credential: &str) -> Result<Principal, NotIdentified> {
        let mut headers = http::HeaderMap::new();
        headers.insert("x-api-key", credential.parse().unwrap());
        self.authenticator.identify(&headers).await
    }

    fn actions(&self) -> Vec<(&'static str, Phase)> {
        let events = self.ledger.events.lock();
        events.iter().map(|event| (event.action, event.phase)).collect()
    }

    fn set(&self, mood: Mood) {
        *self.ledger.mood.lock() = mood;
    }
}

fn ada() -> serde_json::Value {
    json!({"tenant": null, "name": "ada@acme.test"})
}
