//! Sends a recorded request to an upstream and hands back its answer, piece by piece.
//!
//! Input: an open record (the proof that the decision is written down), a candidate, a prepared
//! body. Output: an [`answer::Answer`] whose head has arrived, or a [`failure::Failure`] that says
//! whether another candidate may be tried. Never: a request without an open record, a header of
//! the client that is not on the list, the client's credential, a connection to an address that
//! `egress` refuses, TLS without a name to verify.

pub mod answer;
pub mod engine;
pub mod failure;
pub mod head;
pub mod line;
mod peer;
mod tunnel;

pub use engine::Engine;
