//! Why the ledger and an export differ, on one day for one model.
//!
//! Each cause takes from the difference what it can account for, the surest first; what is left has no
//! explanation, and is said so.

use std::collections::BTreeMap;

use crate::cli::cost::export::Entry;
use crate::cli::cost::tokens::Tokens;
use crate::pipeline::record::prices::bare_name;
use crate::store::ledger::spend::Spend;
use crate::types::day::Day;

/// A cause of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Requests ran over midnight, and the provider counts them on the other day.
    DayBorder,
    /// The provider names another kind of cache, or none.
    CacheClass,
    /// Answers were broken off; our tokens are estimates.
    Estimate,
    /// The process ended before requests were counted.
    Interrupted,
    /// The export has a model on a day on which the ledger has none.
    MissingInLedger,
    /// The ledger has a model on a day on which the export has none.
    MissingInExport,
    /// Not more than both sides round.
    Rounding,
    /// Requests have no known price here.
    PriceUnknown,
    /// The tokens agree, what they cost does not.
    PriceDiffers,
    /// Nothing here explains it.
    Unexplained,
}

impl Class {
    /// The word of the JSON output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DayBorder => "day_border",
            Self::CacheClass => "cache_class",
            Self::Estimate => "aborted_estimate",
            Self::Interrupted => "interrupted",
            Self::MissingInLedger => "missing_in_ledger",
            Self::MissingInExport => "missing_in_export",
            Self::Rounding => "rounding",
            Self::PriceUnknown => "price_unknown",
            Self::PriceDiffers => "price_differs",
            Self::Unexplained => "unexplained",
        }
    }

    /// What it means, and what to do about it.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::DayBorder => "requests ran over midnight (UTC) and are counted on the other day",
            Self::CacheClass => "the same input under another kind of cache",
            Self::Estimate => "answers were broken off, so the ledger's tokens are estimates",
            Self::Interrupted => "requests were cut off by a crash before they were counted",
            Self::MissingInLedger => {
                "not in the ledger: another client of this account, or an upstream of another name"
            }
            Self::MissingInExport => {
                "not in the export: another account or workspace, or the export is not complete yet"
            }
            Self::Rounding => "no more than what both sides round",
            Self::PriceUnknown => "requests without a known price: add it to the price table or as [[price]]",
            Self::PriceDiffers => {
                "the tokens agree, the price does not: correct the price table or [[price]]"
            }
            Self::Unexplained => "nothing in the ledger explains it",
        }
    }
}

/// One side or both of one model on one day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// How the model is called.
    pub name: String,
    /// What the ledger has.
    pub ledger: Option<Ours>,
    /// What the export has.
    pub export: Option<Theirs>,
}

/// What the ledger has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ours {
    /// All tokens.
    pub tokens: Tokens,
    /// Those of requests that are estimates.
    pub estimated: Tokens,
    /// Those of requests that ended on a later day.
    pub over_midnight: Tokens,
    /// What is known of the cost, in micro-dollars.
    pub cost: i64,
    /// The part of it that is estimated.
    pub estimated_cost: i64,
    /// Requests.
    pub requests: i64,
    /// Requests without a known price.
    pub unpriced: i64,
    /// Requests that were not counted.
    pub uncounted: i64,
}

/// What the export has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Theirs {
    /// Tokens, if it tells.
    pub tokens: Option<Tokens>,
    /// Micro-dollars, if it tells.
    pub cost: Option<i64>,
    /// How many amounts were added up, each of them rounded.
    pub lines: i64,
}

/// A part of a difference, and its cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The day.
    pub day: Day,
    /// The model.
    pub model: String,
    /// The cause.
    pub class: Class,
    /// How much more the export has, in tokens.
    pub tokens: Tokens,
    /// How much more the export has, in micro-dollars; none where that is not known.
    pub cost: Option<i64>,
}

/// All cells, by day and by what both sides would call the model.
pub type Cells = BTreeMap<(Day, String), Cell>;

/// What both sides would call a model: its words and numbers without date, region and version, in alphabetical
/// order, so that `Claude 4.5 Sonnet` is `eu.anthropic.claude-sonnet-4-5-20250929-v1:0`.
pub fn key(model: &str) -> String {
    let lower = model.to_lowercase();
    let mut words: Vec<&str> = bare_name(&lower)
        .split(|c: char| !c.is_ascii_alphanumeric())
        .collect();
    words.retain(|word| !word.is_empty());
    words.sort_unstable();
    words.join("-")
}

