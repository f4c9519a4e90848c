use sqlx::{Row, query, query_as};

use super::*;
use crate::store::{Store, StoreError};

struct House {
    store: Store,
    url: String,
    _directory: tempfile::TempDir,
}

impl House {
    async fn build() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("t.db").display());
        Self {
            store: Store::connect(&url).await.unwrap(),
            url,
            _directory: directory,
        }
    }

    async fn count(&self, table: &'static str) -> i64 {
        let sql = match table {
            "audit" => "SELECT count(*) FROM audit",
            "ai_requests" => "SELECT count(*) FROM ai_requests",
            _ => "SELECT count(*) FROM governance_decisions",
        };
        self.store.read_numbers(sql).await[0]
    }
}

fn audit(id: &str, kind: &str) -> AuditRow {
    AuditRow {
        id: id.into(),
        occurred_at: 5,
        kind: kind.into(),
        request_id: Some("r1".into()),
        action: "invoke".into(),
        resource: Some("naïve \"model\"\n".into()),
        cost_microdollars: Some(-7),
        detail: r#"{"a":[1,null]}"#.into(),
        ..AuditRow::default()
    }
}

fn opened() -> RequestRow {
    RequestRow {
        request_id: "r1".into(),
        tenant_id: Some("t1".into()),
        opened_at: 3,
        stream: Some(true),
        outcome: "open".into(),
        config_generation: Some(4),
        ..RequestRow::default()
    }
}

fn closed(outcome: &str, output: i64) -> RequestRow {
    RequestRow {
        request_id: "r1".into(),
        closed_at: Some(9),
        attempts: Some("[]".into()),
        output_tokens: Some(output),
        usage_estimated: Some(false),
        cost_state: Some("unknown".into()),
        outcome: outcome.into(),
        ..RequestRow::default()
    }
}

/// What an open and a close come to together.
fn ended(outcome: &str, output: i64) -> RequestRow {
    RequestRow {
        opened_at: 3,
        tenant_id: Some("t1".into()),
        stream: Some(true),
        config_generation: Some(4),
        ..closed(outcome, output)
    }
}

