//! The governed path. Read the folders in this order: it is the order of a request.
//!
//! Input: a request's head and body. Output: an upstream's answer on its way to the client, and a
//! closed record. Each stage's output is a value that only that stage can make and that the next one
//! demands. Never: an HTTP status of ours (`gateway/refuse.rs` has them), a task that nobody owns.

pub mod admit;
pub mod coalesce;
pub mod envelope;
pub mod refusal;

pub mod identify;

pub mod inspect;

pub mod route;

pub mod decide;

pub mod record;

pub mod translate;

pub mod forward;
