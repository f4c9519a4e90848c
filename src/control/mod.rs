//! The control plane: what is not a governed request.
//!
//! Input: requests of people and programs about the gateway itself. Output: documents, and changes of rows.
//!
//! Invariants: nothing here forwards to an upstream. Every change is recorded before it is made. Public
//! endpoints are listed in [`router`] and nowhere else.
//!
//! - [`jwks`]: the public keys of our tokens.
//! - [`admin`]: changes of identities, by the admin socket.

pub mod admin;
pub mod jwks;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::pipeline::identify::view::IdentityView;
use crate::types::clock::Clock;

/// What the endpoints of the control plane need.
#[derive(Clone)]
pub struct ControlState {
    /// Who may ask, and which keys sign.
    pub view: Arc<IdentityView>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// All public endpoints of the control plane.
pub fn router(state: ControlState) -> Router {
    Router::new()
        .route("/.well-known/jwks.json", get(jwks::publish))
        .with_state(state)
}
