//! Where connections may go: configured destinations, and of their addresses only harmless ones.
//!
//! Input: configured destinations. Output: addresses that may be connected to.
//! Never: a connection to a place that no configuration names, or to a link-local or metadata
//! address, whatever a name resolves to. The outgoing client for services (identity providers,
//! log sinks) joins this folder with its first user.

pub mod proxy;
pub mod resolve;
