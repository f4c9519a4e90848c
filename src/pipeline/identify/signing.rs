//! The keys that sign tokens: drawn here, sealed by the vault, kept in the store.

use std::fmt;

use jsonwebtoken::EncodingKey;
use ring::signature::{Ed25519KeyPair, KeyPair};

use crate::store::identity::change::{Change, SigningKeyChange};
use crate::store::{Store, StoreError};
use crate::types::clock::Timestamp;
use crate::types::entropy::Entropy;
use crate::types::ids::SigningKeyId;
use crate::types::secret::Secret;
use crate::vault::{Sealed, Vault, VaultError};

const SEED_BYTES: usize = 32;

/// What stands before the seed in a PKCS#8 private key of Ed25519 (RFC 8410, section 7).
const PKCS8_HEAD: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// A key that signs tokens.
pub struct SigningKey {
    id: SigningKeyId,
    seed: Secret<[u8; SEED_BYTES]>,
    encoding: EncodingKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.id)
    }
}

/// Why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The store failed.
    #[error("the signing key cannot be read or written")]
    Store(#[from] StoreError),
    /// The vault does not open or seal it.
    #[error("the signing key cannot be opened or sealed")]
    Vault(#[from] VaultError),
    /// What the vault opened is not a key.
    #[error("the signing key is not an Ed25519 key")]
    NotAKey,
}

impl SigningKey {
    /// The newest key in use; draws one if there is none.
    ///
    /// Two replicas that start together on an empty store may both draw one; both keys are then published, and
    /// tokens of either verify everywhere.
    pub async fn newest_or_new(
        store: &Store,
        vault: &Vault,
        entropy: &dyn Entropy,
        now: Timestamp,
    ) -> Result<Self, SigningError> {
        let found = store.newest_signing_key().await?;
        match found {
            Some((id, sealed)) => Self::open(id, &Sealed::from_bytes(sealed), vault),
            None => Self::draw_into(store, vault, entropy, now).await,
        }
    }

    /// Draws a key and keeps it, sealed, in the store.
    pub async fn draw_into(
        store: &Store,
        vault: &Vault,
        entropy: &dyn Entropy,
        now: Timestamp,
    ) -> Result<Self, SigningError> {
        let mut seed = Secret::new([0u8; SEED_BYTES]);
        entropy.fill(seed.expose_mut());
        let key = Self::from_seed(SigningKeyId::generate(now, entropy), seed);
        let create = SigningKeyChange::Create {
            public_key: key.public_key()?,
            sealed_private: vault
                .seal(&context(key.id), key.seed.expose())?
                .as_bytes()
                .to_vec(),
        };
        store
            .change_identity(&[Change::SigningKey(key.id, create)], now)
            .await?;
        Ok(key)
    }

    fn open(id: SigningKeyId, sealed: &Sealed, vault: &Vault) -> Result<Self, SigningError> {
        let opened = vault.open(&context(id), sealed)?;
        let seed = opened
            .expose()
            .as_slice()
            .try_into()
            .map_err(|_| SigningError::NotAKey)?;
        Ok(Self::from_seed(id, Secret::new(seed)))
    }

    fn from_seed(id: SigningKeyId, seed: Secret<[u8; SEED_BYTES]>) -> Self {
        let mut der = Secret::new(PKCS8_HEAD.to_vec());
        der.expose_mut().reserve_exact(SEED_BYTES);
        der.expose_mut().extend_from_slice(seed.expose());
        let encoding = EncodingKey::from_ed_der(der.expose());
        Self { id, seed, encoding }
    }

    /// Its id, the `kid` of what it signs.
    pub const fn id(&self) -> SigningKeyId {
        self.id
    }

    /// Its public half.
    pub fn public_key(&self) -> Result<[u8; 32], SigningError> {
        let pair =
            Ed25519KeyPair::from_seed_unchecked(self.seed.expose()).map_err(|_| SigningError::NotAKey)?;
        pair.public_key()
            .as_ref()
            .try_into()
            .map_err(|_| SigningError::NotAKey)
    }

    pub(super) const fn encoding(&self) -> &EncodingKey {
        &self.encoding
    }
}

fn context(id: SigningKeyId) -> String {
    format!("signing-key/{id}")
}
