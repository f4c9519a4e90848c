//! Prices as people write them, in the price table and in `[[price]]` of a configuration.

use std::fmt;
use std::ops::Range;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use toml::Spanned;

/// Decimals of a price: more would be less than a pico-dollar per token.
const DECIMALS_MAX: usize = 6;

/// A decimal number that is not negative, with at most six decimals, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millionths(u64);

impl Millionths {
    /// The number of this text: `0.075` is 75,000 millionths. `None` where it is none.
    pub fn parse(decimal: &str) -> Option<Self> {
        let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
        let fraction = fraction.trim_end_matches('0');
        let digits = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > DECIMALS_MAX {
            return None;
        }
        let padded = format!("{whole}{fraction:0<DECIMALS_MAX$}");
        padded.parse().ok().map(Self)
    }

    /// The number in millionths.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// A string, or a number: the shortest text that reads as the same number is the text that was written.
impl<'de> Deserialize<'de> for Millionths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl Visitor<'_> for Written {
            type Value = Millionths;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(
                    f,
                    "a decimal number with at most {DECIMALS_MAX} decimals, like \"1.25\""
                )
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Millionths, E> {
                Millionths::parse(text)
                    .ok_or_else(|| de::Error::invalid_value(de::Unexpected::Str(text), &self))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Millionths, E> {
                Millionths::parse(&number.to_string())
                    .ok_or_else(|| de::Error::invalid_value(de::Unexpected::Signed(number), &self))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Millionths, E> {
                Millionths::parse(&number.to_string())
                    .ok_or_else(|| de::Error::invalid_value(de::Unexpected::Float(number), &self))
            }
        }

        deserializer.deserialize_any(Written)
    }
}

/// What one model costs, as written: USD per million tokens, where nothing else is said.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenPrice {
    /// Input.
    pub input: Millionths,
    /// Output.
    pub output: Millionths,
    /// Input read from a cache; absent: as input.
    pub cache_read: Option<Millionths>,
    /// Input written to a cache for five minutes or the vendor's usual time; absent: as input.
    pub cache_write: Option<Millionths>,
    /// Input written to a cache for an hour; absent: as `cache_write`.
    pub cache_write_1h: Option<Millionths>,
    /// Output that was thinking; absent: as output.
    pub reasoning: Option<Millionths>,
    /// Input that was sound; absent: as input.
    pub audio_input: Option<Millionths>,
    /// Output that was sound; absent: as output.
    pub audio_output: Option<Millionths>,
    /// In an entry of `long`: the size of the input above which it holds, cached or not, in tokens.
    pub above: Option<u64>,
    /// What all tokens of a request cost whose input is above a mark; the highest mark passed counts.
    #[serde(default)]
    pub long: Vec<Spanned<WrittenPrice>>,
    /// In the batch tier.
    pub batch: Option<Box<Spanned<WrittenPrice>>>,
    /// In the flex tier.
    pub flex: Option<Box<Spanned<WrittenPrice>>>,
    /// In the priority tier.
    pub priority: Option<Box<Spanned<WrittenPrice>>>,
    /// In the ultrafast tier.
    pub ultrafast: Option<Box<Spanned<WrittenPrice>>>,
    /// The factor of fast mode.
    pub fast: Option<Millionths>,
    /// The factor of answers that are bound to the United States.
    pub us_only: Option<Millionths>,
    /// The factor of Bedrock's inference profiles of one region, by which names like `us.anthropic.…` begin.
    pub regional: Option<Millionths>,
    /// A thousand web searches.
    pub web_search: Option<Millionths>,
    /// A thousand fetched pages.
    pub web_fetch: Option<Millionths>,
    /// A thousand searches of kept files.
    pub file_search: Option<Millionths>,
    /// A thousand runs of code.
    pub code_run: Option<Millionths>,
}

/// Where a written price stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Model,
    Tier,
    Long,
}

