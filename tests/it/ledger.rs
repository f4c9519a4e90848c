//! What is written down about a request, a denial, a failure and a client that left.

use serde_json::Value;
use tollgate::types::digest::Sha256;

use crate::support::client::Call;
use crate::support::gateway::Gateway;
use crate::support::prompt::{ask, ask_stream};
use crate::support::records::{Row, bare, columns, rows_of, text};
use crate::support::setup::{MODEL, Setup};
use crate::support::upstream::{Step, Upstream, chunk, stream_head};
use crate::support::wait::until;
use crate::support::{anthropic_sim, openai_sim, sse};

#[tokio::test]
async fn the_audit_table_has_exactly_its_18_columns() {
    let sim = anthropic_sim::start().await;
    let gateway = Setup::anthropic(&sim).start().await;
    let named = "id, occurred_at, kind, request_id, tenant_id, user_id, session_id, task_id, trace_id, context_id, \
                 client_id, action, resource, decision, reason, policy_digest, cost_microdollars, detail";
    assert_eq!(columns(&gateway, "audit").join(", "), named);
}

/// A field that must hold a number.
fn number(row: &Row, column: &str) -> i64 {
    row.get(column)
        .and_then(Value::as_i64)
        .unwrap_or_else(|| panic!("{column} is no number in {row:?}"))
}

/// The row of a request in `ai_requests` once it is closed.
async fn closed(gateway: &Gateway, request: &str) -> Row {
    until("the request to be closed in the store", async || {
        let row = rows_of(gateway, "ai_requests", request).await.remove(0);
        (text(&row, "outcome") != "open").then_some(row)
    })
    .await
}

#[tokio::test]
async fn a_request_is_written_down_with_usage_cost_and_digests() {
    let sim = anthropic_sim::start().await;
    let gateway = Setup::anthropic(&sim).start().await;
    let key = gateway.any_key().await;
    for body in [ask("hello"), ask_stream("hello")] {
        let request = gateway.call(&Call::messages(&key, &body)).await.request_id();
        let row = closed(&gateway, &request).await;
        let names = ["requested_model", "served_model", "upstream"].map(|column| text(&row, column));
        assert_eq!(names, [MODEL, MODEL, "sim"], "{row:?}");
        let counts = [
            "input_tokens",
            "output_tokens",
            "cache_read_tokens",
            "cache_write_5m_tokens",
        ];
        assert_eq!(
            counts.map(|column| number(&row, column)),
            [25, 15, 7, 5],
            "{row:?}"
        );
        assert!(number(&row, "cost_microdollars") > 0, "{row:?}");
        for column in ["latency_us", "ttfb_us"] {
            assert!(number(&row, column) > 0, "{column}: {row:?}");
        }
        let digest = Sha256::of(body.to_string().as_bytes()).to_string();
        assert_eq!(
            text(&row, "request_digest"),
            digest,
            "the body as received: {row:?}"
        );
    }
}

#[tokio::test]
async fn a_request_is_audited_with_its_decisions() {
    let sim = anthropic_sim::start().await;
    let gateway = Setup::anthropic(&sim).start().await;
    let key = gateway.any_key().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let call =
        Call::messages(&key, &ask("hello")).header("traceparent", &format!("00-{trace}-b7ad6b7169203331-01"));
    let request = gateway.call(&call).await.request_id();
    let audit = rows_of(&gateway, "audit", &request).await;
    let allowed = audit.iter().find(|row| text(row, "decision") == "allow");
    let row = allowed.unwrap_or_else(|| panic!("{audit:?}"));
    assert_eq!(row.len(), 18);
    assert_eq!(text(row, "trace_id"), trace, "{row:?}");
    for column in [
        "id",
        "kind",
        "tenant_id",
        "user_id",
        "session_id",
        "action",
        "resource",
        "policy_digest",
    ] {
        assert!(!text(row, column).is_empty(), "{column}: {row:?}");
    }
    let decisions = rows_of(&gateway, "governance_decisions", &request).await;
    assert!(
        decisions.iter().any(|row| text(row, "outcome") == "allow"),
        "{decisions:?}"
    );
    assert!(
        decisions.iter().all(|row| !text(row, "stage").is_empty()),
        "{decisions:?}"
    );
}

#[tokio::test]
async fn a_translated_request_names_both_dialects_and_its_usage() {
    let sim = openai_sim::start().await;
    let gateway = Setup::openai(&sim).start().await;
    let key = gateway.any_key().await;
    let request = gateway
        .call(&Call::messages(&key, &ask_stream("hello")))
        .await
        .request_id();
    let row = closed(&gateway, &request).await;
    assert_eq!(
        [
            number(&row, "input_tokens"),
            number(&row, "output_tokens"),
            number(&row, "cache_read_tokens")
        ],
        [30, 15, 7]
    );
    assert_eq!(text(&row, "client_dialect"), "anthropic_messages", "{row:?}");
    assert!(text(&row, "upstream_dialect").contains("openai"), "{row:?}");
}

