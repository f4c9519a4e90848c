//! Gemini's own API: `generateContent`, `streamGenerateContent` and `countTokens`.
//!
//! Input: answers as they came. Output: their parts, usage and the reason of their end; what models of
//! a generation take.

pub mod answer;
pub mod generation;
pub mod usage;
