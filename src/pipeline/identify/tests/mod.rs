//! One house for all tests: a real store, a clock that stands still until it is told.

mod clients;
mod forgery;
mod view;

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use serde_json::{Value, json};

use super::key::NewKey;
use super::signing::SigningKey;
use super::token::{LEEWAY, TTL_DEFAULT, TTL_MAX, TokenIssuer, TokenSubject};
use super::*;
use crate::store::Store;
use crate::store::fixture::Site;
use crate::store::identity::change::{
    Change, KeyChange, SigningKeyChange, TeamChange, TenantChange, UserChange,
};
use crate::types::entropy::SystemEntropy;
use crate::types::ids::{KeyId, SigningKeyId, TenantId, TokenId, UserId};
use crate::types::principal::Credential;
use crate::types::secret::Secret;
use crate::vault::Vault;

const ISSUER: &str = "https://ai.example.com";
const MAX_STALENESS: Duration = Duration::from_secs(600);

/// A clock that stands still until it is told.
struct Hand(AtomicI64);

impl Hand {
    fn advance(&self, span: Duration) {
        let micros = i64::try_from(span.as_micros()).unwrap();
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_micros(self.0.load(Ordering::SeqCst))
    }
}

/// One tenant, one user, one key, one issuer.
struct House {
    store: Arc<Store>,
    clock: Arc<Hand>,
    view: Arc<IdentityView>,
    authenticator: Authenticator,
    issuer: TokenIssuer,
    signer: SigningKey,
    tenant: TenantId,
    user: UserId,
    key_id: KeyId,
    key: String,
    _site: Site,
}

impl House {
    async fn build() -> Self {
        let site = Site::new();
        let store = Arc::new(site.connect().await);
        let clock = Arc::new(Hand(AtomicI64::new(1_795_262_400_250_000)));
        let entropy = Arc::new(SystemEntropy::new());
        let vault = Vault::new(&Secret::new([9; 32]), entropy.clone()).unwrap();
        let now = clock.now();
        let signer = SigningKey::newest_or_new(&store, &vault, &*entropy, now)
            .await
            .unwrap();
        let again = SigningKey::newest_or_new(&store, &vault, &*entropy, now)
            .await
            .unwrap();
        assert_eq!(
            again.id(),
            signer.id(),
            "the stored key is opened, not drawn anew"
        );
        let (tenant, user) = (
            TenantId::generate(now, &*entropy),
            UserId::generate(now, &*entropy),
        );
        let (key_id, key) = (KeyId::generate(now, &*entropy), NewKey::draw(&*entropy));
        let changes = [
            Change::Tenant(tenant, TenantChange::Create("acme".into())),
            Change::User(user, UserChange::Create(tenant, "ada@acme.test".into())),
            Change::User(user, UserChange::Grant("user".into())),
            Change::Team(tenant, "research".into(), TeamChange::Create),
            Change::Team(tenant, "research".into(), TeamChange::Add(user)),
            Change::Key(key_id, create_key(user, &key, None)),
        ];
        store.change_identity(&changes, now).await.unwrap();
        let view = IdentityView::load(store.clone(), clock.clone(), MAX_STALENESS)
            .await
            .unwrap();
        let view = Arc::new(view);
        Self {
            authenticator: Authenticator::new(view.clone(), ISSUER, clock.clone()),
            issuer: TokenIssuer::new(ISSUER, again, clock.clone(), entropy),
            key: key.text.expose().clone(),
            store,
            clock,
            view,
            signer,
            tenant,
            user,
            key_id,
            _site: site,
        }
    }

    fn subject(&self) -> TokenSubject {
        TokenSubject {
            user: self.user,
            tenant: self.tenant,
            tokens_valid_after: None,
        }
    }

    fn token(&self) -> String {
        let issued = self.issuer.issue(&self.subject(), TTL_DEFAULT).unwrap();
        issued.text.expose().clone()
    }

    async fn identify(&self, headers: &[(&'static str, &str)]) -> Result<Principal, NotIdentified> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        self.authenticator.identify(&map).await
    }

    async fn bearer(&self, credential: &str) -> Result<Principal, NotIdentified> {
        self.identify(&[("authorization", &format!("Bearer {credential}"))])
            .await
    }

    async fn refused(&self, credential: &str) -> Reason {
        match self.bearer(credential).await {
            Err(NotIdentified::Rejected(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    async fn change(&self, change: Change) {
        self.store
            .change_identity(&[change], self.clock.now())
            .await
            .unwrap();
    }

    /// Claims as the issuer would write them, to be falsified.
    fn claims(&self) -> Value {
        let now = self.clock.now().unix_seconds();
        let some_id = TokenId::generate(self.clock.now(), &SystemEntropy::new());
        json!({
            "iss": ISSUER, "aud": "tollgate", "sub": self.user, "tid": self.tenant,
            "sid": "s", "jti": some_id, "iat": now, "exp": now + 900,
        })
    }

    fn header(&self) -> Value {
        json!({"alg": "EdDSA", "typ": "JWT", "kid": self.signer.id()})
    }

    /// A token with this header and these claims, rightly signed by our key.
    fn signed(&self, header: &Value, claims: &Value) -> String {
        let message = message(header, claims);
        let signature = jsonwebtoken::crypto::sign(
            message.as_bytes(),
            self.signer.encoding(),
            jsonwebtoken::Algorithm::EdDSA,
        );
        format!("{message}.{}", signature.unwrap())
    }
}

fn create_key(user: UserId, key: &NewKey, expires_at: Option<Timestamp>) -> KeyChange {
    KeyChange::Create {
        user,
        lookup: key.lookup,
        digest: key.digest,
        name: "laptop".to_owned(),
        expires_at,
    }
}

fn message(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

fn with(mut value: Value, name: &str, field: Value) -> Value {
    value[name] = field;
    value
}

fn without(mut value: Value, name: &str) -> Value {
    value.as_object_mut().unwrap().shift_remove(name);
    value
}
