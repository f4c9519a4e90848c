//! Composition: from a configuration to a running node, and back to a stopped one.
//!
//! Input: a checked configuration. Output: a node that serves until it is told to stop. Invariants:
//! nothing listens before everything that it needs is there; every task has an owner that joins it;
//! this folder and `cli` are the only readers of `config`. Never: a decision about a request.

pub mod admin_ledger;
pub mod assemble;
pub mod certificates;
pub mod destinations;
pub mod health;
mod ledger;
mod lending;
pub mod lines;
pub mod listen;
mod readings;
pub mod reload;
pub mod run;
pub mod service;
pub mod simulated;
pub mod snapshot;
pub mod vendors;
pub mod watchdog;
pub mod wishes;
