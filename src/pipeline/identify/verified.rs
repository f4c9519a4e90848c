//! Tokens whose signature was verified already: verifying one costs fifty times as much as finding it here.
//!
//! What a token says stays true; whether it is still valid is asked anew each time.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::pipeline::identify::token::Claims;
use crate::types::digest::Sha256;

/// How many tokens one generation remembers; there are two.
pub const GENERATION_MAX: usize = 8_192;

/// The claims of verified tokens by the digest of the whole token, bounded.
///
/// Two generations: when the younger is full it becomes the elder, and the elder is forgotten. What is in use
/// moves back into the younger. Only tokens that we signed get in, so a stranger cannot crowd it.
#[derive(Debug, Default)]
pub struct Verified(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    younger: HashMap<Sha256, Arc<Claims>>,
    elder: HashMap<Sha256, Arc<Claims>>,
}

impl Verified {
    /// The claims of this token, if its signature was verified before.
    pub fn find(&self, token: &Sha256) -> Option<Arc<Claims>> {
        let mut generations = self.0.lock();
        if let Some(claims) = generations.younger.get(token) {
            return Some(Arc::clone(claims));
        }
        let claims = generations.elder.remove(token)?;
        generations.insert(*token, Arc::clone(&claims));
        Some(claims)
    }

    /// Remembers the claims of a token whose signature was verified.
    pub fn remember(&self, token: Sha256, claims: Arc<Claims>) {
        self.0.lock().insert(token, claims);
    }

    /// Forgets one token, which has expired.
    pub fn forget(&self, token: &Sha256) {
        let mut generations = self.0.lock();
        generations.younger.remove(token);
        generations.elder.remove(token);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let generations = self.0.lock();
        generations.younger.len() + generations.elder.len()
    }
}

impl Generations {
    fn insert(&mut self, token: Sha256, claims: Arc<Claims>) {
        if self.younger.len() >= GENERATION_MAX {
            self.elder = std::mem::take(&mut self.younger);
        }
        self.younger.insert(token, claims);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::clock::Timestamp;
    use crate::types::entropy::SystemEntropy;
    use crate::types::ids::{SessionId, SigningKeyId, TenantId, TokenId, UserId};

    #[test]
    fn stays_bounded_and_keeps_what_is_in_use() {
        let (now, entropy) = (Timestamp::from_unix_micros(0), SystemEntropy::new());
        let claims = Arc::new(Claims {
            signer: SigningKeyId::generate(now, &entropy),
            id: TokenId::generate(now, &entropy),
            user: UserId::generate(now, &entropy),
            tenant: TenantId::generate(now, &entropy),
            session: SessionId::new("s"),
            issued_at: now,
            expires_at: now,
        });
        let verified = Verified::default();
        let digest = |number: usize| Sha256::of(&number.to_le_bytes());
        verified.remember(digest(0), Arc::clone(&claims));
        for number in 1..4 * GENERATION_MAX {
            verified.remember(digest(number), Arc::clone(&claims));
            assert!(verified.find(&digest(0)).is_some(), "in use at {number}");
        }
        assert!(verified.len() <= 2 * GENERATION_MAX);
        assert!(verified.find(&digest(1)).is_none());
        verified.forget(&digest(0));
        assert!(verified.find(&digest(0)).is_none());
    }
}
