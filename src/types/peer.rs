//! The other end of a client's connection.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::types::digest::Sha256;

/// Where a request comes from, as far as the connection proves it. Never taken from what a client
/// says about itself: an address out of a header counts only when a trusted proxy wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// The client's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The certificate whose key the client holds, issued by an authority of `client_ca`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<ClientCertificate>,
}

/// The identity in a client's verified certificate. What is too long or too much of it is left out, never cut:
/// a name that is here stands in the certificate as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClientCertificate {
    /// The subject, such as `CN=ada, O=Acme` (in the order as issued).
    pub subject: Box<str>,
    /// Its common name, where it has exactly one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_name: Option<Box<str>>,
    /// DNS names among the subject's alternative names, in small letters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_names: Vec<Box<str>>,
    /// URIs among them, such as SPIFFE ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uris: Vec<Box<str>>,
    /// Mail addresses among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emails: Vec<Box<str>>,
    /// SHA-256 over the certificate's DER bytes.
    pub sha256: Sha256,
}
