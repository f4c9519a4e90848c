//! Changes of identities: who may, what they ask for, what is recorded, what happens.
//!
//! Input: a [`command::Command`] and the Unix user who gives it. Output: an [`answer::Answer`].
//!
//! Invariants: a change is recorded before it is made; if it cannot be recorded, nothing changes. Changes are
//! made one at a time. Secrets appear in the one answer that hands them out, and in no record, listing or log.
//!
//! - [`command`], [`answer`], [`error`]: the language, also on the wire.
//! - [`ledger`]: where changes are recorded.
//! - [`service`]: carries commands out; `tenants`, `users`, `teams` and `credentials` are its nouns.
//! - [`peer`]: whom the socket serves; [`socket`]: newline-delimited JSON over `admin.sock`.

pub mod answer;
pub mod command;
pub mod error;
pub mod ledger;
pub mod peer;
pub mod service;
pub mod socket;

mod credentials;
mod teams;
mod tenants;
mod users;

#[cfg(test)]
mod tests;