/// Puts both sides into cells.
pub fn cells(spent: &[Spend], entries: &[Entry]) -> Cells {
    let mut cells = Cells::new();
    for spend in spent {
        let model = spend.model.as_deref().unwrap_or("-");
        let ours = cell(&mut cells, spend.day, model).ledger.get_or_insert_default();
        ours.add(spend);
    }
    for entry in entries {
        let model = entry.model.as_deref().unwrap_or("-");
        let theirs = cell(&mut cells, entry.day, model).export.get_or_insert_default();
        if let Some(tokens) = entry.tokens {
            theirs.tokens = Some(theirs.tokens.unwrap_or_default().plus(tokens));
        }
        if let Some(cost) = entry.cost {
            theirs.cost = Some(theirs.cost.unwrap_or(0).saturating_add(cost));
            theirs.lines = theirs.lines.saturating_add(1);
        }
    }
    cells
}

fn cell<'a>(cells: &'a mut Cells, day: Day, model: &str) -> &'a mut Cell {
    cells.entry((day, key(model))).or_insert_with(|| Cell {
        name: model.to_owned(),
        ..Cell::default()
    })
}

impl Ours {
    fn add(&mut self, spend: &Spend) {
        let tokens = Tokens {
            input: spend.input,
            cache_read: spend.cache_read,
            cache_write_5m: spend.cache_write_5m,
            cache_write_1h: spend.cache_write_1h,
            output: spend.output,
        };
        self.tokens = self.tokens.plus(tokens);
        self.cost = self.cost.saturating_add(spend.cost);
        self.requests = self.requests.saturating_add(spend.requests);
        self.uncounted = self.uncounted.saturating_add(spend.uncounted);
        if spend.over_midnight {
            self.over_midnight = self.over_midnight.plus(tokens);
        }
        match spend.cost_state.as_str() {
            "estimated" => {
                self.estimated = self.estimated.plus(tokens);
                self.estimated_cost = self.estimated_cost.saturating_add(spend.cost);
            }
            "unknown" => self.unpriced = self.unpriced.saturating_add(spend.requests),
            _ => {}
        }
    }
}

/// What so many tokens of a model cost, in micro-dollars, if that is known.
pub type Price<'a> = &'a dyn Fn(&str, Tokens) -> Option<i64>;

/// Every difference with its cause, by day and model.
pub fn explain(cells: &Cells, price: Price<'_>) -> Vec<Difference> {
    let borders = borders(cells);
    let mut found = Vec::new();
    for ((day, key), cell) in cells {
        let border = borders.get(&(*day, key.clone())).copied().unwrap_or_default();
        let mut causes = Causes {
            cell,
            price,
            found: Vec::new(),
        };
        match (&cell.ledger, &cell.export) {
            (Some(ours), Some(theirs)) => causes.both(ours, theirs, border),
            (None, Some(theirs)) => {
                let tokens = theirs.tokens.unwrap_or_default();
                causes.add(Class::MissingInLedger, tokens, theirs.cost);
            }
            // What used nothing is missed by nobody.
            (Some(ours), None) if ours.tokens.is_none() && ours.cost == 0 => {}
            (Some(ours), None) => {
                let none = Tokens::default();
                causes.add(Class::MissingInExport, none.minus(ours.tokens), Some(-ours.cost));
            }
            (None, None) => {}
        }
        found.extend(causes.found.into_iter().map(|(class, tokens, cost)| Difference {
            day: *day,
            model: cell.name.clone(),
            class,
            tokens,
            cost,
        }));
    }
    found
}

/// What the provider counts on the next day instead: at most what ran over midnight here, missing there and too
/// much on the day behind.
fn borders(cells: &Cells) -> BTreeMap<(Day, String), Tokens> {
    let difference = |cell: &Cell| Some(cell.export.as_ref()?.tokens?.minus(cell.ledger.as_ref()?.tokens));
    let mut borders: BTreeMap<(Day, String), Tokens> = BTreeMap::new();
    for ((day, key), cell) in cells {
        let next = (day.plus(1), key.clone());
        let Some(ours) = &cell.ledger else { continue };
        let (Some(here), Some(there)) = (difference(cell), cells.get(&next).and_then(difference)) else {
            continue;
        };
        let shifted = Tokens::default().minus(here).each(there, i64::min);
        let shifted = shifted
            .each(ours.over_midnight, i64::min)
            .each(Tokens::default(), i64::max);
        let add = |tokens: &mut Tokens, more| *tokens = tokens.plus(more);
        add(
            borders.entry((*day, key.clone())).or_default(),
            Tokens::default().minus(shifted),
        );
        add(borders.entry(next).or_default(), shifted);
    }
    borders
}

