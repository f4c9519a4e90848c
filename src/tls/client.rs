//! Whom we trust as a client of services: token endpoints and the like.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::{InvalidDnsNameError, ServerName};
use rustls::{ClientConfig, RootCertStore};

use crate::tls::authorities::Authorities;

/// The TLS of connections to services. Every certificate is verified.
#[derive(Clone, Debug)]
pub struct ClientTls(Arc<ClientConfig>);

impl ClientTls {
    /// Trust in the system's authorities, as Pingora's connector finds them, and in those of a file besides:
    /// whoever looks into a company's TLS traffic signs for services, too.
    ///
    /// # Errors
    /// rustls takes no such configuration.
    pub fn new(more: Option<&Authorities>) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        // A system without any authorities is found out by the first handshake, which fails.
        let system = rustls_native_certs::load_native_certs().unwrap_or_default();
        roots.add_parsable_certificates(system);
        let named = more.map_or(&[][..], Authorities::der);
        roots.add_parsable_certificates(named.iter().map(|der| der.clone().into()));
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// The configuration, for a connector.
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }

    /// The name that the certificate of a host must carry.
    ///
    /// # Errors
    /// It is no name and no address.
    pub fn server_name(host: &str) -> Result<ServerName<'static>, InvalidDnsNameError> {
        ServerName::try_from(host.to_owned())
    }
}
