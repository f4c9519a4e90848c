//! Who is let in: keys and tokens in both headers, and who is not.

use std::time::{Duration, Instant};

use crate::support::anthropic_sim;
use crate::support::client::{Answer, Call};
use crate::support::gateway::Gateway;
use crate::support::prompt::ask;
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;
use crate::support::wait::{pause, until_within};

const ADA: &str = "ada@acme.test";

async fn gateway() -> (Gateway, Upstream) {
    let sim = anthropic_sim::start().await;
    (Setup::anthropic(&sim).start().await, sim)
}

fn hello() -> Call {
    Call::post("/v1/messages", &ask("hello")).header("anthropic-version", "2023-06-01")
}

fn assert_turned_away(answer: &Answer, case: &str) {
    assert_eq!(
        (answer.status, answer.error_type().as_str()),
        (401, "authentication_error"),
        "{case}"
    );
    assert_eq!(
        answer.header("x-should-retry"),
        Some("false"),
        "{case}: clients must not retry for minutes"
    );
    assert!(
        answer.header("www-authenticate").is_some(),
        "{case}: RFC 9110 section 11.6.1"
    );
    assert!(
        answer.error_message().len() > 20,
        "{case}: names problem and fix: {}",
        answer.text()
    );
    answer.request_id();
}

