//! Usage exports of providers: what they say was used, by day and model.
//!
//! Input: the text of files. Output: entries, each with a day in UTC. What is no known export, or only a part of
//! one, is refused with what to do: a comparison with half an export explains nothing.
//!
//! - [`anthropic`]: its usage and cost reports. [`openai`]: its usage and costs APIs. [`bedrock`]: invocation logs
//!   and cost and usage reports, with [`csv`].

pub mod anthropic;
pub mod bedrock;
pub mod csv;
pub mod openai;

use crate::cli::cost::tokens::Tokens;
use crate::types::day::Day;

/// What a provider says about one model on one day, or about all of them together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The day in UTC.
    pub day: Day,
    /// The model, as the provider names it; none where the export does not say.
    pub model: Option<String>,
    /// Tokens, where it says so.
    pub tokens: Option<Tokens>,
    /// Micro-dollars, where it says so.
    pub cost: Option<i64>,
}

/// A file that is no export we know.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotAnExport(pub String);

impl NotAnExport {
    /// With what is wrong and what to do.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// Dollars as a decimal number, in micro-dollars, rounded half away from zero; `shift` moves the point to the right,
/// so -2 reads cents.
pub fn micros(decimal: &str, shift: i32) -> Option<i64> {
    let (sign, digits) = match decimal.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, decimal),
    };
    // Small amounts come as 1.2e-05.
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = [whole, fraction].concat();
    if all.is_empty() || !all.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let value: i128 = all.parse().ok()?;
    let point = 6 + shift + exponent - i32::try_from(fraction.len()).ok()?;
    let scaled = match u32::try_from(point) {
        Ok(up) => value.checked_mul(10i128.checked_pow(up)?)?,
        Err(_) => {
            let divisor = 10i128.checked_pow(point.unsigned_abs())?;
            (value + divisor / 2) / divisor
        }
    };
    i64::try_from(sign * scaled).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_exactly() {
        let check = |text: &str, shift, expected| assert_eq!(micros(text, shift), expected, "{text}");
        check("0.06", 0, Some(60_000));
        check("123.45", -2, Some(1_234_500));
        check("1.2e-05", 0, Some(12));
        check("0.0000005", 0, Some(1));
        check("0.00000049", 0, Some(0));
        check("-3", 0, Some(-3_000_000));
        for none in ["", "x", "1,5", "1.2.3", "1e", "99999999999999999999999"] {
            check(none, 0, None);
        }
    }
}
