//! Access tokens of Google Cloud, lent to the upstream on Vertex AI.

use serde_json::{Value, json};

use crate::lent::{assert_fails_closed, authorization, claude, hello, opened};
use crate::support::google_sim::{self, COMPLAINT, SUBJECT, TOKEN};
use crate::support::setup::{MODEL, Setup};
use crate::support::upstream::Upstream;
use crate::support::wait::until;

const OPTIONS: &str = "options = { project = \"acme\", location = \"us-east5\" }\n";

/// Vertex AI, whose tokens are had for this credential configuration.
fn setup(sim: &Upstream, written: &Value) -> Setup {
    Setup::new()
        .set("secrets", "google", "\"file:google.json\"")
        .file("google.json", &written.to_string())
        .table(&format!(
            "[[upstream]]\nname = \"sim\"\nprovider = \"vertex\"\nendpoint = \"{}/v1\"\ncredentials = \"exchange\"\n\
             api_key_secret = \"google\"\n{OPTIONS}",
            sim.url()
        ))
        .set("resilience", "rest_max", "\"1ms\"")
        .model(MODEL)
        .route("claude-*", &["sim"], None)
}

#[tokio::test]
async fn the_key_of_a_service_account_signs_for_tokens_that_are_renewed() {
    let (sim, lender) = (claude(TOKEN).await, google_sim::start(3).await);
    let gateway = setup(&sim, &google_sim::service_account(&lender.url()))
        .start()
        .await;
    let key = gateway.any_key().await;
    until("a renewal", async || {
        let answer = hello(&gateway, &key).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        (lender.count() >= 2).then_some(())
    })
    .await;
    let sent = sim.last();
    let bearer = format!("Bearer {TOKEN}service-account");
    assert_eq!(sent.head.header("authorization"), Some(bearer.as_str()));
    assert!(
        sent.target()
            .ends_with("/publishers/anthropic/models/claude-sonnet-4-6:rawPredict")
    );
    assert!(!String::from_utf8_lossy(&lender.bytes()).contains("PRIVATE KEY"));
    let checked = gateway.cli(&["check"]).await.ok().stdout;
    assert!(
        checked.contains(&format!("credentials of sim       {}/token", lender.url())),
        "{checked}"
    );
    let log = gateway.log();
    assert!(!log.contains(TOKEN), "{log}");
}

#[tokio::test]
async fn a_revoked_key_fails_closed_and_tells_nothing() {
    let (sim, lender) = (claude(TOKEN).await, google_sim::start(3_600).await);
    let mut written = google_sim::service_account(&lender.url());
    written["private_key_id"] = json!("key-2");
    let gateway = setup(&sim, &written)
        .set("log", "filter", "\"debug\"")
        .start()
        .await;
    let key = gateway.any_key().await;
    let answer = hello(&gateway, &key).await;
    assert_fails_closed(&gateway, &answer, "the key is not revoked", &[COMPLAINT]).await;
    assert_eq!((lender.count(), sim.count()), (1, 0));
}

#[tokio::test]
async fn a_federated_identity_is_exchanged_and_may_act_as_a_service_account() {
    let (sim, lender) = (claude(TOKEN).await, google_sim::start(3_600).await);
    for (acts, as_json, name) in [(false, false, "federated"), (true, true, "acting")] {
        let text = if as_json {
            json!({"access_token": SUBJECT}).to_string()
        } else {
            SUBJECT.to_owned()
        };
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("subject");
        std::fs::write(&file, &text).unwrap();
        let format = json!({"type": "json", "subject_token_field_name": "access_token"});
        let source = match as_json {
            true => json!({"file": file, "format": format}),
            false => json!({"file": file}),
        };
        let written = google_sim::external_account(&lender.url(), &source, acts);
        let gateway = setup(&sim, &written).start().await;
        let key = gateway.any_key().await;
        let answer = hello(&gateway, &key).await;
        assert_eq!(answer.status, 200, "{}{}", answer.text(), gateway.log());
        let bearer = format!("Bearer {TOKEN}{name}");
        assert_eq!(sim.last().head.header("authorization"), Some(bearer.as_str()));
    }
}

#[tokio::test]
async fn what_is_no_credential_configuration_is_a_mistake_that_repeats_nothing() {
    let sim = claude(TOKEN).await;
    let damaged = json!({"type": "service_account", "client_email": "a", "private_key_id": "k",
        "private_key": "-----BEGIN PRIVATE KEY-----\ncanary-of-a-key\n-----END PRIVATE KEY-----\n",
        "token_uri": "https://oauth2.googleapis.com/token"});
    let mut plain = google_sim::service_account("http://token.example");
    plain["project_id"] = json!("canary-of-a-key");
    let by_url = json!({"url": "http://169.254.169.254/canary-of-a-key"});
    for (written, told) in [
        (json!("canary-of-a-key"), "is not such a JSON"),
        (
            json!({"type": "authorized_user", "refresh_token": "canary-of-a-key"}),
            "is of another type",
        ),
        (damaged, "holds a damaged key"),
        (plain, "is not safe for credentials: use https://"),
        (
            google_sim::external_account("https://sts.example", &by_url, false),
            "credential_source.file",
        ),
    ] {
        let (home, environment) = setup(&sim, &written).write();
        let config = home.join("tollgate.toml").to_string_lossy().into_owned();
        let checked = crate::support::gateway::run(&["--config", &config, "check"], &environment).await;
        assert_eq!(checked.code, 2, "{}", checked.stderr);
        assert!(checked.stderr.contains(told), "{told}: {}", checked.stderr);
        assert!(
            checked.stderr.contains("tollgate.toml:"),
            "with its line: {}",
            checked.stderr
        );
        assert!(!checked.stderr.contains("canary"), "{}", checked.stderr);
    }
}

#[tokio::test]
async fn a_machine_gets_the_token_of_its_service_account() {
    let metadata = google_sim::start(3_600).await;
    let provider = opened("vertex", &[("project", "acme")], &metadata);
    for _ in 0..2 {
        assert_eq!(
            authorization(&*provider).await.unwrap(),
            format!("Bearer {TOKEN}machine")
        );
    }
    assert_eq!(metadata.count(), 1);
}
