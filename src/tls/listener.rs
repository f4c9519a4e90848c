//! The TLS side of the public listener: a certificate that is replaced without a restart.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, SignatureScheme};

use crate::tls::authorities::Authorities;
use crate::tls::key_pair::KeyPair;
use crate::tls::pem::BadMaterial;
use crate::types::clock::Timestamp;

/// Where the listener's TLS material lies.
#[derive(Clone, Debug)]
pub struct Files {
    /// The certificate chain, the leaf first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Who may issue certificates of clients; none to ask for no certificate.
    pub client_ca: Option<PathBuf>,
    /// Whether clients must present one.
    pub client_required: bool,
}

/// What a handshake uses: swapped whole, so that nobody sees a half.
struct Material {
    pair: Arc<CertifiedKey>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
}

/// The listener's TLS material, replaceable while it is in use.
pub struct ListenerTls {
    files: Files,
    current: ArcSwap<Material>,
}

impl fmt::Debug for ListenerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenerTls")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl ListenerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`BadMaterial`] names the file and what to do.
    pub fn load(files: Files, now: Timestamp) -> Result<Arc<Self>, BadMaterial> {
        let material = read(&files, now)?;
        Ok(Arc::new(Self {
            files,
            current: ArcSwap::from_pointee(material),
        }))
    }

    /// Reads the files again. New connections use what they hold now; connections that are open go
    /// on with what they began with. If anything is wrong, everything stays as it was.
    ///
    /// # Errors
    /// [`BadMaterial`] says why the old material stays in use.
    pub fn reload(&self, now: Timestamp) -> Result<(), BadMaterial> {
        self.current.store(Arc::new(read(&self.files, now)?));
        Ok(())
    }

    /// The certificate that new connections are shown.
    pub fn leaf(&self) -> Option<CertificateDer<'static>> {
        self.current.load().pair.cert.first().cloned()
    }

    /// The files, for whoever watches them.
    pub const fn files(&self) -> &Files {
        &self.files
    }

    /// Whether clients are asked for a certificate.
    pub const fn asks_clients(&self) -> bool {
        self.files.client_ca.is_some()
    }

    /// Whether a client's chain is acceptable now. A resumed session carries the chain of its
    /// first handshake, which the authorities of today may no longer vouch for.
    pub fn accepts(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> bool {
        let current = self.current.load();
        let Some(clients) = &current.clients else {
            return false;
        };
        let Some((leaf, intermediates)) = chain.split_first() else {
            return false;
        };
        let since = std::time::Duration::from_millis(now.unix_millis());
        let at = UnixTime::since_unix_epoch(since);
        clients.verify_client_cert(leaf, intermediates, at).is_ok()
    }
}

fn read(files: &Files, now: Timestamp) -> Result<Material, BadMaterial> {
    let pair = KeyPair::from_files(&files.certificate, &files.key, now)?;
    let certified = pair.certified().map_err(|_| BadMaterial::Key {
        key: files.key.display().to_string(),
    })?;
    let clients = files.client_ca.as_ref().map(|path| {
        let authorities = Authorities::from_file(path)?;
        authorities.client_verifier(files.client_required)
    });
    Ok(Material {
        pair: Arc::new(certified),
        clients: clients.transpose()?,
    })
}

impl ResolvesServerCert for ListenerTls {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.load().pair))
    }
}

/// Verification is delegated to the material in use. Without authorities nothing is acceptable;
/// the listener does not install this verifier then.
impl ClientCertVerifier for ListenerTls {
    fn offer_client_auth(&self) -> bool {
        self.asks_clients()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.files.client_required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // An empty list lets clients send whatever they hold (RFC 8446, 4.2.4), and a list that is
        // borrowed could not follow a reload.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        match &self.current.load().clients {
            Some(clients) => clients.verify_client_cert(end_entity, intermediates, now),
            None => Err(rustls::Error::InvalidCertificate(
                rustls::CertificateError::UnknownIssuer,
            )),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