impl WrittenPrice {
    /// The prices of other service tiers, with their names.
    pub fn tiers(&self) -> [(&'static str, Option<&Spanned<Self>>); 4] {
        [
            ("batch", self.batch.as_deref()),
            ("flex", self.flex.as_deref()),
            ("priority", self.priority.as_deref()),
            ("ultrafast", self.ultrafast.as_deref()),
        ]
    }

    /// Everything that makes no sense, with its place and what to do. `own` is the place of the price itself.
    pub fn mistakes(&self, own: Range<usize>) -> Vec<(Range<usize>, String)> {
        let mut found = Vec::new();
        self.judge(own, Role::Model, &mut found);
        found
    }

    fn judge(&self, own: Range<usize>, role: Role, found: &mut Vec<(Range<usize>, String)>) {
        match (role, self.above) {
            (Role::Long, None) => found.push((
                own.clone(),
                "an entry of long needs `above`, a number of tokens".into(),
            )),
            (Role::Model | Role::Tier, Some(_)) => {
                found.push((
                    own.clone(),
                    "`above` belongs into an entry of long = [{ above = …, … }]".into(),
                ));
            }
            _ => {}
        }
        let tiers = self
            .tiers()
            .into_iter()
            .filter_map(|(name, tier)| Some((name, tier?)));
        for (name, tier) in tiers {
            if role == Role::Model {
                tier.get_ref().judge(tier.span(), Role::Tier, found);
            } else {
                found.push((
                    tier.span(),
                    format!("`{name}` belongs to the model itself: move it there"),
                ));
            }
        }
        let of_model = [
            ("fast", self.fast),
            ("us_only", self.us_only),
            ("regional", self.regional),
            ("web_search", self.web_search),
            ("web_fetch", self.web_fetch),
            ("file_search", self.file_search),
            ("code_run", self.code_run),
        ];
        if role != Role::Model
            && let Some((name, _)) = of_model.into_iter().find(|(_, value)| value.is_some())
        {
            found.push((
                own,
                format!("`{name}` belongs to the model itself: move it there"),
            ));
        }
        let mut below = 0;
        for long in &self.long {
            let above = long.get_ref().above.unwrap_or(u64::MAX);
            if role == Role::Long {
                found.push((
                    long.span(),
                    "an entry of long has no long of its own: write one list".into(),
                ));
            } else if above <= below {
                found.push((
                    long.span(),
                    "the entries of long stand in the order of `above`, each above 0".into(),
                ));
            }
            below = above;
            long.get_ref().judge(long.span(), Role::Long, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_exactly() {
        let check = |written: &str, expected: Option<u64>| {
            assert_eq!(
                Millionths::parse(written).map(Millionths::get),
                expected,
                "{written}"
            );
        };
        check("0.000001", Some(1));
        check("0.075", Some(75_000));
        check("1.2500000", Some(1_250_000));
        check("3", Some(3_000_000));
        for none in [
            "",
            ".5",
            "-1",
            "1e3",
            "1,5",
            "0.0000001",
            "99999999999999999999",
            "nan",
        ] {
            check(none, None);
        }
    }

    #[test]
    fn keys_at_the_wrong_place_are_mistakes() {
        let check = |more: &str, word: &str| {
            let text = format!("input = 1\noutput = 1\n{more}");
            let price: WrittenPrice = toml::from_str(&text).unwrap();
            let found = price.mistakes(0..0);
            assert!(
                matches!(&found[..], [(_, message)] if message.contains(word)),
                "{more}: {found:?}"
            );
        };
        check("above = 5", "long");
        check("long = [{ input = 1, output = 1 }]", "above");
        check("long = [{ above = 5, input = 1, output = 1, fast = 2 }]", "fast");
        check(
            "long = [{ above = 5, input = 1, output = 1, batch = { input = 1, output = 1 } }]",
            "batch",
        );
        check(
            "long = [{ above = 5, input = 1, output = 1 }, { above = 5, input = 1, output = 1 }]",
            "order",
        );
        check("batch = { input = 1, output = 1, web_search = 1 }", "web_search");
    }
}
