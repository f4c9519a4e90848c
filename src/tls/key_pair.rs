//! A certificate chain with its private key.

use std::path::Path;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::tls::pem::{self, BadMaterial};
use crate::types::clock::Timestamp;

/// A chain whose leaf is valid now and belongs to the key.
#[derive(Debug)]
pub struct KeyPair {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl KeyPair {
    /// Reads a chain and its key from files.
    ///
    /// # Errors
    /// [`BadMaterial`]: unreadable, damaged, out of its time, or not a pair.
    pub fn from_files(certificate: &Path, key: &Path, now: Timestamp) -> Result<Self, BadMaterial> {
        let text = pem::read(key)?;
        Self::from_text(certificate, &text, &key.display().to_string(), now)
    }

    /// Reads a chain from a file; the key is PEM text that `key_name` names in complaints.
    ///
    /// # Errors
    /// [`BadMaterial`]: unreadable, damaged, out of its time, or not a pair.
    pub fn from_text(
        certificate: &Path,
        key: &[u8],
        key_name: &str,
        now: Timestamp,
    ) -> Result<Self, BadMaterial> {
        let chain = pem::certificates(certificate, "certificate")?;
        if let Some(leaf) = chain.first() {
            pem::check_time(leaf, certificate, now)?;
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| BadMaterial::Nothing {
            path: key_name.into(),
            wanted: "private key",
        })?;
        let pair = Self { chain, key };
        let certified = pair.certified().map_err(|_| BadMaterial::Key {
            key: key_name.to_owned(),
        })?;
        certified.keys_match().map_err(|_| BadMaterial::Mismatch {
            certificate: certificate.to_owned(),
            key: key_name.to_owned(),
        })?;
        Ok(pair)
    }

    /// The pair as rustls signs with it.
    pub(super) fn certified(&self) -> Result<CertifiedKey, rustls::Error> {
        let signer = ring::sign::any_supported_type(&self.key)?;
        Ok(CertifiedKey::new(self.chain.clone(), signer))
    }

    /// The chain's certificates as DER bytes, the leaf first.
    pub fn chain_der(&self) -> Vec<Vec<u8>> {
        self.chain.iter().map(|one| one.to_vec()).collect()
    }

    /// The key as DER bytes. Whoever takes them must not let them out.
    pub fn key_der(&self) -> Vec<u8> {
        self.key.secret_der().to_vec()
    }
}
