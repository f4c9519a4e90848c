//! Amazon Bedrock's own API for all its models: `Converse` and `ConverseStream`.
//!
//! Input: answers as they came; an event of a stream is an object whose only member has the event's name.
//! Output: what they say piece by piece, usage and the reason of their end; what models of a maker take.

pub mod answer;
pub mod maker;
pub mod usage;
