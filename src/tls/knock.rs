//! A handshake with our own listener, to see that it lives. It reads and writes nothing itself.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};

use crate::tls::listener::ListenerTls;

/// The client's side of a handshake that succeeds with our own certificate and with no other.
pub struct Knock(ClientConnection);

impl Knock {
    /// A handshake with the listener that has this material.
    ///
    /// # Errors
    /// rustls takes no such configuration.
    pub fn at(listener: &Arc<ListenerTls>) -> Result<Self, rustls::Error> {
        let verifier = OwnCertificate {
            known: listener.leaf(),
            listener: Arc::clone(listener),
            algorithms: ring::default_provider().signature_verification_algorithms,
        };
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        // The name is of no account: the certificate is compared, byte for byte.
        let name = ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into());
        Ok(Self(ClientConnection::new(Arc::new(config), name)?))
    }

    /// What has to be sent now.
    ///
    /// # Errors
    /// None: it is written to memory.
    pub fn outgoing(&mut self) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while self.0.wants_write() {
            self.0.write_tls(&mut bytes)?;
        }
        Ok(bytes)
    }

    /// Takes what came; whether the other side has proven to be our listener.
    ///
    /// # Errors
    /// It is not, or speaks no TLS.
    pub fn incoming(&mut self, mut bytes: &[u8]) -> std::io::Result<bool> {
        while !bytes.is_empty() {
            self.0.read_tls(&mut bytes)?;
            self.0.process_new_packets().map_err(std::io::Error::other)?;
        }
        Ok(!self.0.is_handshaking())
    }
}

/// Accepts the certificate that the listener shows, or showed when the handshake began.
struct OwnCertificate {
    known: Option<CertificateDer<'static>>,
    listener: Arc<ListenerTls>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl fmt::Debug for OwnCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnCertificate")
    }
}

impl ServerCertVerifier for OwnCertificate {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let now = self.listener.leaf();
        if [&self.known, &now]
            .into_iter()
            .flatten()
            .any(|own| own == end_entity)
        {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::General("not our own certificate".to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use rustls::{ServerConfig, ServerConnection};
    use tempfile::TempDir;

    use super::*;
    use crate::tls::listener::Files;
    use crate::types::clock::{Clock as _, SystemClock};

    /// Writes a new pair into the folder.
    fn put_pair(folder: &TempDir) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["gateway.test".to_owned()]).unwrap();
        let certificate = certificate.self_signed(&key).unwrap();
        std::fs::write(folder.path().join("tls.crt"), certificate.pem()).unwrap();
        std::fs::write(folder.path().join("tls.key"), key.serialize_pem()).unwrap();
    }

    fn listener(folder: &TempDir) -> Arc<ListenerTls> {
        let files = Files {
            certificate: folder.path().join("tls.crt"),
            key: folder.path().join("tls.key"),
            client_ca: None,
            client_required: false,
        };
        ListenerTls::load(files, SystemClock.now()).unwrap()
    }

    fn server(shown: &Arc<ListenerTls>) -> ServerConnection {
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::<ListenerTls>::clone(shown));
        ServerConnection::new(Arc::new(config)).unwrap()
    }

    /// What the server says next.
    fn said(server: &mut ServerConnection) -> Vec<u8> {
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    fn shakes_hands(knock: &mut Knock, server: &mut ServerConnection) -> std::io::Result<bool> {
        for _ in 0..4 {
            let hello = knock.outgoing().unwrap();
            server.read_tls(&mut hello.as_slice()).unwrap();
            // The server reads an alert where it was refused, which is what the knock reports as well.
            let _ = server.process_new_packets();
            // A byte at a time, as a network may bring it.
            for byte in said(server) {
                if knock.incoming(&[byte])? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    #[test]
    fn only_the_own_certificate_opens() {
        let (folder, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        put_pair(&folder);
        put_pair(&other);
        let (own, foreign) = (listener(&folder), listener(&other));
        assert!(shakes_hands(&mut Knock::at(&own).unwrap(), &mut server(&own)).unwrap());
        let refused = shakes_hands(&mut Knock::at(&own).unwrap(), &mut server(&foreign));
        assert!(refused.unwrap_err().to_string().contains("own certificate"));
        let mut knock = Knock::at(&own).unwrap();
        knock.outgoing().unwrap();
        assert!(
            knock.incoming(b"HTTP/1.1 400 Bad Request\r\n\r\n").is_err(),
            "no TLS"
        );
    }

    #[test]
    fn a_certificate_that_is_swapped_meanwhile_opens_too() {
        let folder = TempDir::new().unwrap();
        put_pair(&folder);
        let own = listener(&folder);
        let mut knock = Knock::at(&own).unwrap();
        put_pair(&folder);
        own.reload(SystemClock.now()).unwrap();
        assert!(shakes_hands(&mut knock, &mut server(&own)).unwrap());
    }
}
