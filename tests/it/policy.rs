//! Default deny, forbid by name, and the statuses that clients act on.

use serde_json::{Value, json};

use crate::support::anthropic_sim;
use crate::support::client::{Answer, Call};
use crate::support::gateway::Gateway;
use crate::support::prompt::ask;
use crate::support::records::{rows_of, text};
use crate::support::setup::{MODEL, Setup};

const FORBID_USERS: &str = r#"@id("no-sonnet-for-users") forbid (principal in Role::"user",
    action == Action::"invoke", resource == Model::"claude-sonnet-4-6");"#;

async fn ask_as(gateway: &Gateway, key: &str, user_agent: &str) -> Answer {
    let call = Call::messages(key, &ask("hello")).header("user-agent", user_agent);
    gateway.call(&call).await
}

#[tokio::test]
async fn a_denial_names_the_policy_and_the_way_out() {
    let sim = anthropic_sim::start().await;
    let setup = Setup::anthropic(&sim).policy(FORBID_USERS);
    let gateway = setup.start().await;
    let key = gateway.any_key().await;
    let agents = [
        ("Anthropic/Python 2.12.0", 403),
        ("claude-cli/2.1.329 (external, cli)", 451),
        ("not-claude-cli/1", 403),
    ];
    for (agent, status) in agents {
        let answer = ask_as(&gateway, &key, agent).await;
        assert_eq!(
            (answer.status, answer.error_type().as_str()),
            (status, "permission_error"),
            "{agent}"
        );
        assert_eq!(answer.header("x-should-retry"), Some("false"), "{agent}");
        let message = answer.error_message();
        assert!(
            message.contains("no-sonnet-for-users"),
            "names the policy: {message}"
        );
        assert!(
            message.contains(&answer.request_id()),
            "names the request: {message}"
        );
    }
    assert_eq!(sim.connections(), 0);

    let service = gateway.user("bot@acme.test", "service").await.key;
    assert_eq!(
        ask_as(&gateway, &service, "x").await.status,
        200,
        "the policy names users only"
    );
}

#[tokio::test]
async fn a_denial_is_recorded_with_its_policy() {
    let sim = anthropic_sim::start().await;
    let setup = Setup::anthropic(&sim).policy(FORBID_USERS);
    let gateway = setup.start().await;
    let key = gateway.any_key().await;
    let request = ask_as(&gateway, &key, "x").await.request_id();
    let audit = rows_of(&gateway, "audit", &request).await;
    assert_eq!(text(&audit[0], "decision"), "deny");
    assert!(
        text(&audit[0], "reason").contains("no-sonnet-for-users"),
        "{audit:?}"
    );
    assert_eq!(text(&audit[0], "policy_digest").len(), 64, "{audit:?}");
    let decisions = rows_of(&gateway, "governance_decisions", &request).await;
    assert!(
        decisions
            .iter()
            .any(|row| text(row, "rule").contains("no-sonnet-for-users")),
        "{decisions:?}"
    );
}

#[tokio::test]
async fn what_no_policy_permits_is_denied() {
    let sim = anthropic_sim::start().await;
    let gateway = Setup::anthropic(&sim).start().await;
    let key = gateway.user("nobody@acme.test", "anonymous").await.key;
    let answer = ask_as(&gateway, &key, "x").await;
    assert!(
        [403, 404].contains(&answer.status),
        "{} {}",
        answer.status,
        answer.text()
    );
    assert_eq!(sim.connections(), 0);
}

#[tokio::test]
async fn a_model_that_does_not_exist_and_one_that_is_withheld_look_alike() {
    let sim = anthropic_sim::start().await;
    let gateway = Setup::anthropic(&sim).start().await;
    let key = gateway.any_key().await;
    let mut body = ask("hello");
    body["model"] = "gpt-of-nobody".into();
    let answer = gateway.call(&Call::messages(&key, &body)).await;
    assert_eq!(
        (answer.status, answer.error_type().as_str()),
        (404, "not_found_error")
    );
    assert!(
        answer.error_message().contains("gpt-of-nobody"),
        "{}",
        answer.text()
    );
    assert_eq!(sim.connections(), 0);
}

