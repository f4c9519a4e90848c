use super::*;
use crate::store::fixture::Site;
use crate::store::{Store, StoreError};
use crate::types::ids::RequestId;

struct House {
    store: Store,
    site: Site,
}

impl House {
    async fn build() -> Self {
        let site = Site::new();
        Self {
            store: site.connect().await,
            site,
        }
    }

    async fn record(&self, request: &str) -> Option<read::RequestRecord> {
        let id: RequestId = request.parse().unwrap();
        self.store.ledger_request(id).await.unwrap()
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

/// The id that ends with this digit or letter.
fn id(last: char) -> String {
    format!("01934e1c-0000-7000-8000-00000000000{last}")
}

/// The id of this number.
fn numbered(number: usize) -> String {
    format!("01934e1c-0000-7000-9000-{number:012}")
}

/// The request that all rows here are about.
fn request() -> String {
    "01934e1c-0000-7000-8000-0000000000f1".to_owned()
}

fn audit(id: String, kind: &str) -> AuditRow {
    AuditRow {
        id,
        occurred_at: 5,
        kind: kind.into(),
        request_id: Some(request()),
        action: "invoke".into(),
        resource: Some("naïve \"model\"\n".into()),
        cost_microdollars: Some(-7),
        detail: r#"{"a": [1, null]}"#.into(),
        ..AuditRow::default()
    }
}

fn opened() -> RequestRow {
    RequestRow {
        request_id: request(),
        tenant_id: Some(id('7')),
        opened_at: 3,
        stream: Some(true),
        outcome: "open".into(),
        config_generation: Some(4),
        ..RequestRow::default()
    }
}

fn closed(outcome: &str, output: i64) -> RequestRow {
    RequestRow {
        request_id: request(),
        closed_at: Some(9),
        attempts: Some("[]".into()),
        output_tokens: Some(output),
        service_tier: Some("flex".into()),
        usage_detail: Some(r#"{"web_searches": 2}"#.into()),
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
        tenant_id: Some(id('7')),
        stream: Some(true),
        config_generation: Some(4),
        ..closed(outcome, output)
    }
}

fn decision() -> DecisionRow {
    DecisionRow {
        id: id('d'),
        request_id: request(),
        occurred_at: 5,
        stage: "policy".into(),
        outcome: "allow".into(),
        facts: Some(r#"{"x": 1}"#.into()),
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
        audit: vec![audit(id('1'), "open"), audit(id('2'), "close")],
        requests: vec![opened()],
        closed: vec![closed("complete", 20)],
        decisions: vec![decision()],
        cursor: Some(cursor(2)),
    };
    for _ in 0..2 {
        house.store.apply_ledger(&batch).await.unwrap();
    }
    let record = house.record(&request()).await.unwrap();
    assert_eq!(record.audit, batch.audit);
    assert_eq!(record.decisions, batch.decisions);
    assert_eq!(record.request, Some(ended("complete", 20)));
    assert_eq!(house.store.ledger_cursor("h/n/1").await.unwrap(), batch.cursor);
    assert_eq!(house.record(&id('9')).await, None);
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
        let row = house.record(&request()).await.and_then(|record| record.request);
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
        let record = house.record(&request()).await.unwrap();
        assert_eq!(record.request.unwrap().output_tokens, output, "after {came:?}");
    }
}

#[tokio::test]
async fn a_batch_of_any_size_comes_whole() {
    for rows in [1, 7, 8, 9, 31, 32, 33, 75] {
        let house = House::build().await;
        let batch = Batch {
            audit: (0..rows).map(|number| audit(numbered(number), "open")).collect(),
            decisions: (0..rows)
                .map(|number| DecisionRow {
                    id: numbered(number),
                    duration_us: 1,
                    ..decision()
                })
                .collect(),
            ..Batch::default()
        };
        house.store.apply_ledger(&batch).await.unwrap();
        let record = house.record(&request()).await.unwrap();
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
        audit: vec![audit(id('1'), "open")],
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
    let add = async |names: &str, from: i64| {
        let row = |(last, occurred_at): (char, i64)| AuditRow {
            occurred_at,
            ..audit(id(last), "open")
        };
        let batch = Batch {
            audit: names.chars().zip(from..).map(row).collect(),
            ..Batch::default()
        };
        house.store.apply_ledger(&batch).await.unwrap();
    };
    let names = |rows: &[(read::TailPlace, AuditRow)]| -> String {
        let last = |row: &AuditRow| row.id.chars().last().unwrap();
        rows.iter().map(|(_, row)| last(row)).collect()
    };
    assert_eq!(house.store.ledger_tail(None, 10).await.unwrap(), []);
    add("bca", 5).await;
    let tail = house.store.ledger_tail(None, 2).await.unwrap();
    assert_eq!(names(&tail), "ca");
    let place = tail.last().unwrap().0;
    assert_eq!(house.store.ledger_tail(Some(place), 10).await.unwrap(), []);
    add("0fe", 8).await;
    let more = house.store.ledger_tail(Some(place), 2).await.unwrap();
    assert_eq!(names(&more), "0f");
    let last = house.store.ledger_tail(Some(more[1].0), 2).await.unwrap();
    assert_eq!(names(&last), "e");
}

#[tokio::test]
async fn moments_before_2000_and_text_with_nul_are_stored() {
    let house = House::build().await;
    let row = AuditRow {
        occurred_at: -1,
        resource: Some("a\0b".into()),
        detail: r#"{"k\u0000": ["\u0000", "\\u0000", 1]}"#.into(),
        ..audit(id('1'), "open")
    };
    let batch = Batch {
        audit: vec![row],
        ..Batch::default()
    };
    house.store.apply_ledger(&batch).await.unwrap();
    let stored = &house.record(&request()).await.unwrap().audit[0];
    assert_eq!(stored.occurred_at, -1);
    let detail: serde_json::Value = serde_json::from_str(&stored.detail).unwrap();
    let nul = match house.site {
        Site::Sqlite(_) => '\0',
        Site::Postgres(_) => '\u{fffd}',
    };
    assert_eq!(stored.resource, Some(format!("a{nul}b")));
    let key = format!("k{nul}");
    assert_eq!(detail[key.as_str()][0], nul.to_string());
    assert_eq!(detail[key.as_str()][1], "\\u0000", "no NUL, but six characters");
}

#[tokio::test]
async fn audit_has_its_eighteen_columns() {
    let house = House::build().await;
    let sql = match house.site {
        Site::Sqlite(_) => "SELECT name FROM pragma_table_info('audit')",
        Site::Postgres(_) => {
            "SELECT column_name::text FROM information_schema.columns
             WHERE table_name = 'audit' ORDER BY ordinal_position"
        }
    };
    let names = house.store.read_texts(sql).await;
    let expected = "id occurred_at kind request_id tenant_id user_id session_id task_id trace_id context_id \
         client_id action resource decision reason policy_digest cost_microdollars detail";
    assert_eq!(names.join(" "), expected);
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused() {
    let house = House::build().await;
    house
        .store
        .run_sql(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (9999, 'the future', true, '', 0)",
        )
        .await;
    house.store.close().await;
    let refused = Store::connect(&house.site.url(), None).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::Newer { found: 9999, .. }),
        "{refused:?}"
    );
}
