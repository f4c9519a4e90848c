//! PEM files: read whole, bounded, and named in every complaint.

use std::io::Read;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::types::clock::Timestamp;
use crate::types::secret::Secret;

/// The largest PEM file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Why TLS material cannot be used. Each message names the file and what to do.
#[derive(Debug, thiserror::Error)]
pub enum BadMaterial {
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{path} holds no {wanted}: write it in PEM, beginning with -----BEGIN")]
    Nothing {
        /// Which.
        path: PathBuf,
        /// What was looked for.
        wanted: &'static str,
    },
    /// A part of the file is damaged.
    #[error("{path} holds a damaged {wanted}: write the file anew")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What was looked for.
        wanted: &'static str,
    },
    /// The certificate's time is over.
    #[error("the certificate in {path} expired at {since}: renew it")]
    Expired {
        /// Which.
        path: PathBuf,
        /// When.
        since: Timestamp,
    },
    /// The certificate's time has not come.
    #[error("the certificate in {path} is not valid before {from}: check the clock of this machine")]
    NotYetValid {
        /// Which.
        path: PathBuf,
        /// When.
        from: Timestamp,
    },
    /// Key and certificate do not belong together.
    #[error(
        "the key {key} does not belong to the certificate {certificate}: name the pair that was issued together"
    )]
    Mismatch {
        /// The certificate.
        certificate: PathBuf,
        /// The key, or the name of the secret that holds it.
        key: String,
    },
    /// The key is of a kind that is not served.
    #[error("the key {key} cannot be used: use ECDSA P-256 or P-384, Ed25519, or RSA of 2048 bits and more")]
    Key {
        /// The key, or the name of the secret that holds it.
        key: String,
    },
    /// rustls refuses the authorities.
    #[error("the authorities in {path} cannot be used: {reason}")]
    Authorities {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// The bytes of a file, which must not be larger than PEM files are.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, BadMaterial> {
    let unreadable = |source| BadMaterial::Read {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    Ok(bytes)
}

/// The private key in a text, as DER bytes. Whoever takes them must not let them out.
pub fn private_key(text: &str) -> Option<Secret<Vec<u8>>> {
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).ok()?;
    Some(Secret::new(key.secret_der().to_vec()))
}

/// Every certificate of a file, at least one.
pub(super) fn certificates(
    path: &Path,
    wanted: &'static str,
) -> Result<Vec<CertificateDer<'static>>, BadMaterial> {
    let bytes = read(path)?;
    let damaged = || BadMaterial::Damaged {
        path: path.to_owned(),
        wanted,
    };
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|_| damaged())?;
        // A block may be well-formed PEM around something that is no certificate.
        X509Certificate::from_der(&certificate).map_err(|_| damaged())?;
        found.push(certificate);
    }
    if found.is_empty() {
        return Err(BadMaterial::Nothing {
            path: path.to_owned(),
            wanted,
        });
    }
    Ok(found)
}

/// Refuses a certificate outside of its time.
pub(super) fn check_time(
    certificate: &CertificateDer<'_>,
    path: &Path,
    now: Timestamp,
) -> Result<(), BadMaterial> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| BadMaterial::Damaged {
        path: path.to_owned(),
        wanted: "certificate",
    })?;
    let at = |seconds: i64| Timestamp::from_unix_micros(seconds.saturating_mul(1_000_000));
    let validity = parsed.validity();
    let (from, until) = (
        at(validity.not_before.timestamp()),
        at(validity.not_after.timestamp()),
    );
    if now < from {
        return Err(BadMaterial::NotYetValid {
            path: path.to_owned(),
            from,
        });
    }
    if now > until {
        return Err(BadMaterial::Expired {
            path: path.to_owned(),
            since: until,
        });
    }
    Ok(())
}
