//! `tollgate cost reconcile`: the ledger beside what the provider says.

use std::fs;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::cli::cost::Period;
use crate::cli::cost::explain::{Class, Difference, cells, explain};
use crate::cli::cost::export::{Entry, NotAnExport, anthropic, bedrock, openai};
use crate::cli::cost::tokens::Tokens;
use crate::cli::output::{Output, Table};
use crate::cli::root::Failed;
use crate::config::Config;
use crate::pipeline::record::prices::{Cost, PriceTable, Served};
use crate::server::snapshot;
use crate::store::Store;
use crate::store::ledger::spend::Spend;
use crate::types::day::Day;
use crate::types::money::MicroDollars;
use crate::types::usage::Usage;

/// The exit code where every difference has a cause.
const EXPLAINED: u8 = 7;

/// The exit code where a difference has none.
const UNEXPLAINED: u8 = 8;

/// The largest export that is read, in bytes.
const EXPORT_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Whose export it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Provider {
    /// Answers of Anthropic's usage report and cost report APIs (JSON).
    Anthropic,
    /// Answers of `OpenAI`'s usage and costs APIs (JSON).
    Openai,
    /// Bedrock's model invocation logs (JSON lines) or cost and usage reports (CSV).
    Bedrock,
}

impl Provider {
    const fn label(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Openai => "openai",
            Self::Bedrock => "bedrock",
        }
    }

    fn read(self, text: &str) -> Result<Vec<Entry>, NotAnExport> {
        match self {
            Self::Anthropic => anthropic::read(text),
            Self::Openai => openai::read(text),
            Self::Bedrock => bedrock::read(text),
        }
    }
}

