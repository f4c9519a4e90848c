//! Prices: what an answer costs, exactly.
//!
//! Input: what an answer used, and who served it. Output: micro-dollars, rounded once, or that the price is
//! not known, which is not the same as free.
//!
//! - [`rate`]: the price of one model, and the arithmetic. [`table`]: the file. [`contract`]: what the
//!   operator agreed on, which goes before it.

pub mod contract;
pub mod rate;
pub mod table;

use std::collections::HashMap;

use crate::pipeline::record::prices::contract::Contract;
use crate::pipeline::record::prices::rate::Price;
pub use crate::pipeline::record::prices::table::{BadPrices, PriceMistake};
use crate::types::day::Day;
use crate::types::money::MicroDollars;
use crate::types::usage::Usage;

/// The shipped table.
const SHIPPED: &str = include_str!("../../../../conf/prices.toml");

/// What by which Bedrock's inference profiles of one region begin; `global.` costs what no profile does.
const REGIONS: [&str; 7] = ["us.", "eu.", "apac.", "jp.", "au.", "us-gov.", "ca."];

/// What a request cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// This much.
    Known(MicroDollars),
    /// Nobody has told us the price of the model, or of something it did. It is not free.
    Unknown,
}

/// Who served an answer.
#[derive(Clone, Copy, Debug)]
pub struct Served<'a> {
    /// The provider's label.
    pub provider: &'a str,
    /// The upstream's name.
    pub upstream: &'a str,
    /// The model that was asked for there.
    pub model: &'a str,
}

/// The prices of all models that have one.
#[derive(Debug)]
pub struct PriceTable {
    prices: HashMap<Box<str>, Price>,
    contracts: Vec<Contract>,
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
        Ok(Self {
            prices: table::read(text)?,
            contracts: Vec::new(),
        })
    }

    /// The same table behind these contracts, of which the first that fits counts.
    #[must_use]
    pub fn under(mut self, contracts: Vec<Contract>) -> Self {
        self.contracts = contracts;
        self
    }

    /// What this answer cost.
    pub fn cost(&self, served: &Served<'_>, usage: &Usage) -> Cost {
        self.cost_of(served, usage, usage.total_input())
    }

    /// What the tokens of many answers together cost, none of which was long.
    pub fn cost_of_many(&self, served: &Served<'_>, usage: &Usage) -> Cost {
        self.cost_of(served, usage, 0)
    }

    /// What this cost in a request, or requests, of so many input tokens each.
    fn cost_of(&self, served: &Served<'_>, usage: &Usage, each_input: u64) -> Cost {
        let contract = self.contracts.iter().find(|contract| contract.covers(served));
        let name = Name::of(served.model);
        let price = contract
            .and_then(Contract::rates)
            .or_else(|| self.listed(served.provider, &name));
        let unrounded = price.and_then(|price| price.of(usage, each_input, name.is_regional));
        let factor = contract.and_then(Contract::multiplier);
        match unrounded {
            Some(cost) => Cost::Known(factor.map_or(cost, |factor| cost.times(factor)).rounded()),
            None => Cost::Unknown,
        }
    }

    /// The price of a provider's model: by its full name with the provider's before it, then without; then
    /// both without date, version and vendor.
    fn listed(&self, provider: &str, name: &Name<'_>) -> Option<&Price> {
        // Gemini costs the same on Vertex AI.
        let vendor = match provider {
            "vertex" | "vertex-gemini" => "gemini",
            other => other,
        };
        let of = |label: &str, name: &str| self.prices.get([label, "/", name].concat().as_str());
        let find = |name: &str| {
            let of_provider = of(provider, name).or_else(|| of(vendor, name));
            of_provider.or_else(|| self.prices.get(name))
        };
        name.spellings.iter().copied().flatten().find_map(find)
    }
}

/// A model's name without region, vendor, version and date, as far as it has them.
pub fn bare_name(full: &str) -> &str {
    let name = Name::of(full);
    name.spellings
        .iter()
        .rev()
        .copied()
        .flatten()
        .next()
        .unwrap_or(full)
}

/// A model's name, taken apart.
struct Name<'a> {
    /// From the full one to the barest.
    spellings: [Option<&'a str>; 4],
    /// Whether it names an inference profile of one region.
    is_regional: bool,
}

impl<'a> Name<'a> {
    fn of(full: &'a str) -> Self {
        // An ARN ends with the name of what it names.
        let named = full.strip_prefix("arn:").and_then(|arn| arn.rsplit_once('/'));
        let id = named.map_or(full, |(_, id)| id);
        let region = REGIONS.iter().find_map(|region| id.strip_prefix(region));
        let profile = region.or_else(|| id.strip_prefix("global.")).unwrap_or(id);
        let bare = profile
            .strip_prefix("anthropic.")
            .map_or(profile, |name| unversioned(name).unwrap_or(name));
        Self {
            spellings: [
                Some(full),
                Some(id).filter(|id| *id != full),
                Some(bare).filter(|bare| *bare != id),
                undated(bare),
            ],
            is_regional: region.is_some(),
        }
    }
}

/// The name without its date, if it has one: `-20250929`, `-2025-09-29`, or anything behind an `@`.
fn undated(name: &str) -> Option<&str> {
    if let Some((bare, _)) = name.rsplit_once('@') {
        return Some(bare);
    }
    let end = |digits: usize| {
        let (bare, date) = name.split_at_checked(name.len().checked_sub(digits + 1)?)?;
        Some((bare, date.strip_prefix('-')?))
    };
    let plain = end(8).filter(|(_, date)| date.bytes().all(|digit| digit.is_ascii_digit()));
    let dashed = || end(10).filter(|(_, date)| Day::parse(date).is_some());
    plain.or_else(dashed).map(|(bare, _)| bare)
}

/// The name without Bedrock's version, if it has one: `-v1:0`.
fn unversioned(name: &str) -> Option<&str> {
    let (bare, version) = name.rsplit_once("-v")?;
    let is_version = version.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
    is_version.then_some(bare)
}

#[cfg(test)]
mod tests;
