//! Processes: the only place that starts any.
//!
//! Input: a program and its arguments. Output: its exit code, when it has ended for good. Invariants:
//! this folder holds no key, opens no database and reads no configuration; a process that it starts
//! does not outlive it unnoticed.
//!
//! - [`supervisor`]: keeps one gateway running.

pub mod supervisor;
