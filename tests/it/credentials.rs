//! Credentials stay on their side of the gateway, and in nothing that it writes.

use std::path::PathBuf;

use serde_json::json;

use crate::support::client::{Answer, Call};
use crate::support::gateway::Gateway;
use crate::support::prompt::{ask, ask_stream};
use crate::support::setup::{Setup, UPSTREAM_KEY};
use crate::support::upstream::{self, Upstream};
use crate::support::wire::find;
use crate::support::{anthropic_sim, openai_sim};

const ADA: &str = "ada@acme.test";

fn holds(bytes: &[u8], needle: &str) -> bool {
    find(bytes, needle.as_bytes()).is_some()
}

#[tokio::test]
async fn the_clients_credential_never_reaches_the_upstream() {
    let (anthropic, openai) = (anthropic_sim::start().await, openai_sim::start().await);
    for (setup, upstream) in [
        (Setup::anthropic(&anthropic), &anthropic),
        (Setup::openai(&openai), &openai),
    ] {
        let gateway = setup.start().await;
        let key = gateway.user(ADA, "user").await.key;
        let token = gateway.token_of(ADA, "15m").await;
        for credential in [&key, &token] {
            for call in [
                Call::messages(credential, &ask("hello")),
                Call::post("/v1/messages?beta=true", &ask_stream("hello")).bearer(credential),
            ] {
                let call = call
                    .header("cookie", "session=client-cookie")
                    .header("proxy-authorization", "Basic client-proxy");
                assert_eq!(gateway.call(&call).await.status, 200);
            }
        }
        let seen = upstream.bytes();
        for foreign in [key.as_str(), token.as_str(), "client-cookie", "client-proxy"] {
            assert!(!holds(&seen, foreign), "the upstream saw {foreign}");
        }
        assert!(holds(&seen, UPSTREAM_KEY), "and it got its own");
    }
    let heads: Vec<_> = anthropic
        .requests()
        .into_iter()
        .map(|request| request.head)
        .collect();
    assert!(
        heads
            .iter()
            .all(|head| head.all("x-api-key") == [UPSTREAM_KEY] && head.header("authorization").is_none())
    );
    let bearer = format!("Bearer {UPSTREAM_KEY}");
    let heads: Vec<_> = openai
        .requests()
        .into_iter()
        .map(|request| request.head)
        .collect();
    assert!(
        heads
            .iter()
            .all(|head| head.all("authorization") == [bearer.as_str()] && head.header("x-api-key").is_none())
    );
}

#[tokio::test]
async fn headers_of_the_anthropic_api_pass_and_others_stay() {
    let sim = anthropic_sim::start().await;
    let gateway = Setup::anthropic(&sim).start().await;
    let key = gateway.any_key().await;
    let call = Call::post("/v1/messages?beta=true", &ask("hello"))
        .bearer(&key)
        .header("anthropic-version", "2026-10-21")
        .header("anthropic-beta", "claude-code-20250219,of-tomorrow-2027-01-01")
        .header("anthropic-beta", "another-2027-02-02")
        .header("anthropic-of-tomorrow", "yes")
        .header("x-internal", "no")
        .header("connection", "keep-alive, x-dropped")
        .header("x-dropped", "no");
    assert_eq!(gateway.call(&call).await.status, 200);
    let received = sim.last();
    assert_eq!(
        received.target(),
        "/v1/messages?beta=true",
        "the query is forwarded"
    );
    assert_eq!(received.head.header("anthropic-version"), Some("2026-10-21"));
    assert_eq!(received.head.header("anthropic-of-tomorrow"), Some("yes"));
    let betas = received.head.all("anthropic-beta").join(",");
    for beta in [
        "claude-code-20250219",
        "of-tomorrow-2027-01-01",
        "another-2027-02-02",
    ] {
        assert!(betas.contains(beta), "{betas}");
    }
    for name in ["x-internal", "x-dropped", "x-forwarded-for", "accept-encoding"] {
        assert_eq!(received.head.header(name), None, "{name}");
    }
    assert!(
        sim.url().ends_with(received.head.header("host").unwrap()),
        "the upstream's host, not the client's"
    );
}

#[tokio::test]
async fn headers_of_the_upstream_are_replaced_by_ours() {
    let sim = anthropic_sim::start().await;
    let gateway = Setup::anthropic(&sim).start().await;
    let key = gateway.any_key().await;
    for body in [ask("hello"), ask_stream("hello"), ask("sim:status-400")] {
        let answer = gateway.call(&Call::messages(&key, &body)).await;
        assert_ne!(answer.request_id(), "req_of_the_upstream");
        for (name, value) in anthropic_sim::FOREIGN_HEADERS.iter().skip(1) {
            assert_ne!(answer.header(name), Some(*value), "{name}");
        }
    }
}