#[tokio::test]
async fn keys_and_tokens_are_accepted_in_both_headers() {
    let (gateway, sim) = gateway().await;
    let key = gateway.user(ADA, "user").await.key;
    assert!(key.starts_with("tg_live_"), "the form that secret scanners know");
    let token = gateway.token_of(ADA, "15m").await;
    for credential in [&key, &token] {
        let in_both = hello().header("x-api-key", credential).bearer(credential);
        for call in [
            hello().header("x-api-key", credential),
            hello().bearer(credential),
            in_both,
        ] {
            let answer = gateway.call(&call).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
    assert_eq!(sim.count(), 6);
    let lower = hello().header("authorization", &format!("bearer {key}"));
    assert_eq!(
        gateway.call(&lower).await.status,
        200,
        "the scheme has no case (RFC 9110 section 11.1)"
    );
}

#[tokio::test]
async fn two_different_credentials_are_one_too_many() {
    let (gateway, sim) = gateway().await;
    let key = gateway.user(ADA, "user").await.key;
    let other = gateway.key_of(ADA).await.key;
    let token = gateway.token_of(ADA, "15m").await;
    for (first, second) in [(&key, &other), (&key, &token)] {
        let answer = gateway
            .call(&hello().header("x-api-key", first).bearer(second))
            .await;
        assert_turned_away(&answer, "two that differ");
    }
    let twice = hello().header("x-api-key", &key).header("x-api-key", &other);
    assert_turned_away(&gateway.call(&twice).await, "two of one header");
    assert_eq!(sim.connections(), 0);
}

#[tokio::test]
async fn what_nobody_issued_is_turned_away() {
    let (gateway, sim) = gateway().await;
    let key = gateway.user(ADA, "user").await.key;
    let token = gateway.token_of(ADA, "15m").await;
    let flipped = |text: &str, at: usize| {
        let letter = if &text[at..=at] == "a" { "b" } else { "a" };
        format!("{}{letter}{}", &text[..at], &text[at + 1..])
    };
    let (head, rest) = token.split_once('.').unwrap();
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", rest.split_once('.').unwrap().0);
    let cases = [
        ("empty", String::new()),
        ("nonsense", "letmein".to_owned()),
        (
            "a key of another product",
            "sk-ant-api03-xxxxxxxxxxxxxxxxxxxxxxxx".to_owned(),
        ),
        ("a key with a typo", flipped(&key, key.len() - 12)),
        ("a key cut short", key[..key.len() - 1].to_owned()),
        (
            "a token with a changed signature",
            flipped(&token, token.len() - 20),
        ),
        ("a token with a changed claim", flipped(&token, head.len() + 20)),
        ("a token that is not signed", unsigned),
        ("a very long one", "tg_live_".to_owned() + &"x".repeat(4_000)),
    ];
    for (case, credential) in cases {
        assert_turned_away(
            &gateway.call(&hello().header("x-api-key", &credential)).await,
            case,
        );
        assert_turned_away(&gateway.call(&hello().bearer(&credential)).await, case);
    }
    assert_turned_away(&gateway.call(&hello()).await, "none");
    assert_turned_away(
        &gateway.call(&hello().header("authorization", "Basic YTpi")).await,
        "another scheme",
    );
    assert_eq!(sim.connections(), 0);
    assert_eq!(gateway.call(&hello().bearer(&key)).await.status, 200);
}

#[tokio::test]
async fn credentials_of_another_installation_are_foreign() {
    let (ours, sim) = gateway().await;
    let (theirs, _their_sim) = gateway().await;
    let key = theirs.user(ADA, "user").await.key;
    let token = theirs.token_of(ADA, "15m").await;
    ours.user(ADA, "user").await;
    for credential in [key, token] {
        assert_turned_away(&ours.call(&hello().bearer(&credential)).await, "foreign");
    }
    assert_eq!(sim.connections(), 0);
}

#[tokio::test]
async fn expired_tokens_are_turned_away() {
    let (gateway, _sim) = gateway().await;
    gateway.user(ADA, "user").await;
    let token = gateway.token_of(ADA, "1s").await;
    // Clocks of replicas may differ by half a minute, so that is how long it is still taken.
    let patience = Duration::from_secs(45);
    let refused = until_within(patience, "the token to expire", async || {
        pause(Duration::from_millis(200)).await;
        let answer = gateway.call(&hello().bearer(&token)).await;
        (answer.status != 200).then_some(answer)
    });
    assert_turned_away(&refused.await, "expired");
}

/// The credential works, and within two seconds after the change it does not.
async fn assert_ends(gateway: &Gateway, credential: &str, change: &[&str]) {
    assert_eq!(
        gateway.call(&hello().bearer(credential)).await.status,
        200,
        "before {change:?}"
    );
    gateway.cli(change).await.ok();
    let changed = Instant::now();
    loop {
        let answer = gateway.call(&hello().bearer(credential)).await;
        if answer.status == 401 {
            return assert_turned_away(&answer, "revoked");
        }
        assert!(
            changed.elapsed() < Duration::from_secs(2),
            "{change:?} is not honoured in time: {}",
            answer.status
        );
        pause(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_revoked_key_ends_within_two_seconds_and_alone() {
    let (gateway, _sim) = gateway().await;
    let key = gateway.user(ADA, "user").await;
    let other = gateway.key_of(ADA).await;
    assert_ends(&gateway, &key.key, &["key", "revoke", &key.id]).await;
    assert_eq!(gateway.call(&hello().bearer(&other.key)).await.status, 200);
}

#[tokio::test]
async fn a_disabled_user_ends_with_keys_and_tokens() {
    let (gateway, _sim) = gateway().await;
    let key = gateway.user(ADA, "user").await.key;
    let token = gateway.token_of(ADA, "15m").await;
    let bob = gateway.user("bob@acme.test", "user").await.key;
    assert_eq!(gateway.call(&hello().bearer(&token)).await.status, 200);
    assert_ends(&gateway, &key, &["user", "disable", "--tenant", "acme", ADA]).await;
    assert_turned_away(
        &gateway.call(&hello().bearer(&token)).await,
        "a token of a disabled user",
    );
    assert_eq!(gateway.call(&hello().bearer(&bob)).await.status, 200);
}

#[tokio::test]
async fn credentials_survive_a_restart() {
    let (mut gateway, _sim) = gateway().await;
    let key = gateway.user(ADA, "user").await.key;
    let token = gateway.token_of(ADA, "15m").await;
    gateway.terminate();
    assert!(gateway.ended().await.success(), "a polite end is a success");
    gateway.restart().await;
    for credential in [key, token] {
        assert_eq!(gateway.call(&hello().bearer(&credential)).await.status, 200);
    }
}

#[tokio::test]
async fn identity_headers_of_clients_are_no_identity() {
    let (gateway, _sim) = gateway().await;
    let forged = hello()
        .header("x-tollgate-user", ADA)
        .header("x-forwarded-user", ADA)
        .header("x-user-id", ADA);
    assert_turned_away(&gateway.call(&forged).await, "forged headers");
}
