//! Secrets: which parts of a text are credentials?
//!
//! Input: a text, unescaped. Output: places in it and what stands there. One automaton looks for
//! the keywords of all rules in one pass; a rule's own pattern is tried only in windows around its
//! keywords, and windows of a rule that overlap are merged, so that the work is linear in the text
//! whatever it holds. Rules are data (`conf/secret-rules.toml`).

mod checks;
mod detectors;
mod rule;
mod shapes;

pub use detectors::{Detectors, Match, Overrun, Scan};
pub use rule::BadRules;

#[cfg(test)]
mod tests;
