//! The data plane's front: Pingora's sessions in, answers out.
//!
//! Input: connections that Pingora accepted. Output: answers in the client's dialect, a closed
//! record for every governed request. This is the only door: the control plane is called from here
//! (`control_door`), never by another port. Never: a decision (those are `pipeline/`'s), a status
//! outside `refuse.rs`, a body held beyond its named limit.

mod answers;
mod attempts;
pub mod context;
pub mod control_door;
pub mod door;
pub mod endpoint;
pub mod exchange;
mod facts;
pub mod governed;
pub mod head;
pub mod in_flight;
pub mod intake;
pub mod models;
mod preface;
pub mod proxy;
pub mod proxy_protocol;
pub mod refuse;
mod request_line;
pub mod respond;
pub mod snapshot;
pub mod trace;
pub mod trial;
pub mod trusted;

pub use door::{Entrance, EntranceSettings};
pub use proxy::Gateway;
