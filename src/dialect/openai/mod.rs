//! OpenAI's API, as OpenAI and the many who imitate it send them: read leniently.
//!
//! Absent, `null` and empty mean the same everywhere; a field of an unexpected type is an absent field.

pub mod answer;
pub mod complaint;
pub mod error;
pub mod finish;
pub mod profile;
pub mod reasoning;
pub mod usage;
