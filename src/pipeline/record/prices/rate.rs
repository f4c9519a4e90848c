//! The price of one model, and what an answer costs by it.
//!
//! A rate is held in pico-dollars per token, so that the smallest step of a price table (0.000001 USD per
//! million tokens) is a whole number. An answer is added up in these, factors are applied to the sum as
//! integers, and the end is rounded once, half up, to micro-dollars.

use crate::types::money::MicroDollars;
use crate::types::price::{Millionths, WrittenPrice};
use crate::types::usage::{ServiceTier, Usage};

const PICOS_PER_MICRO: u128 = 1_000_000;
/// A use costs a thousandth of what a thousand uses do; a millionth of a dollar is a million pico-dollars.
const PICOS_PER_USE: u64 = 1_000;
/// What a factor of 1 is in millionths.
const ONE: u128 = 1_000_000;

/// Pico-dollars per token, or per use of a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Picos(u64);

impl From<Millionths> for Picos {
    /// A millionth of a dollar per million tokens is a pico-dollar per token.
    fn from(written: Millionths) -> Self {
        Self(written.get())
    }
}

/// A factor, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factor(u64);

impl From<Millionths> for Factor {
    fn from(written: Millionths) -> Self {
        Self(written.get())
    }
}

/// An amount that is not rounded yet: `picos / ONE^scale` pico-dollars.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unrounded {
    picos: u128,
    /// How many factors are in it.
    divisor: u128,
}

impl Unrounded {
    /// The amount times a factor.
    pub(super) const fn times(self, factor: Factor) -> Self {
        if factor.0 as u128 == ONE {
            return self;
        }
        Self {
            picos: self.picos.saturating_mul(factor.0 as u128),
            divisor: self.divisor.saturating_mul(ONE),
        }
    }

    fn plus(self, picos: u128) -> Self {
        Self {
            picos: self.picos.saturating_add(picos.saturating_mul(self.divisor)),
            ..self
        }
    }

    /// The one rounding: half up, to micro-dollars.
    pub(super) fn rounded(self) -> MicroDollars {
        let divisor = self.divisor.saturating_mul(PICOS_PER_MICRO);
        let micros = self.picos.saturating_add(divisor / 2) / divisor;
        MicroDollars::new(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}

/// The rates of one model in one tier, up to some size of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rates {
    input: Picos,
    output: Picos,
    cache_read: Picos,
    cache_write_5m: Picos,
    cache_write_1h: Picos,
    reasoning: Picos,
    audio_input: Picos,
    audio_output: Picos,
}

impl Rates {
    fn usual(written: &WrittenPrice) -> Self {
        let input = Picos::from(written.input);
        let output = Picos::from(written.output);
        let or = |told: Option<Millionths>, absent: Picos| told.map_or(absent, Picos::from);
        let cache_write_5m = or(written.cache_write, input);
        Self {
            input,
            output,
            cache_read: or(written.cache_read, input),
            cache_write_5m,
            cache_write_1h: or(written.cache_write_1h, cache_write_5m),
            reasoning: or(written.reasoning, output),
            audio_input: or(written.audio_input, input),
            audio_output: or(written.audio_output, output),
        }
    }

    /// The rates of long requests. What the table does not tell costs at least the long input price,
    /// because no vendor caches long input for less than it reads it.
    fn long(written: &WrittenPrice, usual: &Self) -> Self {
        let told = Self::usual(written);
        let cache_write_5m = match written.cache_write {
            Some(_) => told.cache_write_5m,
            None => usual.cache_write_5m.max(told.input),
        };
        Self {
            cache_write_5m,
            cache_write_1h: match written.cache_write_1h {
                Some(_) => told.cache_write_1h,
                None => usual.cache_write_1h.max(cache_write_5m),
            },
            ..told
        }
    }