/// The causes of one cell's difference.
struct Causes<'a> {
    cell: &'a Cell,
    price: Price<'a>,
    found: Vec<(Class, Tokens, Option<i64>)>,
}

impl Causes<'_> {
    fn add(&mut self, class: Class, tokens: Tokens, cost: Option<i64>) {
        if !tokens.is_none() || cost.is_some_and(|cost| cost != 0) {
            self.found.push((class, tokens, cost));
        }
    }

    /// What these tokens, more or less, would change in money.
    fn worth(&self, tokens: Tokens) -> Option<i64> {
        let none = Tokens::default();
        let more = (self.price)(&self.cell.name, tokens.each(none, i64::max))?;
        let less = (self.price)(&self.cell.name, none.minus(tokens).each(none, i64::max))?;
        Some(more.saturating_sub(less))
    }

    fn both(&mut self, ours: &Ours, theirs: &Theirs, border: Tokens) {
        let mut explained = Some(0i64);
        if let Some(tokens) = theirs.tokens {
            for (class, part) in parts(ours, tokens.minus(ours.tokens), border) {
                let worth = self.worth(part);
                explained = explained.zip(worth).map(|(sum, worth)| sum.saturating_add(worth));
                self.add(class, part, worth);
            }
        }
        let Some(cost) = theirs.cost else { return };
        let rest = cost
            .saturating_sub(ours.cost)
            .saturating_sub(explained.unwrap_or(0));
        let none = Tokens::default();
        // Each of our requests is rounded to a micro-dollar, and each of their amounts.
        let rounding = (ours.requests + 1) / 2 + theirs.lines;
        let class = if rest.abs() <= rounding {
            Class::Rounding
        } else if ours.unpriced > 0 && rest > 0 {
            Class::PriceUnknown
        } else if theirs.tokens.is_some() && explained.is_some() {
            Class::PriceDiffers
        } else if rest.abs() <= ours.estimated_cost {
            Class::Estimate
        } else {
            Class::Unexplained
        };
        self.add(class, none, Some(rest));
    }
}

/// A difference of tokens, taken apart by causes, the surest first.
fn parts(ours: &Ours, difference: Tokens, border: Tokens) -> Vec<(Class, Tokens)> {
    let mut parts = vec![(Class::DayBorder, border)];
    let mut rest = difference.minus(border);
    let cache = other_cache(rest);
    rest = rest.minus(cache);
    parts.push((Class::CacheClass, cache));
    let estimate = rest.within(ours.estimated);
    rest = rest.minus(estimate);
    parts.push((Class::Estimate, estimate));
    if ours.uncounted > 0 {
        let more = rest.each(Tokens::default(), i64::max);
        rest = rest.minus(more);
        parts.push((Class::Interrupted, more));
    }
    parts.push((Class::Unexplained, rest));
    parts.retain(|(_, tokens)| !tokens.is_none());
    parts
}

/// Input that is there on both sides, under different kinds.
fn other_cache(difference: Tokens) -> Tokens {
    let kinds = difference.kinds();
    let input = || kinds.iter().take(Tokens::INPUT_KINDS);
    let more: i64 = input().filter(|kind| **kind > 0).sum();
    let less: i64 = input().filter(|kind| **kind < 0).map(|kind| -kind).sum();
    let mut moved = more.min(less);
    let mut taken = [0; 5];
    let mut left = moved;
    for (take, kind) in taken.iter_mut().zip(input()) {
        let part = if *kind > 0 {
            let part = (*kind).min(moved);
            moved -= part;
            part
        } else {
            let part = (-*kind).min(left);
            left -= part;
            -part
        };
        *take = part;
    }
    Tokens::of(taken)
}

#[cfg(test)]
pub(super) mod tests;
