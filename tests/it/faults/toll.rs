//! The count of a fault: what clients saw, and what the ledger has to say about it.

use std::collections::BTreeMap;

use crate::support::client::Call;
use crate::support::gateway::Gateway;
use crate::support::prompt::ask;
use crate::support::records::rows;
use crate::support::scrape::value;
use crate::support::wait::{PATIENCE, until, until_within};

/// What clients saw.
#[derive(Clone, Debug, Default)]
pub struct Toll {
    /// Whole answers.
    pub served: usize,
    /// Errors in place of an answer, by status.
    pub refused: BTreeMap<u16, usize>,
    /// Answers that ended in an error event.
    pub broken: usize,
}

impl Toll {
    /// Adds what one client saw.
    pub fn add(&mut self, other: &Self) {
        self.served += other.served;
        self.broken += other.broken;
        for (status, count) in &other.refused {
            *self.refused.entry(*status).or_default() += count;
        }
    }

    /// Notes one answer: its status, and whether it came to its proper end.
    pub fn note(&mut self, status: u16, is_whole: bool) {
        match (status, is_whole) {
            (200, true) => self.served += 1,
            (200, false) => self.broken += 1,
            _ => *self.refused.entry(status).or_default() += 1,
        }
    }

    /// How many were refused.
    pub fn refusals(&self) -> usize {
        self.refused.values().sum()
    }

    fn refused_text(&self) -> String {
        let by_status = self
            .refused
            .iter()
            .map(|(status, count)| format!("{count} x {status}"));
        let mut parts: Vec<String> = by_status.collect();
        if self.broken > 0 {
            parts.push(format!("{} error events", self.broken));
        }
        if parts.is_empty() {
            "none".to_owned()
        } else {
            parts.join(", ")
        }
    }
}

/// What the ledger says about requests to a model API.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// Rows by outcome.
    pub outcomes: BTreeMap<String, usize>,
    /// Rows with a price or an estimate.
    pub billed: usize,
    /// Their sum in millionths of a dollar.
    pub microdollars: i64,
}

impl Ledger {
    /// The ledger once all of the journal is in it: every request is closed, and there are at least so many.
    pub async fn settled(gateway: &Gateway, requests: usize) -> Self {
        let what = format!("{requests} closed requests in the ledger, and the whole journal");
        until_within(PATIENCE * 3, &what, async || {
            let waiting = value(gateway, "tollgate_journal_unshipped_leaves").await;
            let open = value(gateway, "tollgate_journal_open_records").await;
            // A close that was handed over is in neither count for a moment, but its row is open.
            let ledger = Self::read(gateway);
            let is_whole = !ledger.outcomes.contains_key("open") && ledger.count() >= requests;
            (waiting == 0.0 && open == 0.0 && is_whole).then_some(ledger)
        })
        .await
    }

    fn read(gateway: &Gateway) -> Self {
        let number = |row: &crate::support::records::Row, column: &str| {
            row.get(column).and_then(serde_json::Value::as_i64).unwrap_or(0)
        };
        let found = rows(
            gateway,
            "SELECT outcome, count(*) AS n, sum(cost_state IN ('priced', 'estimated')) AS billed, \
             sum(cost_microdollars) AS cost FROM ai_requests GROUP BY outcome",
        );
        let mut ledger = Self {
            outcomes: BTreeMap::new(),
            billed: 0,
            microdollars: 0,
        };
        for row in &found {
            let outcome = row["outcome"].as_str().expect("an outcome is text").to_owned();
            let count = usize::try_from(number(row, "n")).expect("a count");
            ledger.outcomes.insert(outcome, count);
            ledger.billed += usize::try_from(number(row, "billed")).expect("a count");
            ledger.microdollars += number(row, "cost");
        }
        ledger
    }

    /// How many requests it knows.
    pub fn count(&self) -> usize {
        self.outcomes.values().sum()
    }

    /// How many ended like this.
    pub fn of(&self, outcome: &str) -> usize {
        self.outcomes.get(outcome).copied().unwrap_or(0)
    }

    fn text(&self) -> String {
        let parts: Vec<String> = self
            .outcomes
            .iter()
            .map(|(outcome, count)| format!("{count} {outcome}"))
            .collect();
        parts.join(", ")
    }
}

/// The gateway serves again without a restart, is ready, and holds nothing open.
pub async fn is_well(gateway: &mut Gateway, key: &str) {
    assert!(gateway.is_running(), "it went on running");
    until("an ordinary request to be served", async || {
        let answer = gateway.call(&Call::messages(key, &ask("hello"))).await;
        (answer.status == 200).then_some(())
    })
    .await;
    assert_eq!(value(gateway, "tollgate_ready").await, 1.0);
    for gauge in [
        "tollgate_open_requests",
        "tollgate_open_streams",
        "tollgate_buffered_body_bytes",
    ] {
        until(&format!("{gauge} to be 0"), async || {
            (value(gateway, gauge).await == 0.0).then_some(())
        })
        .await;
    }
    let twice = rows(
        gateway,
        "SELECT request_id FROM audit WHERE request_id IS NOT NULL GROUP BY request_id, kind HAVING count(*) > 1",
    );
    assert!(twice.is_empty(), "recorded once each: {twice:?}");
}

/// Prints the row of the table.
pub fn print_row(fault: &str, toll: &Toll, ledger: &Ledger, afterwards: &str) {
    println!(
        "| {fault} | {} | {} | {} | {} ({} µ$) | {afterwards} |",
        toll.served,
        toll.refused_text(),
        ledger.text(),
        ledger.billed,
        ledger.microdollars
    );
}