#[tokio::test]
async fn a_client_that_left_is_closed_as_such() {
    let event = serde_json::json!({"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant",
        "model": MODEL, "content": [], "stop_reason": null, "usage": {"input_tokens": 11, "output_tokens": 1}}});
    let sim = Upstream::scripted([vec![
        stream_head(&[]),
        chunk(&sse::anthropic_event(&event)),
        Step::Hang,
    ]])
    .await;
    let gateway = Setup::anthropic(&sim).start().await;
    let key = gateway.any_key().await;
    let mut stream = gateway.stream(&Call::messages(&key, &ask_stream("hello"))).await;
    stream.event().await.unwrap();
    let request = stream.head.header("request-id").unwrap().to_owned();
    stream.reset();
    let row = closed(&gateway, &request).await;
    assert_eq!(text(&row, "outcome"), "client_gone", "{row:?}");
    assert_eq!(
        number(&row, "input_tokens"),
        11,
        "what was seen is counted: {row:?}"
    );
    // One token was told, and 50 are made until the upstream notices; sonnet: 11 × 3 + 51 × 15.
    assert_eq!(number(&row, "output_tokens"), 51, "{row:?}");
    assert_eq!(number(&row, "cost_microdollars"), 798, "{row:?}");
    assert_eq!(text(&row, "cost_state"), "estimated", "{row:?}");
    // SQLite has no booleans of its own.
    let estimated = [serde_json::json!(true), serde_json::json!(1)];
    assert!(estimated.contains(&row["usage_estimated"]), "{row:?}");
}

#[tokio::test]
async fn a_failed_upstream_is_closed_as_such() {
    let sim = Upstream::scripted([vec![Step::Reset]]).await;
    let gateway = Setup::anthropic(&sim).start().await;
    let key = gateway.any_key().await;
    let answer = gateway.call(&Call::messages(&key, &ask("hello"))).await;
    assert_eq!(answer.status, 502);
    let row = closed(&gateway, &answer.request_id()).await;
    assert_eq!(
        (text(&row, "outcome"), number(&row, "status")),
        ("error", 502),
        "{row:?}"
    );
}

#[tokio::test]
async fn an_unknown_price_is_a_visible_state() {
    let sim = anthropic_sim::start().await;
    let setup = Setup::new()
        .upstream("sim", "anthropic", &sim.url())
        .model("house-model-without-price");
    let gateway = setup.route("house-*", &["sim"], None).start().await;
    let key = gateway.any_key().await;
    let mut body = ask("hello");
    body["model"] = "house-model-without-price".into();
    let request = gateway.call(&Call::messages(&key, &body)).await.request_id();
    let row = closed(&gateway, &request).await;
    assert_eq!(
        row.get("cost_microdollars"),
        Some(&Value::Null),
        "unknown is not zero: {row:?}"
    );
}

#[tokio::test]
async fn a_full_journal_refuses_precisely_and_forwards_nothing() {
    let sim = anthropic_sim::start().await;
    let gateway = Setup::anthropic(&sim)
        .set("ledger", "max_bytes", "\"128 KiB\"")
        .start()
        .await;
    let key = gateway.any_key().await;
    let mut connection = gateway.connect().await;
    let mut allowed = 0;
    let refused = loop {
        let answer = connection.call(&Call::messages(&key, &ask("hello"))).await;
        match answer.status {
            200 => allowed += 1,
            _ => break answer,
        }
        assert!(allowed < 1_000, "128 KiB do not hold a thousand records");
    };
    assert_eq!(
        (refused.status, refused.error_type().as_str()),
        (503, "api_error"),
        "{}",
        refused.text()
    );
    assert!(refused.header("retry-after").is_some());
    assert!(
        refused.error_message().contains("journal is full"),
        "{}",
        refused.text()
    );
    assert!(allowed > 3, "{allowed}");
    assert_eq!(sim.count(), allowed, "what cannot be recorded is not forwarded");
}

#[tokio::test]
async fn the_command_line_shows_the_ledger() {
    let sim = anthropic_sim::start().await;
    let gateway = Setup::anthropic(&sim).start().await;
    let key = gateway.any_key().await;
    let request = gateway
        .call(&Call::messages(&key, &ask("hello")))
        .await
        .request_id();
    closed(&gateway, &request).await;

    let tail = gateway.cli(&["ledger", "tail", "--json"]).await.json_lines();
    let ours = |row: &&Value| bare(row["request_id"].as_str().unwrap_or_default()) == bare(&request);
    assert!(tail.iter().any(|row| ours(&row)), "{tail:?}");

    let shown = gateway
        .cli(&["ledger", "show", &request, "--json"])
        .await
        .ok()
        .stdout;
    for part in [MODEL, "sim", &bare(&request)[..8]] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let spoken = gateway.cli(&["ledger", "show", &request]).await.ok().stdout;
    assert!(spoken.contains(MODEL), "{spoken}");
    let unknown = gateway
        .cli(&["ledger", "show", "req_00000000000070008000000000000000"])
        .await;
    assert!(unknown.code != 0 && !unknown.stderr.is_empty(), "{unknown:?}");
}

#[tokio::test]
async fn administrative_changes_are_written_down() {
    let sim = anthropic_sim::start().await;
    let gateway = Setup::anthropic(&sim).start().await;
    let key = gateway.user("ada@acme.test", "user").await;
    gateway.cli(&["key", "revoke", &key.id]).await.ok();
    until("the changes in the audit table", async || {
        let rows = crate::support::records::rows(
            &gateway,
            "SELECT * FROM audit WHERE request_id IS NULL OR kind NOT LIKE '%request%'",
        );
        let all = format!("{rows:?}");
        (all.contains("user") && all.contains("key") && all.contains("revoke")).then_some(())
    })
    .await;
}
