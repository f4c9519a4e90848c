//! Inspect: what does this request ask for, and what does it carry?
//!
//! Input: a whole body. Output: an [`Index`](index::Index) from one pass over it, then an
//! [`Inspection`](inspection::Inspection): findings and the edits that remove them. Invariants: no
//! byte of the body is copied or changed here; keys are compared unescaped; nothing that governance
//! reads may stand twice; no error and no finding holds text of the body; everything is linear in
//! the size of the body.

mod asks;
pub mod bad;
mod chat;
pub mod finding;
pub mod index;
pub mod inspection;
pub mod memory;
mod messages;
pub mod place;
pub mod power;
mod responses;
pub mod secrets;
mod thinking;
mod tools;
mod walk;

#[cfg(test)]
mod tests;
