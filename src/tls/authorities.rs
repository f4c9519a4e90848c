//! Certificate authorities that a file names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use crate::tls::pem::{self, BadMaterial};

/// The authorities of one file, at least one.
#[derive(Debug)]
pub struct Authorities {
    path: PathBuf,
    der: Vec<Vec<u8>>,
    roots: Arc<RootCertStore>,
}

impl Authorities {
    /// Reads the authorities of a file.
    ///
    /// # Errors
    /// [`BadMaterial`]: unreadable, damaged, or nothing that can sign certificates.
    pub fn from_file(path: &Path) -> Result<Self, BadMaterial> {
        let mut roots = RootCertStore::empty();
        let mut der = Vec::new();
        for certificate in pem::certificates(path, "certificate authority")? {
            der.push(certificate.to_vec());
            roots.add(certificate).map_err(|error| BadMaterial::Authorities {
                path: path.to_owned(),
                reason: error.to_string(),
            })?;
        }
        Ok(Self {
            path: path.to_owned(),
            der,
            roots: Arc::new(roots),
        })
    }

    /// The certificates as DER bytes.
    pub fn der(&self) -> &[Vec<u8>] {
        &self.der
    }

    /// What verifies the certificates of clients by these authorities.
    pub(super) fn client_verifier(&self, required: bool) -> Result<Arc<dyn ClientCertVerifier>, BadMaterial> {
        let provider = Arc::new(ring::default_provider());
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(&self.roots), provider);
        let builder = if required {
            builder
        } else {
            builder.allow_unauthenticated()
        };
        builder.build().map_err(|error| BadMaterial::Authorities {
            path: self.path.clone(),
            reason: error.to_string(),
        })
    }
}
