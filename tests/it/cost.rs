//! What was spent, and whether the provider says the same.

use serde_json::{Value, json};

use crate::support::client::Call;
use crate::support::gateway::Gateway;
use crate::support::prompt::ask;
use crate::support::records::{rows_of, text as text_of};
use crate::support::setup::{MODEL, Setup};
use crate::support::upstream::Upstream;
use crate::support::wait::until;
use crate::support::{anthropic_sim, openai_sim};

/// The sums by this, once so many requests are in them.
async fn sums(gateway: &Gateway, by: &str, requests: i64) -> Vec<Value> {
    until("the requests to be added up", async || {
        let rows = gateway.cli(&["cost", "--by", by, "--json"]).await.json_lines();
        let counted: i64 = rows.iter().filter_map(|row| row["requests"].as_i64()).sum();
        (counted == requests).then_some(rows)
    })
    .await
}

/// A gateway through which three requests went, and the sum of them.
async fn spent(sim: &Upstream) -> (Gateway, Value) {
    let gateway = Setup::anthropic(sim).start().await;
    let key = gateway.any_key().await;
    for _ in 0..3 {
        assert_eq!(
            gateway.call(&Call::messages(&key, &ask("hello"))).await.status,
            200
        );
    }
    let mut by_model = sums(&gateway, "model", 3).await;
    assert_eq!(by_model.len(), 1, "{by_model:?}");
    (gateway, by_model.remove(0))
}

#[tokio::test]
async fn costs_are_added_up_by_whatever_is_asked_for() {
    let sim = anthropic_sim::start().await;
    let (gateway, all) = spent(&sim).await;
    assert!(
        all["output"].as_i64() > Some(0) && all["cost_microdollars"].as_i64() > Some(0),
        "{all}"
    );
    for by in ["user", "team", "tenant", "upstream", "day"] {
        let rows = sums(&gateway, by, 3).await;
        let cost: i64 = rows
            .iter()
            .map(|row| row["cost_microdollars"].as_i64().unwrap())
            .sum();
        assert_eq!(Some(cost), all["cost_microdollars"].as_i64(), "{by}");
    }
    let none = gateway
        .cli(&["cost", "--from", "2026-02-01", "--to", "2026-01-01"])
        .await;
    assert!(none.code == 2 && none.stderr.contains("--to"), "{none:?}");
}

#[tokio::test]
async fn an_export_is_compared_and_differences_are_classed() {
    let sim = anthropic_sim::start().await;
    let (gateway, all) = spent(&sim).await;
    let day = sums(&gateway, "day", 3).await[0]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    let result = |model: &str, output: i64| {
        json!({"model": model, "uncached_input_tokens": all["input"], "cache_read_input_tokens": all["cache_read"],
            "cache_creation": {"ephemeral_5m_input_tokens": all["cache_write"], "ephemeral_1h_input_tokens": 0},
            "output_tokens": output})
    };
    let export = |results: Value| json!({"has_more": false, "data": [{"starting_at": format!("{day}T00:00:00Z"), "results": results}]});
    let compare = async |export: Value| {
        gateway.home.write("usage.json", &export.to_string());
        let file = gateway.home.join("usage.json");
        let file = file.to_str().unwrap();
        let verbs = ["cost", "reconcile", "--provider", "anthropic", "--json", file];
        gateway.cli(&verbs).await
    };
    let output = all["output"].as_i64().unwrap();
    let agrees = compare(export(json!([result(MODEL, output)]))).await.json();
    assert_eq!(
        (&agrees["differences"], &agrees["requests"]),
        (&json!([]), &json!(3))
    );

    let differs = compare(export(json!([result(MODEL, output + 11)]))).await;
    assert_eq!(differs.code, 8, "{differs:?}");
    let found: Value = serde_json::from_str(&differs.stdout).unwrap();
    let one = &found["differences"][0];
    assert_eq!(
        (&one["class"], &one["output"]),
        (&json!("unexplained"), &json!(11)),
        "{found}"
    );
    assert_eq!(one["cost_microdollars"], 11 * 15, "{found}");

    let other = json!([result(MODEL, output), result("claude-haiku-4-5", 0)]);
    let differs = compare(export(other)).await;
    assert_eq!(differs.code, 7, "{differs:?}");
    assert!(differs.stdout.contains("missing_in_ledger"), "{differs:?}");
    let page = compare(json!({"has_more": true, "data": []})).await;
    assert!(page.code == 2 && page.stderr.contains("usage.json"), "{page:?}");
}

#[tokio::test]
async fn tokens_are_counted_here_where_the_upstream_cannot() {
    let sim = openai_sim::start().await;
    let gateway = Setup::openai(&sim).start().await;
    let key = gateway.any_key().await;
    // 11 tokens by another program (tests/golden/count-tokens.toml), one message and the priming.
    let text = "You are a careful assistant. Answer in one sentence.";
    let body = json!({"model": MODEL, "messages": [{"role": "user", "content": text}]});
    let count = |body: &Value| Call::post("/v1/messages/count_tokens", body).key(&key);
    let answer = gateway.call(&count(&body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json(), json!({"input_tokens": 18}));
    assert_eq!(answer.header("x-tollgate-estimated"), Some("true"));
    assert_eq!(sim.count(), 0, "nothing leaves the node");
    let request = answer.request_id();
    let row = until("the count to be written down", async || {
        let row = rows_of(&gateway, "ai_requests", &request).await.remove(0);
        (text_of(&row, "outcome") != "open").then_some(row)
    })
    .await;
    assert_eq!(
        (text_of(&row, "outcome"), text_of(&row, "cost_state")),
        ("complete", "none"),
        "{row:?}"
    );
    assert!(text_of(&row, "attempts").contains("estimated"), "{row:?}");
    let other = gateway
        .call(&Call::post("/v1/messages/count_tokens", &body))
        .await;
    assert_eq!(other.status, 401, "it is governed as everything is");
}
