//! `tollgate ledger`

use std::time::Duration;

use clap::Subcommand;
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::output::{Output, Table};
use crate::cli::root::Failed;
use crate::cli::serve::runtime;
use crate::config::Config;
use crate::server::assemble;
use crate::store::Store;
use crate::store::ledger::read::RequestRecord;
use crate::store::ledger::{AuditRow, DecisionRow};
use crate::types::clock::Timestamp;
use crate::types::ids::RequestId;

/// How often new rows are looked for while following.
const FOLLOW_EVERY: Duration = Duration::from_millis(500);

/// Rows that one look gives while following.
const FOLLOW_ROWS: u32 = 1_000;

/// Columns that hold JSON as text.
const EMBEDDED: [&str; 5] = ["detail", "attempts", "dropped", "facts", "usage_detail"];

/// What may be asked of the ledger.
#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// Shows the newest rows of the audit table.
    Tail {
        /// How many.
        #[arg(long, default_value_t = 20, value_name = "N")]
        limit: u32,
        /// Goes on showing new rows.
        #[arg(long)]
        follow: bool,
    },
    /// Shows everything that is written down about one request.
    Show {
        /// The id that the client got in `request-id`.
        #[arg(value_name = "REQUEST")]
        request: String,
    },
}

/// Reads the ledger in the store. What the node has not shipped yet is not there yet.
pub fn ledger(ledger: &Ledger, config: &Config, output: &mut Output) -> Result<(), Failed> {
    runtime()?.block_on(async {
        let store = assemble::open_store(config).await.map_err(Failed::new)?;
        let done = match ledger {
            Ledger::Tail { limit, follow } => tail(&store, *limit, *follow, output).await,
            Ledger::Show { request } => show(&store, request, output).await,
        };
        store.close().await;
        done
    })
}

async fn tail(store: &Store, limit: u32, follow: bool, output: &mut Output) -> Result<(), Failed> {
    let mut rows = store
        .ledger_tail(None, limit)
        .await
        .map_err(|error| Failed::new(explain(&error)))?;
    let mut last = None;
    loop {
        for (place, row) in &rows {
            last = Some(*place);
            let printed = if output.is_json() {
                output.json(&row_json(row))
            } else {
                output.line(&audit_line(row))
            };
            printed.map_err(Failed::new)?;
        }
        if !follow {
            return Ok(());
        }
        tokio::time::sleep(FOLLOW_EVERY).await;
        rows = store
            .ledger_tail(last, FOLLOW_ROWS)
            .await
            .map_err(|error| Failed::new(explain(&error)))?;
    }
}

async fn show(store: &Store, request: &str, output: &mut Output) -> Result<(), Failed> {
    let id = RequestId::parse_any(request).ok_or_else(|| {
        Failed::usage(format!(
            "`{request}` is not a request id: use what the client got in request-id"
        ))
    })?;
    let found = store
        .ledger_request(id)
        .await
        .map_err(|error| Failed::new(explain(&error)))?;
    let Some(record) = found else {
        let message = format!(
            "request {} is not in the store (a new one is shipped within seconds)",
            id.wire()
        );
        return Err(Failed { code: 3, message });
    };
    if output.is_json() {
        let audit: Vec<Value> = record.audit.iter().map(row_json).collect();
        let decisions: Vec<Value> = record.decisions.iter().map(row_json).collect();
        let request = record.request.as_ref().map(row_json);
        return output
            .json(&json!({"request": request, "decisions": decisions, "audit": audit}))
            .map_err(Failed::new);
    }
    print_record(&record, output).map_err(Failed::new)
}

fn print_record(record: &RequestRecord, output: &mut Output) -> std::io::Result<()> {
    if let Some(Value::Object(fields)) = record.request.as_ref().map(row_json) {
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
            output.line(&format!("{name:<24}{}", plain(value)))?;
        }
        output.line("")?;
    }
    let row = |decision: &DecisionRow| {
        vec![
            json!(decision.stage),
            json!(decision.outcome),
            json!(decision.rule),
            json!(decision.reason),
            json!(decision.duration_us),
        ]
    };
    let rows = record.decisions.iter().map(row).collect();
    output.table(&Table::new(
        &["stage", "outcome", "rule", "reason", "duration_us"],
        rows,
    ))?;
    output.line("")?;
    record
        .audit
        .iter()
        .try_for_each(|row| output.line(&audit_line(row)))
}

/// One audit row on one line.
fn audit_line(row: &AuditRow) -> String {
    let request = row
        .request_id
        .as_deref()
        .and_then(RequestId::parse_any)
        .map(|id| id.wire());
    let mut parts = vec![
        Timestamp::from_unix_micros(row.occurred_at).to_string(),
        format!("{:<8}", row.kind),
    ];
    parts.extend(request);
    parts.push(row.action.clone());
    parts.extend(row.resource.clone());
    parts.extend(row.decision.clone());
    parts.extend(row.cost_microdollars.map(|cost| format!("{cost} µ$")));
    parts.extend(row.reason.clone());
    parts.join("  ")
}

/// A row as JSON: moments as RFC 3339, embedded JSON as JSON.
fn row_json(row: &impl Serialize) -> Value {
    let mut value = serde_json::to_value(row).unwrap_or_default();
    for (name, field) in value.as_object_mut().into_iter().flatten() {
        let readable = match field {
            Value::Number(micros) if name.ends_with("_at") => micros
                .as_i64()
                .map(|micros| json!(Timestamp::from_unix_micros(micros).to_string())),
            Value::String(text) if EMBEDDED.contains(&name.as_str()) => serde_json::from_str(text).ok(),
            _ => None,
        };
        if let Some(readable) = readable {
            *field = readable;
        }
    }
    value
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// An error with its cause: what failed, and why.
fn explain(error: &dyn std::error::Error) -> String {
    error
        .source()
        .map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}