    /// What the tokens cost.
    fn tokens(&self, usage: &Usage) -> u128 {
        let thinking = usage.thinking.min(usage.output);
        let audio_input = usage.audio_input.min(usage.input);
        let audio_output = usage.audio_output.min(usage.output - thinking);
        let parts = [
            (usage.input - audio_input, self.input),
            (audio_input, self.audio_input),
            (usage.output - thinking - audio_output, self.output),
            (thinking, self.reasoning),
            (audio_output, self.audio_output),
            (usage.cache_read, self.cache_read),
            (usage.cache_write_5m, self.cache_write_5m),
            (usage.cache_write_1h, self.cache_write_1h),
        ];
        parts.iter().fold(0u128, |sum, (tokens, rate)| {
            sum.saturating_add(u128::from(*tokens).saturating_mul(rate.0.into()))
        })
    }
}

/// The rates of one tier.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sheet {
    usual: Rates,
    /// Above so many input tokens, cached or not, every token of the request has these rates. In their order.
    long: Vec<(u64, Rates)>,
}

impl Sheet {
    fn of(written: &WrittenPrice) -> Self {
        let usual = Rates::usual(written);
        let long = written.long.iter().filter_map(|long| {
            let long = long.get_ref();
            Some((long.above?, Rates::long(long, &usual)))
        });
        Self {
            usual,
            long: long.collect(),
        }
    }

    fn rates(&self, total_input: u64) -> &Rates {
        let passed = self.long.iter().rev().find(|(above, _)| total_input > *above);
        passed.map_or(&self.usual, |(_, rates)| rates)
    }
}

/// What one model costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    standard: Sheet,
    tiers: [(ServiceTier, Option<Sheet>); 4],
    fast: Option<Factor>,
    us_only: Option<Factor>,
    regional: Option<Factor>,
    web_search: Option<Picos>,
    web_fetch: Option<Picos>,
    file_search: Option<Picos>,
    code_run: Option<Picos>,
}

impl From<&WrittenPrice> for Price {
    fn from(written: &WrittenPrice) -> Self {
        let use_of = |thousand: Millionths| Picos(thousand.get().saturating_mul(PICOS_PER_USE));
        Self {
            standard: Sheet::of(written),
            tiers: written.tiers().map(|(name, tier)| {
                let sheet = tier.map(|tier| Sheet::of(tier.get_ref()));
                (ServiceTier::of_word(name), sheet)
            }),
            fast: written.fast.map(Factor::from),
            us_only: written.us_only.map(Factor::from),
            regional: written.regional.map(Factor::from),
            web_search: written.web_search.map(use_of),
            web_fetch: written.web_fetch.map(use_of),
            file_search: written.file_search.map(use_of),
            code_run: written.code_run.map(use_of),
        }
    }
}

impl Price {
    /// What this used, not rounded yet, where a request had so much input; `None` where something was used whose price is not written: a service
    /// tier, a mode, a tool.
    pub(super) fn of(&self, usage: &Usage, each_input: u64, regional: bool) -> Option<Unrounded> {
        let terms = &usage.terms;
        let sheet = match terms.tier {
            ServiceTier::Standard => &self.standard,
            other => {
                let mut sold = self.tiers.iter();
                let (_, sheet) = sold.find(|(tier, _)| *tier == other)?;
                sheet.as_ref()?
            }
        };
        let mut cost = Unrounded {
            picos: sheet.rates(each_input).tokens(usage),
            divisor: 1,
        };
        if terms.fast {
            cost = cost.times(self.fast?);
        }
        // Where a region costs more, the table says so; where it says nothing, it costs the same.
        let places = [(terms.us_only, self.us_only), (regional, self.regional)];
        for (_, factor) in places.into_iter().filter(|(holds, _)| *holds) {
            cost = factor.map_or(cost, |factor| cost.times(factor));
        }
        Some(cost.plus(self.tools(usage)?))
    }

    /// What the tools cost that were used.
    fn tools(&self, usage: &Usage) -> Option<u128> {
        let used = &usage.server_tools;
        let uses = [
            (used.web_search, self.web_search),
            (used.web_fetch, self.web_fetch),
            (used.file_search, self.file_search),
            (used.code_run, self.code_run),
        ];
        uses.into_iter()
            .filter(|(count, _)| *count > 0)
            .try_fold(0u128, |sum, (count, rate)| {
                Some(sum.saturating_add(u128::from(count).saturating_mul(rate?.0.into())))
            })
    }
}
