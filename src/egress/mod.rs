//! Where connections may go: configured destinations, and of their addresses only harmless ones.
//!
//! Input: endpoints as the operator wrote them. Output: [`Destination`]s and resolved addresses.
//! Never: a connection to a place that no configuration names, or to a link-local or metadata
//! address, whatever a name resolves to. The outgoing client for services (identity providers,
//! log sinks) joins this folder with its first user.

pub mod destination;
pub mod resolve;

pub use destination::Destination;
