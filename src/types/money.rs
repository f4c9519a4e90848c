//! Money in integer micro-dollars.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An amount in millionths of a US dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MicroDollars(i64);

impl MicroDollars {
    /// This many millionths of a dollar.
    pub const fn new(micros: i64) -> Self {
        Self(micros)
    }

    /// The amount in millionths of a dollar.
    pub const fn get(self) -> i64 {
        self.0
    }
}

/// Dollars with six decimals: `0.001250`.
impl fmt::Display for MicroDollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let micros = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
    }
}
