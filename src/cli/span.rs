//! Lengths of time as people write them: `45s`, `15m`, `12h`, `90d`, `2w`.

use std::time::Duration;

/// The text is not a length of time.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a length of time is a whole number and one of s, m, h, d, w, as in 90d")]
pub struct NotASpan;

/// Reads a length of time.
pub fn parse(text: &str) -> Result<Duration, NotASpan> {
    let (number, unit) = text
        .char_indices()
        .next_back()
        .map(|(at, _)| text.split_at(at))
        .ok_or(NotASpan)?;
    let unit_s = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        "w" => 7 * 24 * 60 * 60,
        _ => return Err(NotASpan),
    };
    let digits_only = number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|_| digits_only).ok_or(NotASpan)?;
    number
        .checked_mul(unit_s)
        .map(Duration::from_secs)
        .ok_or(NotASpan)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_spans_and_refuses_the_rest() {
        let good = [
            ("0s", 0),
            ("45s", 45),
            ("15m", 900),
            ("12h", 43_200),
            ("90d", 7_776_000),
            ("2w", 1_209_600),
        ];
        for (text, seconds) in good {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        let bad = [
            "",
            "d",
            "90",
            "-1d",
            "+1d",
            "1.5h",
            "1h30m",
            "1y",
            "1é",
            " 1d",
            "99999999999999999999d",
            "18446744073709551615w",
        ];
        for text in bad {
            assert_eq!(parse(text), Err(NotASpan), "{text}");
        }
    }
}