fn decision() -> DecisionRow {
    DecisionRow {
        id: "d1".into(),
        request_id: "r1".into(),
        occurred_at: 5,
        stage: "policy".into(),
        outcome: "allow".into(),
        facts: Some(r#"{"x":1}"#.into()),
        duration_us: 12,
        ..DecisionRow::default()
    }
}

fn cursor(size: i64) -> Cursor {
    Cursor {
        origin: "h/n/1".into(),
        host: "h".into(),
        node: "n".into(),
        epoch: 1,
        size,
        leaf_hash: "ab".repeat(32),
        shipped_at: 6,
    }
}

#[tokio::test]
async fn rows_come_back_as_they_were_and_only_once() {
    let house = House::build().await;
    let batch = Batch {
        audit: vec![audit("a1", "open"), audit("a2", "close")],
        requests: vec![opened()],
        closed: vec![closed("complete", 20)],
        decisions: vec![decision()],
        cursor: Some(cursor(2)),
    };
    for _ in 0..2 {
        house.store.apply_ledger(&batch).await.unwrap();
    }
    let record = house.store.ledger_request("r1").await.unwrap().unwrap();
    assert_eq!(record.audit, batch.audit);
    assert_eq!(record.decisions, batch.decisions);
    assert_eq!(record.request, Some(ended("complete", 20)));
    assert_eq!(house.store.ledger_cursor("h/n/1").await.unwrap(), batch.cursor);
    assert_eq!(house.store.ledger_request("r2").await.unwrap(), None);
}

#[tokio::test]
async fn a_request_is_closed_once_and_not_opened_again() {
    let house = House::build().await;
    let apply = async |requests: Vec<RequestRow>, closed: Vec<RequestRow>| {
        let batch = Batch {
            requests,
            closed,
            ..Batch::default()
        };
        house.store.apply_ledger(&batch).await.unwrap();
        let row: Option<RequestRow> = query_as("SELECT * FROM ai_requests")
            .fetch_optional(&house.store.pool)
            .await
            .unwrap();
        row.map(|row| (row.outcome, row.output_tokens))
    };
    assert_eq!(apply(vec![], vec![closed("complete", 1)]).await, None);
    let open = Some(("open".to_owned(), None));
    assert_eq!(apply(vec![opened()], vec![]).await, open);
    let complete = Some(("complete".to_owned(), Some(1)));
    assert_eq!(apply(vec![], vec![closed("complete", 1)]).await, complete);
    assert_eq!(apply(vec![], vec![closed("interrupted", 2)]).await, complete);
    assert_eq!(apply(vec![opened()], vec![]).await, complete);
}

#[tokio::test]
async fn a_request_that_ends_in_the_batch_that_opens_it_is_one_row() {
    let house = House::build().await;
    let mut row = opened();
    assert_eq!(row.complete(closed("complete", 1)), None);
    assert_eq!(row, ended("complete", 1));
    let late = closed("interrupted", 2);
    assert_eq!(row.complete(late.clone()), Some(late), "it was closed already");
    // A store that has seen the open alone takes the rest; one that has seen the end takes nothing.
    let then = |row: &RequestRow| Batch {
        requests: vec![row.clone()],
        ..Batch::default()
    };
    for (came, output) in [(opened(), None), (row, Some(1)), (ended("error", 3), Some(1))] {
        house.store.apply_ledger(&then(&came)).await.unwrap();
        let record = house.store.ledger_request("r1").await.unwrap().unwrap();
        assert_eq!(record.request.unwrap().output_tokens, output, "after {came:?}");
    }
}

#[tokio::test]
async fn a_batch_of_any_size_comes_whole() {
    for rows in [1, 7, 8, 9, 31, 32, 33, 75] {
        let house = House::build().await;
        let numbered = |name: &str, number: usize| format!("{name}{number:03}");
        let batch = Batch {
            audit: (0..rows)
                .map(|number| audit(&numbered("a", number), "open"))
                .collect(),
            decisions: (0..rows)
                .map(|number| DecisionRow {
                    id: numbered("d", number),
                    duration_us: 1,
                    ..decision()
                })
                .collect(),
            ..Batch::default()
        };
        house.store.apply_ledger(&batch).await.unwrap();
        let record = house.store.ledger_request("r1").await.unwrap().unwrap();
        assert_eq!(record.audit, batch.audit);
        assert_eq!(record.decisions, batch.decisions);
    }
}

#[tokio::test]
async fn a_batch_that_fails_at_its_end_leaves_nothing() {
    let house = House::build().await;
    let mut bad = cursor(1);
    bad.leaf_hash = "short".into();
    let batch = Batch {
        audit: vec![audit("a1", "open")],
        requests: vec![opened()],
        decisions: vec![decision()],
        cursor: Some(bad),
        ..Batch::default()
    };
    assert!(house.store.apply_ledger(&batch).await.is_err());
    for table in ["audit", "ai_requests", "governance_decisions"] {
        assert_eq!(house.count(table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn a_cursor_never_moves_back_and_the_newest_epoch_is_found() {
    let house = House::build().await;
    let at = async |cursor: Cursor| {
        let batch = Batch {
            cursor: Some(cursor),
            ..Batch::default()
        };
        house.store.apply_ledger(&batch).await.unwrap();
        house
            .store
            .ledger_cursor("h/n/1")
            .await
            .unwrap()
            .map(|cursor| cursor.size)
    };
    assert_eq!(at(cursor(5)).await, Some(5));
    assert_eq!(at(cursor(3)).await, Some(5));
    assert_eq!(at(cursor(6)).await, Some(6));
    let newer = Cursor {
        origin: "h/n/10".into(),
        epoch: 10,
        ..cursor(1)
    };
    at(newer.clone()).await;
    assert_eq!(
        house.store.newest_ledger_cursor("h", "n").await.unwrap(),
        Some(newer)
    );
    assert_eq!(house.store.newest_ledger_cursor("h", "m").await.unwrap(), None);
}

#[tokio::test]
async fn the_tail_ends_at_the_newest_row_and_can_be_followed() {
    let house = House::build().await;
    let add = async |ids: &[&str]| {
        let batch = Batch {
            audit: ids.iter().map(|id| audit(id, "open")).collect(),
            ..Batch::default()
        };
        house.store.apply_ledger(&batch).await.unwrap();
    };
    let ids = |rows: &[(read::TailPlace, AuditRow)]| -> Vec<String> {
        rows.iter().map(|(_, row)| row.id.clone()).collect()
    };
    assert_eq!(house.store.ledger_tail(None, 10).await.unwrap(), []);
    add(&["b", "c", "a"]).await;
    let tail = house.store.ledger_tail(None, 2).await.unwrap();
    assert_eq!(ids(&tail), ["c", "a"]);
    let place = tail.last().unwrap().0;
    assert_eq!(house.store.ledger_tail(Some(place), 10).await.unwrap(), []);
    add(&["0", "z", "y"]).await;
    let more = house.store.ledger_tail(Some(place), 2).await.unwrap();
    assert_eq!(ids(&more), ["0", "z"]);
}

#[tokio::test]
async fn audit_has_its_eighteen_columns() {
    let house = House::build().await;
    let names: Vec<String> = query("SELECT name FROM pragma_table_info('audit')")
        .fetch_all(&house.store.pool)
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    let expected = "id occurred_at kind request_id tenant_id user_id session_id task_id trace_id context_id \
         client_id action resource decision reason policy_digest cost_microdollars detail";
    assert_eq!(names.join(" "), expected);
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused() {
    let house = House::build().await;
    query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'the future', true, x'00', 0)",
    )
    .execute(&house.store.pool)
    .await
    .unwrap();
    house.store.close().await;
    let refused = Store::connect(&house.url).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::Newer { found: 9999 }),
        "{refused:?}"
    );
}
