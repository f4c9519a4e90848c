//! Prices: what an answer costs, exactly.
//!
//! A price is held in pico-dollars per token, so that the smallest step of a price table (0.000001
//! USD per million tokens) is a whole number; a request is added up in these and rounded once.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::Deserialize;
use toml::Spanned;

use crate::types::ids::ModelName;
use crate::types::money::MicroDollars;
use crate::types::usage::Usage;

/// The shipped table.
const SHIPPED: &str = include_str!("../../../conf/prices.toml");
/// Decimals of a price per million tokens: more would be less than a pico-dollar per token.
const DECIMALS_MAX: usize = 6;
const PICOS_PER_MICRO: u128 = 1_000_000;

/// What a request cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// This much.
    Known(MicroDollars),
    /// Nobody has told us the model's price. It is not free.
    Unknown,
}

/// Pico-dollars per token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Picos(u64);

/// The rates of one model up to some size of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rates {
    input: Picos,
    output: Picos,
    cache_read: Picos,
    cache_write_5m: Picos,
    cache_write_1h: Picos,
}

/// What one model costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    usual: Rates,
    /// Above so many input tokens, cached or not, every token of the request has these rates.
    long: Option<(u64, Rates)>,
}

impl Price {
    /// What these tokens cost, rounded half up to micro-dollars.
    pub fn of(&self, usage: &Usage) -> MicroDollars {
        let rates = match &self.long {
            Some((above, rates)) if usage.total_input() > *above => rates,
            _ => &self.usual,
        };
        let parts = [
            (usage.input, rates.input),
            (usage.output, rates.output),
            (usage.cache_read, rates.cache_read),
            (usage.cache_write_5m, rates.cache_write_5m),
            (usage.cache_write_1h, rates.cache_write_1h),
        ];
        let picos = parts.iter().fold(0u128, |sum, (tokens, rate)| {
            sum.saturating_add(u128::from(*tokens).saturating_mul(rate.0.into()))
        });
        let micros = picos.saturating_add(PICOS_PER_MICRO / 2) / PICOS_PER_MICRO;
        MicroDollars::new(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}

/// The prices of all models that have one.
#[derive(Debug)]
pub struct PriceTable {
    prices: HashMap<Box<str>, Price>,
}

impl PriceTable {
    /// The shipped table.
    ///
    /// # Errors
    /// None in a released build: a test reads it.
    pub fn shipped() -> Result<Self, BadPrices> {
        Self::parse(SHIPPED)
    }

    /// Reads a table.
    ///
    /// # Errors
    /// All mistakes at once, with their lines.
    pub fn parse(text: &str) -> Result<Self, BadPrices> {
        let table: TableText = toml::from_str(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            BadPrices(vec![PriceMistake::at(text, offset, error.message().into())])
        })?;
        let mut reading = Reading {
            text,
            mistakes: Vec::new(),
        };
        let prices = table
            .model
            .iter()
            .map(|(name, price)| (name.as_str().into(), reading.price(name, price)));
        let prices: HashMap<Box<str>, Price> = prices.collect();
        if reading.mistakes.is_empty() {
            Ok(Self { prices })
        } else {
            reading.mistakes.sort_by_key(|mistake| mistake.line);
            Err(BadPrices(reading.mistakes))
        }
    }

    /// What these tokens of a provider's model cost.
    pub fn cost(&self, provider: &str, model: &ModelName, usage: &Usage) -> Cost {
        match self.price(provider, model) {
            Some(price) => Cost::Known(price.of(usage)),
            None => Cost::Unknown,
        }
    }

    /// The price of a provider's model: by its name, then with the provider's before it, then both
    /// without a date.
    pub fn price(&self, provider: &str, model: &ModelName) -> Option<&Price> {
        let find = |name: &str| {
            let exact = self.prices.get(name);
            exact.or_else(|| self.prices.get([provider, "/", name].concat().as_str()))
        };
        let name = model.as_str();
        find(name).or_else(|| find(undated(name)?))
    }
}

/// The name without its date, if it has one: `-20250929` or `@20250929`, or anything behind an `@`.
fn undated(name: &str) -> Option<&str> {
    if let Some((bare, _)) = name.rsplit_once('@') {
        return Some(bare);
    }
    let (bare, date) = name.rsplit_once('-')?;
    let is_date = date.len() == 8 && date.bytes().all(|digit| digit.is_ascii_digit());
    is_date.then_some(bare)
}

/// A mistake in a price table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceMistake {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong, and what to do.
    pub message: String,
}

