//! Answers on their way back: streams and whole bodies, in the client's dialect.
//!
//! Input: bytes of the upstream. Output: bytes for the client, and what was observed in them. The state
//! machines do no I/O and hold nothing back but what the client's grammar forces. After the end, proper
//! or not, they write nothing more.

pub mod context;
pub mod fault;
pub mod observed;

pub mod messages;
pub mod messages_stream;

pub mod answer_stream;
pub mod chat;
pub mod converse;
pub mod count;
pub mod gemini;
pub(crate) mod reading;

pub mod openai;
pub mod told;

pub(crate) mod arguments;
pub(crate) mod blocks;
pub(crate) mod call;
pub(crate) mod finish;
pub(crate) mod passage;
pub(crate) mod prose;
pub mod tally;

use crate::pipeline::translate::answer::fault::Fault;

/// How an upstream's body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As HTTP says it should.
    Eof,
    /// The connection died.
    Reset,
}

/// Where a stream stands after a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It goes on.
    More,
    /// A proper end was written; what the upstream still sends is of no interest.
    Finished,
    /// A terminal `error` event was written. While nothing has reached the client, drop what was written
    /// and answer with the fault's status instead.
    Failed(Fault),
}

#[cfg(test)]
mod tests;