#[tokio::test]
async fn an_upstream_that_refuses_our_key_does_not_sign_the_client_out() {
    for status in [401, 403] {
        let echo = json!({"type": "error", "error": {"type": "authentication_error", "message": format!("invalid x-api-key {UPSTREAM_KEY}")}});
        let upstream = Upstream::scripted([upstream::json(status, &echo)]).await;
        for setup in [Setup::anthropic(&upstream), Setup::openai(&upstream)] {
            let gateway = setup.start().await;
            let key = gateway.any_key().await;
            for body in [ask("hello"), ask_stream("hello")] {
                let answer = gateway.call(&Call::messages(&key, &body)).await;
                assert_eq!(
                    (answer.status, answer.error_type().as_str()),
                    (502, "api_error"),
                    "{}",
                    answer.text()
                );
                assert!(!answer.text().contains(UPSTREAM_KEY), "{}", answer.text());
            }
            assert_clean(&gateway, &[UPSTREAM_KEY, &key]);
        }
    }
}

/// Looks for these texts in every file that the gateway wrote, and in what it tells about itself.
fn assert_clean(gateway: &Gateway, canaries: &[&str]) {
    for canary in canaries {
        assert_eq!(
            gateway.home.files_containing(canary),
            Vec::<PathBuf>::new(),
            "{canary} was written"
        );
    }
}

fn text_of(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.head.raw).into_owned() + &answer.text()
}

const FOREIGN_KEY: &str = "tg_live_canaryQ7canaryQ7canaryQ7canaryQ7canaryQ7";
const PROMPT: &str = "canary-of-a-prompt-4b1d";

/// Everything that can go right or wrong with one credential.
async fn tries(gateway: &Gateway, credential: &str) -> Vec<Answer> {
    let mut answers = Vec::new();
    for wish in [
        "",
        "sim:status-529",
        "sim:status-401",
        "sim:mid-error",
        "sim:die",
        "sim:status-400",
    ] {
        for mut body in [ask(wish), ask_stream(wish)] {
            body["system"] = json!(PROMPT);
            answers.push(gateway.call(&Call::messages(credential, &body)).await);
            let as_bearer = Call::post("/v1/messages", &body).bearer(credential);
            answers.push(gateway.call(&as_bearer).await);
        }
    }
    let broken = format!("{{\"model\":{credential}").into_bytes();
    for call in [
        Call::new("GET", "/v1/models"),
        Call::post_bytes("/v1/messages", broken),
    ] {
        answers.push(gateway.call(&call.key(credential)).await);
    }
    answers
}

#[tokio::test]
async fn a_canary_is_found_nowhere() {
    let sim = anthropic_sim::start().await;
    let verbose = Setup::anthropic(&sim).set("log", "filter", "\"debug\"");
    let mut gateway = verbose.start().await;
    let key = gateway.user(ADA, "user").await;
    let token = gateway.token_of(ADA, "15m").await;
    let mut answers = Vec::new();
    for credential in [key.key.as_str(), &token, FOREIGN_KEY, "sk-ant-canary-5e2f"] {
        answers.extend(tries(&gateway, credential).await);
    }
    gateway.cli(&["key", "revoke", &key.id]).await.ok();
    answers.push(gateway.call(&Call::messages(&key.key, &ask(PROMPT))).await);
    let ledger = gateway.cli(&["ledger", "tail", "--json"]).await.ok().stdout;

    let secret_half = &key.key[key.key.len() - 24..];
    let signature = token.rsplit('.').next().unwrap();
    let known = [key.key.as_str(), secret_half, &token, signature];
    let canaries = [&known[..], &[FOREIGN_KEY, "sk-ant-canary-5e2f", UPSTREAM_KEY]].concat();
    // While the write-ahead logs are full, and after they were folded into the databases.
    assert_clean(&gateway, &canaries);
    gateway.terminate();
    gateway.ended().await;
    assert_clean(&gateway, &canaries);
    assert_clean(&gateway, &[PROMPT, anthropic_sim::TEXT]);
    for canary in canaries {
        assert!(!ledger.contains(canary), "{canary} in the ledger");
        let told = answers.iter().map(text_of).find(|text| text.contains(canary));
        assert_eq!(told, None, "{canary} in an answer");
    }
}

#[tokio::test]
async fn the_search_for_canaries_can_find_one() {
    let sim = anthropic_sim::start().await;
    let gateway = Setup::anthropic(&sim).start().await;
    gateway.user("canary-in-a-name@acme.test", "user").await;
    assert!(
        !gateway
            .home
            .files_containing("canary-in-a-name@acme.test")
            .is_empty(),
        "names are stored, and found"
    );
}
