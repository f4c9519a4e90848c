//! `GET /.well-known/jwks.json`: the public keys that our tokens are verified with (RFC 7517, RFC 8037).

use axum::Json;
use axum::extract::State;
use axum::http::HeaderName;
use axum::http::header::CACHE_CONTROL;
use serde::Serialize;

use crate::control::ControlState;
use crate::pipeline::identify::snapshot::Snapshot;
use crate::pipeline::identify::token::PublicKey;
use crate::types::clock::Timestamp;
use crate::types::ids::SigningKeyId;

/// A new key signs from its first moment, so what is cached must be asked for again soon.
const CACHE: &str = "public, max-age=60";

/// A JSON Web Key Set.
#[derive(Debug, Serialize)]
pub struct KeySet {
    keys: Vec<Key>,
}

#[derive(Debug, Serialize)]
struct Key {
    kty: &'static str,
    crv: &'static str,
    #[serde(rename = "use")]
    purpose: &'static str,
    alg: &'static str,
    kid: SigningKeyId,
    x: String,
}

impl KeySet {
    /// The keys that verify tokens at this moment: those in use, and retired ones whose tokens may still be valid.
    pub fn of(snapshot: &Snapshot, now: Timestamp) -> Self {
        let key = |(kid, key): (SigningKeyId, &PublicKey)| Key {
            kty: "OKP",
            crv: "Ed25519",
            purpose: "sig",
            alg: "EdDSA",
            kid,
            x: key.x(),
        };
        Self {
            keys: snapshot.signers(now).into_iter().map(key).collect(),
        }
    }
}

/// Answers with the key set.
pub async fn publish(State(state): State<ControlState>) -> ([(HeaderName, &'static str); 1], Json<KeySet>) {
    let set = KeySet::of(&state.view.snapshot(), state.clock.now());
    ([(CACHE_CONTROL, CACHE)], Json(set))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;
    use crate::control::router;
    use crate::pipeline::identify::signing::SigningKey;
    use crate::pipeline::identify::view::IdentityView;
    use crate::store::fixture::Site;
    use crate::types::clock::{Clock, SystemClock};
    use crate::types::entropy::SystemEntropy;
    use crate::types::secret::Secret;
    use crate::vault::Vault;

    #[tokio::test]
    async fn publishes_the_public_half_and_nothing_of_the_private_one() {
        let site = Site::new();
        let store = Arc::new(site.connect().await);
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy::new()));
        let vault = Vault::new(&Secret::new([9; 32]), entropy.clone()).unwrap();
        let key = SigningKey::newest_or_new(&store, &vault, &*entropy, clock.now())
            .await
            .unwrap();
        let view = IdentityView::load(store, clock.clone(), Duration::from_secs(600)).await;
        let state = ControlState {
            view: Arc::new(view.unwrap()),
            clock,
        };
        let request = Request::get("/.well-known/jwks.json")
            .body(Body::empty())
            .unwrap();
        let response = router(state).oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let set: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let expected = serde_json::json!({"keys": [{
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key.id(),
            "x": URL_SAFE_NO_PAD.encode(key.public_key().unwrap()),
        }]});
        assert_eq!(set, expected);
        // Anyone's library must be able to read it.
        let read: jsonwebtoken::jwk::JwkSet = serde_json::from_slice(&bytes).unwrap();
        assert!(jsonwebtoken::DecodingKey::from_jwk(&read.keys[0]).is_ok());
    }
}
