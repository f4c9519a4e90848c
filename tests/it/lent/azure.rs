//! Access tokens of Microsoft Entra, lent to upstreams in Foundry and at Azure OpenAI.

use crate::lent::{assert_fails_closed, authorization, claude, hello, opened};
use crate::support::azure_sim::{self, ASSERTION, CLIENT, COMPLAINT, HEADER, SECRET, TENANT, TOKEN};
use crate::support::openai_sim;
use crate::support::setup::{MODEL, Setup};
use crate::support::upstream::Upstream;

/// An upstream whose tokens are had from this authority.
fn setup(provider: &str, endpoint: &str, credentials: &str, authority: &Upstream) -> Setup {
    Setup::new()
        .variable("CLIENT_SECRET", SECRET)
        .set("secrets", "client", "\"env:CLIENT_SECRET\"")
        .table(&format!(
            "[[upstream]]\nname = \"sim\"\nprovider = \"{provider}\"\nendpoint = \"{endpoint}\"\n{credentials}\n\
             options = {{ tenant = \"{TENANT}\", client_id = \"{CLIENT}\", authority = \"{}\" }}\n",
            authority.url()
        ))
        .set("resilience", "rest_max", "\"1ms\"")
        .model(MODEL)
        .route("claude-*", &["sim"], None)
}

const EXCHANGE: &str = "credentials = \"exchange\"\napi_key_secret = \"client\"";

#[tokio::test]
async fn an_application_gets_tokens_for_what_each_provider_is() {
    let entra = azure_sim::start().await;
    let (claude, openai) = (claude(TOKEN).await, openai_sim::start().await);
    for (provider, sim, base, resource) in [
        ("foundry", &claude, "/anthropic", "https://ai.azure.com"),
        (
            "azure-openai",
            &openai,
            "/v1",
            "https://cognitiveservices.azure.com",
        ),
    ] {
        let endpoint = format!("{}{base}", sim.url());
        let gateway = setup(provider, &endpoint, EXCHANGE, &entra).start().await;
        let key = gateway.any_key().await;
        for _ in 0..2 {
            let answer = hello(&gateway, &key).await;
            assert_eq!(answer.status, 200, "{provider}: {}", answer.text());
        }
        let sent = sim.last();
        let bearer = format!("Bearer {TOKEN}{resource}");
        assert_eq!(sent.head.header("authorization"), Some(bearer.as_str()));
        assert_eq!(
            (sent.head.header("x-api-key"), sent.head.header("api-key")),
            (None, None)
        );
        assert!(!String::from_utf8_lossy(&sim.bytes()).contains(SECRET));
        let checked = gateway.cli(&["check"]).await.ok().stdout;
        let listed = format!(
            "credentials of sim       {}/{TENANT}/oauth2/v2.0/token",
            entra.url()
        );
        assert!(checked.contains(&listed), "{checked}");
    }
    assert_eq!(entra.count(), 2, "one token for each gateway");
}

#[tokio::test]
async fn an_expired_secret_fails_closed_and_tells_nothing() {
    let (entra, sim) = (azure_sim::start().await, claude(TOKEN).await);
    let gateway = setup("foundry", &sim.url(), EXCHANGE, &entra)
        .variable("CLIENT_SECRET", "another-secret-canary")
        .set("log", "filter", "\"debug\"")
        .start()
        .await;
    let key = gateway.any_key().await;
    let answer = hello(&gateway, &key).await;
    let canaries = [COMPLAINT, "another-secret-canary"];
    assert_fails_closed(&gateway, &answer, "the secret has not expired", &canaries).await;
    assert_eq!(sim.count(), 0);
}

#[tokio::test]
async fn a_federated_workload_proves_itself_by_its_token() {
    let (entra, sim) = (azure_sim::start().await, claude(TOKEN).await);
    let setup =
        setup("foundry", &sim.url(), "credentials = \"platform\"", &entra).file("assertion", ASSERTION);
    let file = setup.path("assertion");
    let gateway = setup.variable("AZURE_FEDERATED_TOKEN_FILE", &file).start().await;
    let key = gateway.any_key().await;
    let answer = hello(&gateway, &key).await;
    assert_eq!(answer.status, 200, "{}{}", answer.text(), gateway.log());
    assert_eq!((entra.count(), sim.count()), (1, 1));
}

#[tokio::test]
async fn an_application_on_azure_has_an_identity_beside_it() {
    let (endpoint, sim) = (azure_sim::start().await, claude(TOKEN).await);
    let gateway = setup("foundry", &sim.url(), "credentials = \"platform\"", &endpoint)
        .variable("IDENTITY_ENDPOINT", &format!("{}/msi/token", endpoint.url()))
        .variable("IDENTITY_HEADER", HEADER)
        .start()
        .await;
    let key = gateway.any_key().await;
    let answer = hello(&gateway, &key).await;
    assert_eq!(answer.status, 200, "{}{}", answer.text(), gateway.log());
    let asked = endpoint.last();
    let query = format!("api-version=2019-08-01&resource=https://ai.azure.com&client_id={CLIENT}");
    assert_eq!(asked.target(), format!("/msi/token?{query}"));
    assert!(!gateway.log().contains(HEADER));
}

#[tokio::test]
async fn a_machine_gets_the_token_of_its_managed_identity() {
    let metadata = azure_sim::start().await;
    for (options, query) in [(&[][..], ""), (&[("client_id", CLIENT)][..], "&client_id=")] {
        let provider = opened("foundry", &[options, &[("resource", "acme")]].concat(), &metadata);
        let bearer = format!("Bearer {TOKEN}https://ai.azure.com");
        assert_eq!(authorization(&*provider).await.unwrap(), bearer);
        let target = metadata.last().target().to_owned();
        assert!(target.contains("&resource=https://ai.azure.com"), "{target}");
        assert_eq!(target.contains("&client_id="), !query.is_empty(), "{target}");
    }
}

#[tokio::test]
async fn an_environment_that_is_half_set_is_a_mistake() {
    let metadata = azure_sim::start().await;
    let without_tenant = crate::lent::try_opened(
        "foundry",
        &[("resource", "acme")],
        &metadata,
        &[("AZURE_FEDERATED_TOKEN_FILE", "/token")],
    );
    assert!(
        without_tenant
            .unwrap_err()
            .0
            .contains("azure.workload.identity/use")
    );
    let elsewhere = crate::lent::try_opened(
        "foundry",
        &[("resource", "acme")],
        &metadata,
        &[("IDENTITY_ENDPOINT", "http://169.254.169.254/msi/token")],
    );
    assert!(elsewhere.unwrap_err().0.contains("IDENTITY_ENDPOINT"));
}
