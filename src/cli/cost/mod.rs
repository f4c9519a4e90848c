//! `tollgate cost`: what was spent, and whether the provider says the same.
//!
//! - [`summary`]: sums over the ledger. [`reconcile`]: the verb that compares. [`export`]: what providers export.
//!   [`explain`]: why two sums differ. [`tokens`]: what is summed.

pub mod explain;
pub mod export;
pub mod reconcile;
pub mod summary;
pub mod tokens;

use clap::{Args, Subcommand};

use crate::cli::cost::reconcile::Reconcile;
use crate::cli::cost::summary::By;
use crate::cli::output::Output;
use crate::cli::root::Failed;
use crate::cli::serve::runtime;
use crate::config::Config;
use crate::server::assemble;
use crate::types::clock::{Clock as _, SystemClock};
use crate::types::day::Day;

/// What may be asked about costs.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Cost {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    period: Period,
    /// What to add up by.
    #[arg(long, value_enum, default_value = "model")]
    by: By,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Compares the ledger with a usage export of the provider and explains each difference.
    Reconcile(Reconcile),
}

/// Days in UTC.
#[derive(Clone, Copy, Debug, Args)]
pub struct Period {
    /// The first day, as in 2026-11-01; the first of this month where absent.
    #[arg(long, value_name = "DATE", value_parser = day)]
    from: Option<Day>,
    /// The day behind the last one; tomorrow where absent.
    #[arg(long, value_name = "DATE", value_parser = day)]
    to: Option<Day>,
}

fn day(text: &str) -> Result<Day, String> {
    Day::parse(text).ok_or_else(|| "a date is written like 2026-11-21".to_owned())
}

impl Period {
    /// The first day, and the one behind the last.
    fn days(&self, today: Day) -> Result<(Day, Day), Failed> {
        let to = self.to.unwrap_or(today.plus(1));
        let from = self.from.unwrap_or_else(|| to.plus(-1).month_start());
        if from < to {
            Ok((from, to))
        } else {
            Err(Failed::usage(format!(
                "no day is from {from} on and before {to}: --to is the day behind the last one"
            )))
        }
    }
}

/// Reads the ledger in the store. What the node has not shipped yet is not there yet. Gives the exit code.
pub fn cost(cost: &Cost, config: &Config, output: &mut Output) -> Result<u8, Failed> {
    let today = Day::of(SystemClock.now());
    runtime()?.block_on(async {
        let store = assemble::open_store(config).await.map_err(Failed::new)?;
        let done = match &cost.verb {
            None => {
                let days = cost.period.days(today)?;
                summary::show(&store, days, cost.by, output).await.map(|()| 0)
            }
            Some(Verb::Reconcile(verb)) => reconcile::run(verb, config, &store, output).await,
        };
        store.close().await;
        done
    })
}