/// What is compared.
#[derive(Debug, Args)]
pub struct Reconcile {
    /// Whose export it is; the ledger's rows are those of its upstreams.
    #[arg(long, value_enum)]
    provider: Provider,
    /// Only rows of this upstream, which may be gone from the configuration; more than once for several.
    #[arg(long = "upstream", value_name = "NAME")]
    upstreams: Vec<String>,
    #[command(flatten)]
    period: Period,
    /// The exports: usage, cost, or both.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Compares, and gives the exit code: 0 where both agree, 7 where every difference has a cause, 8 where one has none.
pub(super) async fn run(
    asked: &Reconcile,
    config: &Config,
    store: &Store,
    output: &mut Output,
) -> Result<u8, Failed> {
    let mut entries = read(asked)?;
    let (from, to) = days(asked, &entries)?;
    entries.retain(|entry| from <= entry.day && entry.day < to);
    let upstreams = upstreams(asked, config)?;
    let mut spent = store.spend(from.start(), to.start()).await.map_err(Failed::new)?;
    spent.retain(|spend| {
        let upstream = spend.upstream.as_ref();
        upstream.is_some_and(|upstream| upstreams.contains(upstream))
    });
    let table = snapshot::prices(config).map_err(Failed::usage)?;
    let worth =
        |model: &str, tokens: Tokens| worth(&table, asked.provider.label(), &upstreams, model, tokens);
    let cells = cells(&spent, &entries);
    let agreeing = cells.len();
    let differences = explain(&cells, &worth);
    show(asked, (from, to), &spent, (agreeing, &differences), output).map_err(Failed::new)?;
    let worst = differences.iter().map(|one| match one.class {
        Class::Rounding => 0,
        Class::Unexplained => UNEXPLAINED,
        _ => EXPLAINED,
    });
    Ok(worst.max().unwrap_or(0))
}

fn read(asked: &Reconcile) -> Result<Vec<Entry>, Failed> {
    let mut entries = Vec::new();
    for file in &asked.files {
        let failed = |error: &dyn std::fmt::Display| Failed::usage(format!("{}: {error}", file.display()));
        let size = fs::metadata(file).map_err(|error| failed(&error))?.len();
        if size > EXPORT_BYTES_MAX {
            return Err(failed(
                &"it is larger than 256 MiB: name several files, each of fewer days",
            ));
        }
        let text = fs::read_to_string(file).map_err(|error| failed(&error))?;
        entries.extend(asked.provider.read(&text).map_err(|error| failed(&error))?);
    }
    Ok(entries)
}

/// The days that are compared: those asked for, else those of the export.
fn days(asked: &Reconcile, entries: &[Entry]) -> Result<(Day, Day), Failed> {
    let first = entries.iter().map(|entry| entry.day).min();
    let last = entries.iter().map(|entry| entry.day).max();
    let from = asked.period.from.or(first);
    let to = asked.period.to.or(last.map(|day| day.plus(1)));
    let (Some(from), Some(to)) = (from, to) else {
        return Err(Failed::usage(
            "the export has no entries: name the days with --from and --to",
        ));
    };
    if from < to {
        Ok((from, to))
    } else {
        Err(Failed::usage(format!("no day is from {from} on and before {to}")))
    }
}

fn upstreams(asked: &Reconcile, config: &Config) -> Result<Vec<String>, Failed> {
    if !asked.upstreams.is_empty() {
        return Ok(asked.upstreams.clone());
    }
    let label = asked.provider.label();
    let of_provider = config
        .upstreams
        .iter()
        .filter(|upstream| upstream.provider.get_ref() == label);
    let names: Vec<String> = of_provider
        .map(|upstream| upstream.name.get_ref().clone())
        .collect();
    if names.is_empty() {
        return Err(Failed::usage(format!(
            "no upstream has provider = \"{label}\": name those that the export is about with --upstream"
        )));
    }
    Ok(names)
}

/// What tokens of a model cost by our own prices.
fn worth(
    table: &PriceTable,
    provider: &str,
    upstreams: &[String],
    model: &str,
    tokens: Tokens,
) -> Option<i64> {
    let served = Served {
        provider,
        upstream: upstreams.first().map_or("", String::as_str),
        model,
    };
    let count = |tokens: i64| u64::try_from(tokens).unwrap_or(0);
    let usage = Usage {
        input: count(tokens.input),
        output: count(tokens.output),
        cache_read: count(tokens.cache_read),
        cache_write_5m: count(tokens.cache_write_5m),
        cache_write_1h: count(tokens.cache_write_1h),
        ..Usage::default()
    };
    match table.cost_of_many(&served, &usage) {
        Cost::Known(cost) => Some(cost.get()),
        Cost::Unknown => None,
    }
}

const HEADINGS: [&str; 10] = [
    "day",
    "model",
    "class",
    "input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "output",
    "cost_microdollars",
    "explanation",
];

fn row(one: &Difference) -> Vec<Value> {
    let [input, cache_read, cache_write_5m, cache_write_1h, output] = one.tokens.kinds();
    vec![
        json!(one.day.to_string()),
        json!(one.model),
        json!(one.class.as_str()),
        json!(input),
        json!(cache_read),
        json!(cache_write_5m),
        json!(cache_write_1h),
        json!(output),
        json!(one.cost),
        json!(one.class.meaning()),
    ]
}

fn show(
    asked: &Reconcile,
    (from, to): (Day, Day),
    spent: &[Spend],
    (compared, differences): (usize, &[Difference]),
    output: &mut Output,
) -> std::io::Result<()> {
    let rows: Vec<Vec<Value>> = differences.iter().map(row).collect();
    if output.is_json() {
        let named = |row: &Vec<Value>| {
            let fields = HEADINGS.iter().zip(row);
            Value::Object(
                fields
                    .map(|(name, value)| ((*name).to_owned(), value.clone()))
                    .collect(),
            )
        };
        return output.json(&json!({
            "provider": asked.provider.label(),
            "from": from.to_string(),
            "to": to.to_string(),
            "compared": compared,
            "requests": spent.iter().map(|spend| spend.requests).sum::<i64>(),
            "differences": rows.iter().map(named).collect::<Vec<_>>(),
        }));
    }
    if rows.is_empty() {
        output.line("the ledger and the export agree")?;
    } else {
        output.table(&Table::new(&HEADINGS, rows))?;
    }
    let known: i64 = differences.iter().filter_map(|one| one.cost).sum();
    output.remark(&format!(
        "{from} to {}: {compared} days of models compared; what is positive the export has more of, all together {} USD",
        to.plus(-1),
        MicroDollars::new(known)
    ))
}