impl PriceMistake {
    fn at(text: &str, offset: usize, message: String) -> Self {
        let before = text.as_bytes().get(..offset).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Self { line, message }
    }
}

/// A price table with mistakes: all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPrices(pub Vec<PriceMistake>);

impl fmt::Display for BadPrices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, mistake) in self.0.iter().enumerate() {
            let gap = if place == 0 { "" } else { "; " };
            write!(f, "{gap}line {}: {}", mistake.line, mistake.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for BadPrices {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TableText {
    model: BTreeMap<String, PriceText>,
}

/// A price as it is written: strings or numbers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceText {
    input: Spanned<toml::Value>,
    output: Spanned<toml::Value>,
    cache_read: Option<Spanned<toml::Value>>,
    cache_write: Option<Spanned<toml::Value>>,
    cache_write_1h: Option<Spanned<toml::Value>>,
    long: Option<LongText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LongText {
    above: u64,
    input: Spanned<toml::Value>,
    output: Spanned<toml::Value>,
    cache_read: Option<Spanned<toml::Value>>,
    cache_write: Option<Spanned<toml::Value>>,
    cache_write_1h: Option<Spanned<toml::Value>>,
}

struct Reading<'a> {
    text: &'a str,
    mistakes: Vec<PriceMistake>,
}

impl Reading<'_> {
    fn price(&mut self, name: &str, text: &PriceText) -> Price {
        let input = self.picos(name, &text.input);
        let cache_write_5m = self.optional(name, text.cache_write.as_ref()).unwrap_or(input);
        let usual = Rates {
            input,
            output: self.picos(name, &text.output),
            cache_read: self.optional(name, text.cache_read.as_ref()).unwrap_or(input),
            cache_write_5m,
            cache_write_1h: self
                .optional(name, text.cache_write_1h.as_ref())
                .unwrap_or(cache_write_5m),
        };
        let long = text
            .long
            .as_ref()
            .map(|long| (long.above, self.long(name, long, &usual)));
        Price { usual, long }
    }

    /// The rates of long requests. What the table does not tell costs at least the long input price,
    /// because no vendor caches long input for less than it reads it.
    fn long(&mut self, name: &str, text: &LongText, usual: &Rates) -> Rates {
        let input = self.picos(name, &text.input);
        let written = self.optional(name, text.cache_write.as_ref());
        let cache_write_5m = written.unwrap_or_else(|| usual.cache_write_5m.max(input));
        let for_an_hour = self.optional(name, text.cache_write_1h.as_ref());
        Rates {
            input,
            output: self.picos(name, &text.output),
            cache_read: self.optional(name, text.cache_read.as_ref()).unwrap_or(input),
            cache_write_5m,
            cache_write_1h: for_an_hour.unwrap_or_else(|| usual.cache_write_1h.max(cache_write_5m)),
        }
    }

    fn optional(&mut self, name: &str, value: Option<&Spanned<toml::Value>>) -> Option<Picos> {
        value.map(|value| self.picos(name, value))
    }

    fn picos(&mut self, name: &str, value: &Spanned<toml::Value>) -> Picos {
        let decimal = match value.get_ref() {
            toml::Value::String(text) => text.clone(),
            // The shortest text that reads as the same number is the text that was written.
            number @ (toml::Value::Integer(_) | toml::Value::Float(_)) => number.to_string(),
            _ => String::new(),
        };
        if let Some(picos) = picos_of(&decimal) {
            return picos;
        }
        let message = format!(
            "a price of {name} is no decimal number of USD per million tokens with at most {DECIMALS_MAX} decimals; \
             write it like \"1.25\""
        );
        self.mistakes
            .push(PriceMistake::at(self.text, value.span().start, message));
        Picos(0)
    }
}

/// Reads USD per million tokens: `0.075` is 75,000 pico-dollars per token.
fn picos_of(decimal: &str) -> Option<Picos> {
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    let fraction = fraction.trim_end_matches('0');
    let digits = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > DECIMALS_MAX {
        return None;
    }
    let padded = format!("{whole}{fraction:0<DECIMALS_MAX$}");
    padded.parse().ok().map(Picos)
}

#[cfg(test)]
mod tests;