#[tokio::test]
async fn a_forbidden_candidate_is_skipped() {
    let near = anthropic_sim::start().await;
    let far = anthropic_sim::start().await;
    let stay = r#"@id("users-stay-near") forbid (principal in Role::"user", action == Action::"connect",
        resource == Upstream::"far");"#;
    let setup = Setup::new()
        .upstream("far", "anthropic", &far.url())
        .upstream("near", "anthropic", &near.url())
        .model(MODEL)
        .route("claude-*", &["far", "near"], None)
        .policy(stay);
    let gateway = setup.start().await;
    let key = gateway.any_key().await;
    assert_eq!(ask_as(&gateway, &key, "x").await.status, 200);
    assert_eq!((far.connections(), near.count()), (0, 1));

    let service = gateway.user("bot@acme.test", "service").await.key;
    assert_eq!(ask_as(&gateway, &service, "x").await.status, 200);
    assert_eq!((far.count(), near.count()), (1, 1), "services may go far");
}

#[tokio::test]
async fn no_candidate_left_is_a_denial() {
    let far = anthropic_sim::start().await;
    let stay = r#"@id("users-stay-near") forbid (principal in Role::"user", action == Action::"connect",
        resource == Upstream::"sim");"#;
    let gateway = Setup::anthropic(&far).policy(stay).start().await;
    let key = gateway.any_key().await;
    let answer = ask_as(&gateway, &key, "x").await;
    assert_eq!(
        (answer.status, answer.error_type().as_str()),
        (403, "permission_error")
    );
    assert!(
        answer.error_message().contains("users-stay-near"),
        "{}",
        answer.text()
    );
    assert_eq!(far.connections(), 0);
}

#[tokio::test]
async fn what_the_upstream_would_execute_or_keep_is_decided_too() {
    let sim = anthropic_sim::start().await;
    let gateway = Setup::anthropic(&sim).start().await;
    let key = gateway.any_key().await;
    let allowed = [
        json!({"tools": [{"name": "mine", "input_schema": {"type": "object"}}]}),
        json!({"tools": [{"type": "bash_20250124", "name": "bash"}]}),
        json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
    ];
    let denied = [
        (
            json!({"tools": [{"type": "code_execution_20250825", "name": "code_execution"}]}),
            "code_execution",
        ),
        (
            json!({"tools": [{"type": "of_tomorrow_20270101", "name": "x"}]}),
            "unknown",
        ),
        (
            json!({"mcp_servers": [{"type": "url", "url": "https://mcp.example/x", "name": "x"}]}),
            "mcp",
        ),
        (json!({"container": "container_011CZ"}), "container"),
    ];
    let call = |fields: &Value| {
        let mut body = ask("hello");
        body.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        Call::messages(&key, &body)
    };
    for fields in &allowed {
        let answer = gateway.call(&call(fields)).await;
        assert_eq!(answer.status, 200, "{fields}: {}", answer.text());
    }
    for (fields, named) in &denied {
        let answer = gateway.call(&call(fields)).await;
        assert_eq!(
            (answer.status, answer.error_type().as_str()),
            (403, "permission_error"),
            "{fields}"
        );
        assert!(
            answer.error_message().contains(named),
            "{fields}: {}",
            answer.text()
        );
    }
    assert_eq!(sim.count(), allowed.len());
}

#[tokio::test]
async fn beyond_the_rate_is_429_with_the_time_to_wait() {
    let sim = anthropic_sim::start().await;
    let gateway = Setup::anthropic(&sim)
        .set("limits", "requests_per_minute", "6")
        .start()
        .await;
    let key = gateway.any_key().await;
    // 6 a minute are 1 in 10 seconds, and the burst is three times that.
    let mut statuses = Vec::new();
    let mut refused = None;
    for _ in 0..6 {
        let answer = ask_as(&gateway, &key, "x").await;
        statuses.push(answer.status);
        refused = Some(answer);
    }
    let allowed = statuses.iter().filter(|status| **status == 200).count();
    assert!((3..=4).contains(&allowed), "{statuses:?}");
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
    let refused = refused.unwrap();
    assert_eq!(refused.error_type(), "rate_limit_error");
    let wait: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=40).contains(&wait), "{wait}");
    assert_eq!(sim.count(), allowed);

    let other = gateway.key_of("ada@acme.test").await.key;
    assert_eq!(
        ask_as(&gateway, &other, "x").await.status,
        200,
        "the limit is per key"
    );
}
