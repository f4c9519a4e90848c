//! Logs and metrics: names and where they go. Never a credential, a prompt or an answer.

pub mod logs;
pub mod metrics;
