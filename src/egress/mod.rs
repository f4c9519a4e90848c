//! Where connections may go: configured destinations, and of their addresses only harmless ones.
//!
//! Input: configured destinations. Output: addresses that may be connected to, and the two clients for what is no
//! model and no tool. Never: a connection to a place that no configuration names, a redirect that is followed, or a
//! link-local or metadata address, whatever a name resolves to. `platform` alone reaches metadata services, at fixed
//! addresses and paths, and an upstream has it only by `credentials = "platform"`.
//!
//! - `resolve`: names to addresses. `proxy`, `tunnel`: the forward proxy.
//! - `service`: the client of services, such as token endpoints. `platform`: the one of the machine's own cloud.
//!   `exchange`: one bounded request and its answer, for both.

pub mod exchange;
pub mod platform;
pub mod proxy;
pub mod resolve;
pub mod service;
pub mod tunnel;
