//! Sealing of values that rest in the store, under one key-encryption key.
//!
//! Input: a plaintext and the context it belongs to. Output: a [`Sealed`] value, safe to store.
//! A sealed value opens only in the context that it was sealed for, so that a row copied to another
//! place (another tenant, another key id) stays shut.
//!
//! Invariants: no I/O but the key file, no rows, no names of what is sealed. The key never leaves
//! this folder. Plaintexts leave it only inside `Secret`.
//!
//! - [`key`]: where the key-encryption key comes from.

pub mod key;

use std::fmt;
use std::sync::Arc;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::types::digest::Sha256;
use crate::types::entropy::Entropy;
use crate::types::secret::Secret;
use crate::vault::key::KEY_BYTES;

/// The layout of sealed values: version, key mark, nonce, ciphertext with its tag.
const VERSION: u8 = 1;

/// How many bytes of the key's digest a sealed value carries, to tell a wrong key from a damaged value.
const KEY_MARK_BYTES: usize = 4;

const HEAD_BYTES: usize = 1 + KEY_MARK_BYTES;

/// Seals and opens values.
///
/// Nonces are random: under one key, 2^32 sealings keep the chance of a repeated nonce below 2^-32,
/// and what is sealed here are keys and credentials, thousands of them at most.
pub struct Vault {
    key: LessSafeKey,
    mark: [u8; KEY_MARK_BYTES],
    entropy: Arc<dyn Entropy>,
}

/// A sealed value, as it rests in the store.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// The value with these bytes, as the store kept them.
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(…)")
    }
}

impl Vault {
    /// A vault under this key-encryption key.
    pub fn new(key: &Secret<[u8; KEY_BYTES]>, entropy: Arc<dyn Entropy>) -> Result<Self, VaultError> {
        let unbound =
            UnboundKey::new(&CHACHA20_POLY1305, key.expose()).map_err(|_| VaultError::KeyNotUsable)?;
        let digest = Sha256::of_parts(&[b"tollgate vault key mark\0", key.expose()]);
        let mut mark = [0u8; KEY_MARK_BYTES];
        for (to, from) in mark.iter_mut().zip(digest.as_bytes()) {
            *to = *from;
        }
        Ok(Self {
            key: LessSafeKey::new(unbound),
            mark,
            entropy,
        })
    }

    /// Seals a value for one context, for example `signing-key/<id>`.
    pub fn seal(&self, context: &str, plaintext: &[u8]) -> Result<Sealed, VaultError> {
        let mut nonce = [0u8; NONCE_LEN];
        self.entropy.fill(&mut nonce);
        let mut bytes =
            Vec::with_capacity(HEAD_BYTES + NONCE_LEN + plaintext.len() + CHACHA20_POLY1305.tag_len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.mark);
        bytes.extend_from_slice(&nonce);
        let associated = associated_data(&bytes, context);
        let mut body = plaintext.to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(associated),
                &mut body,
            )
            .map_err(|_| VaultError::TooLong)?;
        bytes.append(&mut body);
        Ok(Sealed(bytes))
    }

    /// Opens a value that was sealed for this context.
    pub fn open(&self, context: &str, sealed: &Sealed) -> Result<Secret<Vec<u8>>, VaultError> {
        let (head, rest) = sealed.0.split_at_checked(HEAD_BYTES).ok_or(VaultError::Damaged)?;
        let (version, mark) = head.split_first().ok_or(VaultError::Damaged)?;
        if *version != VERSION {
            return Err(VaultError::UnknownVersion(*version));
        }
        if mark != self.mark {
            return Err(VaultError::OtherKey);
        }
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or(VaultError::Damaged)?;
        let associated = associated_data(head, context);
        let mut buffer = Secret::new(body.to_vec());
        let length = {
            let opened = buffer.expose_mut();
            self.key
                .open_in_place(
                    Nonce::assume_unique_for_key(*nonce),
                    Aad::from(associated),
                    opened,
                )
                .map_err(|_| VaultError::Damaged)?
                .len()
        };
        buffer.expose_mut().truncate(length);
        Ok(buffer)
    }
}

