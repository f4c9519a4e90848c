//! Who asks, from the head of the request alone.
//!
//! Input: request headers. Output: a `Principal`, or [`NotIdentified`] with the reason. A credential is an
//! API key or a token of ours, in `x-api-key` or in `Authorization: Bearer`; two equal ones count as one.
//!
//! Invariants: no verification touches a database; what is verified against is the identity view, which
//! knows its age. "We cannot verify now" never becomes "you are not who you say". Credentials are never
//! stored, logged or echoed. Identity headers of clients are labels and are not read here.
//!
//! - [`credential`]: the one credential that the headers present.
//! - [`key`]: API keys, their form and their scheme.
//! - [`token`]: tokens, their form, issue and scheme; [`signing`]: the keys that sign them.
//! - [`verified`]: tokens whose signature was verified already.
//! - [`snapshot`]: who may ask, at one revision; [`view`]: the newest snapshot and its age.
//! - [`reason`]: why a caller was not identified, and what it is told.

pub mod credential;
pub mod key;
pub mod reason;
pub mod signing;
pub mod snapshot;
pub mod token;
pub mod verified;
pub mod view;

use std::sync::Arc;

use http::HeaderMap;

use crate::pipeline::identify::key::KeyScheme;
use crate::pipeline::identify::reason::{NotIdentified, Reason};
use crate::pipeline::identify::snapshot::Snapshot;
use crate::pipeline::identify::token::TokenScheme;
use crate::pipeline::identify::view::{IdentityView, Sought};
use crate::types::clock::{Clock, Timestamp};
use crate::types::principal::Principal;

/// What a scheme makes of a credential.
#[derive(Debug)]
pub enum Outcome {
    /// The credential is of another scheme.
    NotPresented,
    /// The credential proves this principal.
    Accepted(Principal),
    /// The credential proves nothing.
    Rejected(Reason),
    /// The view does not hold what the credential names. If it still does not after a refresh, this is why.
    NotInView(Reason),
}

/// A kind of credential.
pub trait Scheme: Send + Sync {
    /// Judges the credential against the snapshot, at this moment.
    fn judge(&self, credential: &str, snapshot: &Snapshot, now: Timestamp) -> Outcome;
}

/// Identifies callers.
pub struct Authenticator {
    view: Arc<IdentityView>,
    schemes: Vec<Box<dyn Scheme>>,
    clock: Arc<dyn Clock>,
}

impl Authenticator {
    /// Accepts API keys, and tokens whose issuer is this public URL.
    pub fn new(view: Arc<IdentityView>, issuer: &str, clock: Arc<dyn Clock>) -> Self {
        let schemes: Vec<Box<dyn Scheme>> = vec![Box::new(KeyScheme), Box::new(TokenScheme::new(issuer))];
        Self { view, schemes, clock }
    }

    /// The principal that these headers prove.
    ///
    /// Waits only when the credential names something that the view does not hold.
    pub async fn identify(&self, headers: &HeaderMap) -> Result<Principal, NotIdentified> {
        let credential = credential::presented(headers)
            .map_err(NotIdentified::Rejected)?
            .ok_or(NotIdentified::Missing)?;
        match self.judge(credential) {
            // Seeking is rare and its state large: in a box of its own, no other request carries it.
            Outcome::NotInView(reason) => match Box::pin(self.view.seek(self.clock.now())).await {
                Sought::Refreshed => self.settle(self.judge(credential)),
                Sought::FreshAlready => Err(NotIdentified::Rejected(reason)),
                Sought::Unreachable => Err(NotIdentified::CannotVerify),
            },
            outcome => self.settle(outcome),
        }
    }

    fn judge(&self, credential: &str) -> Outcome {
        let (snapshot, now) = (self.view.snapshot(), self.clock.now());
        self.schemes
            .iter()
            .map(|scheme| scheme.judge(credential, &snapshot, now))
            .find(|outcome| !matches!(outcome, Outcome::NotPresented))
            .unwrap_or(Outcome::Rejected(Reason::Unrecognised))
    }

    /// Turns the outcome into the answer, unless the view is too old to answer from.
    fn settle(&self, outcome: Outcome) -> Result<Principal, NotIdentified> {
        let serves = || self.view.serves(self.clock.now());
        let reason = match outcome {
            Outcome::Accepted(principal) if serves() => return Ok(principal),
            Outcome::Accepted(_) => return Err(NotIdentified::CannotVerify),
            Outcome::NotPresented => Reason::Unrecognised,
            Outcome::Rejected(reason) | Outcome::NotInView(reason) => reason,
        };
        if reason.needs_view() && !serves() {
            return Err(NotIdentified::CannotVerify);
        }
        Err(NotIdentified::Rejected(reason))
    }
}

#[cfg(test)]
mod tests;
