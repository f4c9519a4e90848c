//! What is written down of a request is the same, whichever way it came and wherever it went.

use serde_json::{Value, json};

use crate::support::columns::{Column, Table};
use crate::support::records::{Row, rows, text};
use crate::support::upstream::Upstream;
use crate::support::wait::until;

/// What every row of a whole answer holds.
const FILLED: [&str; 24] = [
    "tenant_id",
    "user_id",
    "credential_kind",
    "credential_id",
    "session_id",
    "trace_id",
    "opened_at",
    "closed_at",
    "requested_model",
    "served_model",
    "upstream",
    "attempts",
    "client_dialect",
    "upstream_dialect",
    "stream",
    "input_tokens",
    "output_tokens",
    "cost_microdollars",
    "latency_us",
    "status",
    "stop_reason",
    "request_digest",
    "sent_digest",
    "config_generation",
];

/// The stages that had a say.
const STAGES: [&str; 3] = ["scope", "secrets", "policy"];

/// Checks the rows of a client that spoke these dialects with every upstream of the table, streaming or not.
pub async fn check(table: &Table, dialects: &[&str], streams: &[bool]) {
    let gateway = &table.gateway;
    until("the end of every request", async || {
        let closed = rows(
            gateway,
            "SELECT upstream FROM ai_requests WHERE outcome <> 'open'",
        );
        let of = |name| closed.iter().filter(|row| text(row, "upstream") == name).count();
        let arrived = |(column, upstream): (&Column, &Upstream)| of(column.name) >= upstream.count();
        table.columns().all(arrived).then_some(())
    })
    .await;
    let answers = rows(
        gateway,
        "SELECT * FROM ai_requests WHERE outcome = 'complete' AND stop_reason IS NOT NULL",
    );
    for (column, upstream) in table.columns() {
        assert!(upstream.count() > 0, "{} was reached", column.name);
        for dialect in dialects {
            for &stream in streams {
                let here = |row: &&Row| {
                    text(row, "upstream") == column.name
                        && text(row, "client_dialect") == *dialect
                        && is_true(&row["stream"]) == stream
                };
                let cell = format!("{dialect} over {}, stream: {stream}", column.name);
                let here: Vec<&Row> = answers.iter().filter(here).collect();
                assert!(!here.is_empty(), "no answer: {cell}");
                let passes = *dialect == "openai_responses" && !column.has("translation");
                let spoken = if passes { dialect } else { column.dialect };
                for row in &here {
                    check_row(&cell, row);
                    let names = ["requested_model", "upstream_dialect"].map(|name| text(row, name));
                    assert_eq!(names, [&column.model(), spoken], "{cell}");
                }
                let reasons: Vec<&str> = here.iter().map(|row| text(row, "stop_reason")).collect();
                for reason in ["end_turn", "tool_use"] {
                    assert!(reasons.contains(&reason), "{cell}: {reasons:?}");
                }
            }
        }
    }
    let undecided = STAGES.map(|stage| {
        format!(
            "NOT EXISTS (SELECT 1 FROM governance_decisions d WHERE d.request_id = r.request_id \
             AND d.stage = '{stage}' AND d.outcome = 'allow')"
        )
    });
    let undecided = rows(
        gateway,
        &format!(
            "SELECT * FROM ai_requests r WHERE outcome = 'complete' AND ({})",
            undecided.join(" OR ")
        ),
    );
    assert!(undecided.is_empty(), "stages were skipped: {undecided:#?}");
}

fn is_true(value: &Value) -> bool {
    *value == 1 || *value == true
}

/// All simulations count 37 tokens in, 7 of them read from a cache, and 15 out.
fn check_row(cell: &str, row: &Row) {
    let missing: Vec<&str> = FILLED
        .into_iter()
        .filter(|column| row[*column].is_null())
        .collect();
    assert!(missing.is_empty(), "{cell}: {missing:?} of {row:#?}");
    let count = |column: &str| row[column].as_u64().unwrap_or_default();
    let input = ["input_tokens", "cache_read_tokens", "cache_write_5m_tokens"].map(count);
    let counted = (
        input.iter().sum::<u64>(),
        count("cache_read_tokens"),
        count("output_tokens"),
    );
    assert_eq!(counted, (37, 7, 15), "{cell}: {row:#?}");
    assert_eq!(
        (text(row, "cost_state"), &row["status"]),
        ("priced", &json!(200)),
        "{cell}: {row:#?}"
    );
    assert!(count("cost_microdollars") > 0, "{cell}: {row:#?}");
}