/// Binds version, key mark and context. The head has a fixed length, so no two pairs give the same bytes.
fn associated_data(head: &[u8], context: &str) -> Vec<u8> {
    let mut bytes = head.get(..HEAD_BYTES).unwrap_or(head).to_vec();
    bytes.extend_from_slice(context.as_bytes());
    bytes
}

/// Why the vault could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The cipher does not take the key.
    #[error("the vault key cannot be used by the cipher")]
    KeyNotUsable,
    /// The plaintext exceeds what the cipher can seal.
    #[error("the value is too long to be sealed")]
    TooLong,
    /// The value was sealed under another key.
    #[error("the value was sealed under another vault key; restore the key that this store was written with")]
    OtherKey,
    /// The value was written by a newer version.
    #[error("sealed values of version {0} are unknown to this version")]
    UnknownVersion(u8),
    /// Truncated, altered, or sealed for another context.
    #[error("the sealed value is damaged or belongs to another place")]
    Damaged,
    /// The key's text is not a key.
    #[error("the vault key must be 32 bytes, written as 44 characters of base64 or 64 hex digits")]
    NotAKey,
    /// Others than the owner may read or write the key file.
    #[error("{path}: others may read this key (mode {mode:o}); run: chmod 600 {path}")]
    OpenToOthers {
        /// The key file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// The key file could not be read or written.
    #[error("{path}: the vault key cannot be {attempt}")]
    KeyFile {
        /// The key file.
        path: String,
        /// What was attempted: `read` or `created`.
        attempt: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

/// A key for another purpose, derived from the key-encryption key (HMAC-SHA256 of the purpose). Who
/// knows it knows nothing of the other.
pub fn derive(key: &Secret<[u8; KEY_BYTES]>, purpose: &str) -> Secret<[u8; KEY_BYTES]> {
    let mac = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.expose());
    let tag = ring::hmac::sign(&mac, format!("tollgate derive\0{purpose}").as_bytes());
    let mut derived = [0u8; KEY_BYTES];
    for (to, from) in derived.iter_mut().zip(tag.as_ref()) {
        *to = *from;
    }
    Secret::new(derived)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::entropy::SystemEntropy;

    fn vault(byte: u8) -> Vault {
        Vault::new(&Secret::new([byte; KEY_BYTES]), Arc::new(SystemEntropy::new())).unwrap()
    }

    #[test]
    fn opens_what_it_sealed_and_never_seals_alike() {
        let vault = vault(7);
        let (one, two) = (
            vault.seal("a", b"text").unwrap(),
            vault.seal("a", b"text").unwrap(),
        );
        assert_eq!(vault.open("a", &one).unwrap().expose(), b"text");
        assert_eq!(
            vault.open("e", &vault.seal("e", b"").unwrap()).unwrap().expose(),
            b""
        );
        assert_ne!(one, two);
        assert!(!one.as_bytes().windows(4).any(|window| window == b"text"));
    }

    #[test]
    fn refuses_another_context_another_key_and_every_flipped_bit() {
        let vault = vault(7);
        let sealed = vault.seal("tenant/1", b"text").unwrap();
        assert!(matches!(
            vault.open("tenant/2", &sealed),
            Err(VaultError::Damaged)
        ));
        assert!(matches!(
            super::tests::vault(8).open("tenant/1", &sealed),
            Err(VaultError::OtherKey)
        ));
        for index in 0..sealed.0.len() {
            for bit in 0..8 {
                let mut bytes = sealed.0.clone();
                bytes[index] ^= 1 << bit;
                assert!(
                    vault.open("tenant/1", &Sealed(bytes)).is_err(),
                    "byte {index} bit {bit}"
                );
            }
        }
        for length in 0..sealed.0.len() {
            assert!(
                vault
                    .open("tenant/1", &Sealed(sealed.0[..length].to_vec()))
                    .is_err()
            );
        }
    }

    #[test]
    fn debug_shows_neither_key_nor_value() {
        let vault = vault(0x41);
        let sealed = vault.seal("a", b"canary").unwrap();
        let shown = format!("{vault:?} {sealed:?} {:?}", vault.open("a", &sealed).unwrap());
        assert!(!shown.contains("canary") && !shown.contains("65") && !shown.contains("AAAA"));
    }
}
