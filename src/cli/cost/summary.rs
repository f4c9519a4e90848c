//! Sums over the ledger, by model, user, team, tenant, upstream or day.

use std::collections::{BTreeMap, HashMap};

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::cli::output::{Output, Table};
use crate::cli::root::Failed;
use crate::store::Store;
use crate::store::ledger::spend::Spend;
use crate::types::day::Day;
use crate::types::money::MicroDollars;

/// What to add up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// The model that answered.
    Model,
    /// The user who asked.
    User,
    /// The user's teams as they are now; who is in several counts in each.
    Team,
    /// The tenant.
    Tenant,
    /// The upstream that answered.
    Upstream,
    /// The day, in UTC.
    Day,
}

const HEADINGS: [&str; 10] = [
    "name",
    "requests",
    "input",
    "cache_read",
    "cache_write",
    "output",
    "cost_microdollars",
    "cost_usd",
    "estimated",
    "unknown",
];

/// A sum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sum {
    requests: i64,
    input: i64,
    cache_read: i64,
    cache_write: i64,
    output: i64,
    cost: i64,
    estimated: i64,
    unknown: i64,
}

impl Sum {
    fn add(&mut self, spend: &Spend) {
        let add = |sum: &mut i64, more: i64| *sum = sum.saturating_add(more);
        add(&mut self.requests, spend.requests);
        add(&mut self.input, spend.input);
        add(&mut self.cache_read, spend.cache_read);
        add(
            &mut self.cache_write,
            spend.cache_write_5m.saturating_add(spend.cache_write_1h),
        );
        add(&mut self.output, spend.output);
        add(&mut self.cost, spend.cost);
        match spend.cost_state.as_str() {
            "estimated" => add(&mut self.estimated, spend.requests),
            "unknown" => add(&mut self.unknown, spend.requests),
            _ => {}
        }
    }

    fn row(&self, name: &str) -> Vec<Value> {
        vec![
            json!(name),
            json!(self.requests),
            json!(self.input),
            json!(self.cache_read),
            json!(self.cache_write),
            json!(self.output),
            json!(self.cost),
            json!(MicroDollars::new(self.cost).to_string()),
            json!(self.estimated),
            json!(self.unknown),
        ]
    }
}

/// Shows what was spent in these days.
pub(super) async fn show(
    store: &Store,
    (from, to): (Day, Day),
    by: By,
    output: &mut Output,
) -> Result<(), Failed> {
    let spent = store.spend(from.start(), to.start()).await.map_err(Failed::new)?;
    let teams = match by {
        By::Team => store.memberships().await.map_err(Failed::new)?,
        _ => Vec::new(),
    };
    let rows = sums(&spent, by, &teams)
        .iter()
        .map(|(name, sum)| sum.row(name))
        .collect();
    output.table(&Table::new(&HEADINGS, rows)).map_err(Failed::new)?;
    let mut all = Sum::default();
    spent.iter().for_each(|spend| all.add(spend));
    if all.unknown > 0 {
        let remark = format!(
            "{} requests have no known price and are not in the sums: add prices ([prices] file, [[price]])",
            all.unknown
        );
        output.remark(&remark).map_err(Failed::new)?;
    }
    let remark = format!(
        "{from} to {}, all together {} USD",
        to.plus(-1),
        MicroDollars::new(all.cost)
    );
    output.remark(&remark).map_err(Failed::new)
}

/// The sums, with their names, in the order of these.
fn sums(spent: &[Spend], by: By, memberships: &[(String, String)]) -> BTreeMap<String, Sum> {
    let mut teams: HashMap<&str, Vec<&str>> = HashMap::new();
    for (user, team) in memberships {
        teams.entry(user).or_default().push(team);
    }
    let mut sums = BTreeMap::new();
    let mut add = |name: Option<&str>, spend: &Spend| {
        let sum: &mut Sum = sums.entry(name.unwrap_or("-").to_owned()).or_default();
        sum.add(spend);
    };
    for spend in spent {
        match by {
            By::Model => add(spend.model.as_deref(), spend),
            By::User => add(spend.user.as_deref(), spend),
            By::Tenant => add(spend.tenant.as_deref(), spend),
            By::Upstream => add(spend.upstream.as_deref(), spend),
            By::Day => add(Some(&spend.day.to_string()), spend),
            By::Team => {
                let of_user = spend.user_id.as_deref().and_then(|user| teams.get(user));
                match of_user {
                    Some(teams) => teams.iter().for_each(|team| add(Some(team), spend)),
                    None => add(None, spend),
                }
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::cost::explain::tests::spend;

    #[test]
    fn who_is_in_two_teams_counts_in_both() {
        let one = Spend {
            user_id: Some("u1".into()),
            user: Some("ada".into()),
            cost: 5,
            ..spend("2026-11-21", "m")
        };
        let other = Spend {
            user_id: Some("u2".into()),
            cost: 7,
            cost_state: "unknown".into(),
            ..spend("2026-11-22", "m")
        };
        let teams = [("u1", "a"), ("u1", "b")].map(|(user, team)| (user.to_owned(), team.to_owned()));
        let spent = [one, other];
        let costs = |by| {
            let sums = sums(&spent, by, &teams);
            sums.into_iter()
                .map(|(name, sum)| (name, sum.cost, sum.unknown))
                .collect::<Vec<_>>()
        };
        let named = |name: &str, cost, unknown| (name.to_owned(), cost, unknown);
        assert_eq!(
            costs(By::Team),
            [named("-", 7, 1), named("a", 5, 0), named("b", 5, 0)]
        );
        assert_eq!(costs(By::Model), [named("m", 12, 1)]);
        assert_eq!(
            costs(By::Day),
            [named("2026-11-21", 5, 0), named("2026-11-22", 7, 1)]
        );
        assert_eq!(costs(By::User), [named("-", 7, 1), named("ada", 5, 0)]);
    }
}
