//! Anthropic Messages: what is read of its answers, events and errors, and how they are written.
//!
//! Only what governance needs is read (usage, stop reason, model, errors); the rest stays bytes. The
//! writers know the grammar of one event each; the order of events is the translator's business.

pub mod error;
pub mod event;
pub mod signature;
pub mod usage;
