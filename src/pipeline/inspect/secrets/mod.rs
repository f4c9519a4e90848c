//! Secrets: which parts of a text are credentials?
//!
//! Input: a text, unescaped. Output: places in it and what stands there. One automaton looks for
//! the keywords of all rules in one pass; a rule's own pattern is tried only around its
//! keywords, so that the work is linear in the text whatever it holds. Rules are data (`conf/secrets/`).
//!
//! Invariants: nothing here keeps, prints or compares a secret beyond its own text; no rule looks around or back.
//!
//! - [`detectors`]: all rules, compiled. `rule`: one of them, as written and as used. `cases`: what each must find.
//! - [`scan`]: one pass over texts. `edges`: where a match ends. `nested`: texts that are escaped once more.
//! - `shapes`: keys in PEM, passwords in URLs. `label`: names and what is given to them. `gate`: whether that is a secret.
//! - `checks`: checksums and structure. `harmless`: what only looks like a secret. `randomness`, `words`:
//!   what is written in words.

mod cases;
mod checks;
mod detectors;
mod edges;
mod gate;
mod harmless;
mod label;
mod nested;
mod randomness;
mod rule;
mod scan;
mod shapes;
mod words;

pub use detectors::Detectors;
pub use rule::BadRules;
pub use scan::{Match, Overrun, Scan};

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
