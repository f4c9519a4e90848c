//! Decide: may this request go on, and to whom?
//!
//! Input: [`Facts`](facts::Facts) and [`Policies`](policies::Policies). Output: a
//! [`Decision`](verdict::Decision), and with it the verdict of every stage. Invariants: a decision
//! depends on nothing but facts and policies (the clock only measures); what no policy permits is
//! denied, and so is what cannot be evaluated; nothing here waits, logs or counts.

mod entities;
pub mod facts;
mod memory;
pub mod policies;
mod source;
mod stages;
pub mod verdict;

pub use stages::{decide, may_invoke};

#[cfg(test)]
mod tests;
