//! What the gateway wrote down: rows of its store, read beside it.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Map, Value, json};

use crate::support::gateway::Gateway;
use crate::support::wait::until;

/// A row by column name. Text that holds JSON stays text; blobs are hex.
pub type Row = Map<String, Value>;

/// The rows of this query on the store.
pub fn rows(gateway: &Gateway, sql: &str) -> Vec<Row> {
    if let Some(database) = &gateway.home.database {
        let lines = database.psql(&format!("SELECT row_to_json(found) FROM ({sql}) AS found"));
        let parse = |line: &str| serde_json::from_str(line).expect("row_to_json gives a row");
        return lines.lines().map(parse).collect();
    }
    let path = gateway.home.join("data/tollgate.db");
    let store =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the store is there");
    store
        .busy_timeout(std::time::Duration::from_secs(5))
        .expect("a timeout can be set");
    let mut statement = store
        .prepare(sql)
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let read = |row: &rusqlite::Row<'_>| {
        let column = |(index, name): (usize, &String)| Ok((name.clone(), plain(row.get_ref(index)?)));
        names
            .iter()
            .enumerate()
            .map(column)
            .collect::<Result<Row, rusqlite::Error>>()
    };
    let found = statement.query_map([], read).expect("the query runs");
    found.map(|row| row.expect("the row can be read")).collect()
}

fn plain(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => json!(number),
        ValueRef::Real(number) => json!(number),
        ValueRef::Text(text) => json!(String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => json!(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    }
}

/// The names of a table's columns, in order.
pub fn columns(gateway: &Gateway, table: &str) -> Vec<String> {
    let sql = if gateway.home.database.is_some() {
        format!(
            "SELECT column_name AS name FROM information_schema.columns \
             WHERE table_name = '{table}' ORDER BY ordinal_position"
        )
    } else {
        format!("SELECT name FROM pragma_table_info('{table}') ORDER BY cid")
    };
    let rows = rows(gateway, &sql);
    rows.iter()
        .map(|row| row["name"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// The digits of a request id, however it is spelled.
pub fn bare(id: &str) -> String {
    id.trim_start_matches("req_").replace('-', "").to_lowercase()
}

/// A condition on the column of request ids that holds for any spelling of this id.
pub fn is_request(id: &str) -> String {
    format!(
        "lower(replace(replace(CAST(request_id AS text), '-', ''), 'req_', '')) = '{}'",
        bare(id)
    )
}

/// The row of a request to a model API, once the request is over.
pub async fn ended(gateway: &Gateway, request: &str) -> Row {
    let sql = format!(
        "SELECT * FROM ai_requests WHERE outcome <> 'open' AND {}",
        is_request(request)
    );
    until(&format!("the end of {request}"), async || {
        rows(gateway, &sql).into_iter().next()
    })
    .await
}

/// The rows about a request in a table; waits until the journal was projected into the store.
pub async fn rows_of(gateway: &Gateway, table: &str, request: &str) -> Vec<Row> {
    let sql = format!("SELECT * FROM {table} WHERE {}", is_request(request));
    until(&format!("rows of {request} in {table}"), async || {
        let found = rows(gateway, &sql);
        (!found.is_empty()).then_some(found)
    })
    .await
}

/// A field as text.
pub fn text<'a>(row: &'a Row, column: &str) -> &'a str {
    row.get(column).and_then(Value::as_str).unwrap_or_default()
}

/// Every leaf of the journal that speaks of this request.
fn leaves_of(gateway: &Gateway, request: &str) -> Vec<Value> {
    let path = gateway.home.join("data/journal/journal.db");
    let journal =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the journal is there");
    let mut query = journal
        .prepare("SELECT body FROM leaf")
        .expect("the table is there");
    let bodies = query
        .query_map([], |row| row.get::<_, String>(0))
        .expect("the query runs");
    let leaves = bodies.map(|body| serde_json::from_str::<Value>(&body.expect("text")).expect("JSON"));
    let digits = request.trim_start_matches("req_").replace('-', "");
    leaves
        .filter(|leaf| leaf.to_string().replace('-', "").contains(&digits))
        .collect()
}

/// The peer that the open of this request names.
pub async fn recorded_peer(gateway: &Gateway, request: &str) -> Value {
    until("the open of a request", async || {
        let open = leaves_of(gateway, request)
            .into_iter()
            .find(|leaf| leaf["kind"] == "open")?;
        Some(open["body"]["facts"]["act"]["peer"].clone())
    })
    .await
}
