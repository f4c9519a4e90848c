//! TLS: what files hold is read and judged here, before anything uses it.
//!
//! Input: paths of certificates, keys and authorities. Output: material that rustls accepts, the
//! listener's replaceable certificate, the identity in a client's certificate, a handshake with our own listener,
//! whom we trust as a client of services. Never: a connection (those are the gateway's, the engine's and `egress`'s),
//! a check that can be switched off, a key in a message.

pub mod authorities;
pub mod client;
pub mod identity;
pub mod key_pair;
pub mod knock;
pub mod listener;
pub mod pem;

/// Makes ring the cryptography of every rustls configuration in this process that names none. Only
/// the first call counts.
pub fn use_ring() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
