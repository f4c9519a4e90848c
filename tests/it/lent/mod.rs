//! Credentials that clouds lend: fetched by nobody twice, renewed in time, and never told.

mod aws;
mod azure;
mod google;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use serde_json::json;
use tollgate::egress::platform::{Places, PlatformClient};
use tollgate::egress::proxy::NoProxy;
use tollgate::egress::service::{self, ServiceClient};
use tollgate::provider::authorize::{Credential, Unsigned};
use tollgate::provider::lending::cache::Loans;
use tollgate::provider::lending::{Environment, Grounds, Lending};
use tollgate::provider::options::Options;
use tollgate::provider::registry::Registry;
use tollgate::provider::{Misconfigured, Provider, Settings};
use tollgate::tls::client::ClientTls;
use tollgate::types::clock::SystemClock;
use tollgate::types::digest::Sha256;

use crate::support::anthropic_sim;
use crate::support::client::{Answer, Call};
use crate::support::gateway::Gateway;
use crate::support::prompt::ask;
use crate::support::upstream::{self, Upstream};
use crate::support::wait::until;

/// Asks for the tests' usual model.
async fn hello(gateway: &Gateway, key: &str) -> Answer {
    gateway.call(&Call::messages(key, &ask("hello"))).await
}

/// The log, as soon as it says this: a thread of its own writes it.
async fn logged(gateway: &Gateway, text: &str) -> String {
    until(&format!("`{text}` in the log"), async || {
        Some(gateway.log()).filter(|log| log.contains(text))
    })
    .await
}

/// The request failed for want of a credential, and none of these texts is in any file, log or answer.
async fn assert_fails_closed(gateway: &Gateway, answer: &Answer, fix: &str, canaries: &[&str]) {
    assert_eq!(
        (answer.status, answer.error_type().as_str()),
        (502, "api_error"),
        "{}",
        answer.text()
    );
    let log = logged(gateway, fix).await;
    let ledger = gateway.cli(&["ledger", "tail", "--json"]).await.ok().stdout;
    for canary in canaries {
        let told = [&answer.text(), &log, &ledger]
            .iter()
            .any(|text| text.contains(canary));
        assert!(!told, "{canary} was told");
        let files = gateway.home.files_containing(canary);
        assert_eq!(files, Vec::<PathBuf>::new(), "{canary} was written");
    }
}

/// Claude at a cloud that wants a token which begins like this.
async fn claude(token: &'static str) -> Upstream {
    Upstream::start(move |got| {
        let bearer = got
            .head
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "));
        if !bearer.is_some_and(|bearer| bearer.starts_with(token)) {
            return upstream::json(401, &json!({"error": {"code": 401, "status": "UNAUTHENTICATED"}}));
        }
        let text = json!({"type": "text", "text": anthropic_sim::TEXT});
        anthropic_sim::says(&got.json(), &[text])
    })
    .await
}

/// An upstream in this process, whose cloud's metadata service is this one: in a gateway's process the addresses are
/// fixed.
fn try_opened(
    provider: &str,
    options: &[(&str, &str)],
    metadata: &Upstream,
    environment: &[(&'static str, &str)],
) -> Result<Box<dyn Provider>, Misconfigured> {
    let registry = Registry::collect().unwrap();
    let declaration = registry.find(provider).unwrap();
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let written: BTreeMap<String, String> = options.iter().map(owned).collect();
    let options = Options::new(&declaration.options, &written).unwrap();
    let services = service::Settings {
        tls: ClientTls::new(None).unwrap(),
        proxy: None,
        no_proxy: NoProxy::default(),
        connect: Duration::from_secs(5),
    };
    let places = Places {
        instance: metadata.address(),
        ..Places::FIXED
    };
    let environment = environment
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    let settings = Settings {
        endpoint: registry.endpoint(declaration, &options).unwrap(),
        key: None,
        options,
        lending: Some(Lending {
            services: Arc::new(ServiceClient::new(services)),
            clock: Arc::new(SystemClock),
            loans: Loans::default(),
            settings: Sha256::of(b"of this test"),
            grounds: Grounds::Platform {
                client: PlatformClient::new(places),
                environment: Environment::new(environment),
            },
        }),
    };
    registry.open(declaration, &settings)
}

/// The same in an environment that says nothing.
fn opened(provider: &str, options: &[(&str, &str)], metadata: &Upstream) -> Box<dyn Provider> {
    try_opened(provider, options, metadata, &[]).unwrap()
}

/// What proves a request to this upstream, or why there is nothing.
async fn proof(provider: &dyn Provider) -> Result<BTreeMap<String, String>, String> {
    let leased = provider.authorization().lease().await.map_err(|error| error.0)?;
    let Credential::Leased(lease) = leased else {
        panic!("a lease");
    };
    let headers = HeaderMap::from_iter([(http::header::HOST, "h".parse().unwrap())]);
    let unsigned = Unsigned {
        authority: "h",
        target: "/model/m/invoke",
        headers: &headers,
        body: b"{}",
    };
    let proof = lease.sign(&unsigned).map_err(|error| error.0)?;
    let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
    Ok(proof
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect())
}

/// The token in it.
async fn authorization(provider: &dyn Provider) -> Result<String, String> {
    Ok(proof(provider).await?["authorization"].clone())
}
