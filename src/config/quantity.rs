//! Quantities with their units in the text: `"32 MiB"`, `"90s"`.

use std::time::Duration;

use serde::Deserialize;

/// A number of bytes: `"512"`, `"64 KiB"`, `"32 MiB"`, `"4 GiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// The number as a memory size; the largest there is where it does not fit.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl TryFrom<String> for ByteSize {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let scale = |unit: &str| match unit {
            "" | "B" => Some(1),
            "KiB" => Some(1 << 10),
            "MiB" => Some(1 << 20),
            "GiB" => Some(1 << 30),
            _ => None,
        };
        quantity(&text, scale).map(Self).ok_or_else(|| {
            format!("`{text}` is not a size: write a number and B, KiB, MiB or GiB, such as \"32 MiB\"")
        })
    }
}

/// A span of time: `"500ms"`, `"10s"`, `"5m"`, `"72h"`, `"7d"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(pub Duration);

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let scale = |unit: &str| match unit {
            "ms" => Some(1),
            "s" => Some(1_000),
            "m" => Some(60_000),
            "h" => Some(3_600_000),
            "d" => Some(86_400_000),
            _ => None,
        };
        quantity(&text, scale)
            .filter(|millis| *millis > 0)
            .map(|millis| Self(Duration::from_millis(millis)))
            .ok_or_else(|| format!("`{text}` is not a span of time: write a number above 0 and ms, s, m, h or d, such as \"10s\""))
    }
}

fn quantity(text: &str, scale: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    number.parse::<u64>().ok()?.checked_mul(scale(unit.trim())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sizes_and_spans_with_units() {
        let size = |text: &str| ByteSize::try_from(text.to_owned()).ok().map(|size| size.0);
        assert_eq!(size("32 MiB"), Some(33_554_432));
        assert_eq!(size("512"), Some(512));
        assert_eq!(size("32 MB"), None);
        assert_eq!(size("99999999999999999999 GiB"), None);
        let span = |text: &str| Span::try_from(text.to_owned()).ok().map(|span| span.0);
        assert_eq!(span("1500ms"), Some(Duration::from_millis(1_500)));
        assert_eq!(span("72h"), Some(Duration::from_secs(259_200)));
        assert_eq!(span("0s"), None);
        assert_eq!(span("10"), None);
    }
}
