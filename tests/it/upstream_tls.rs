//! TLS and HTTP/2 towards upstreams: whom the gateway trusts, who it is, which protocol it speaks.

use std::sync::Arc;

use rustls::ServerConfig;

use crate::support::anthropic_sim;
use crate::support::client::{Answer, Call};
use crate::support::gateway::Gateway;
use crate::support::prompt::{ask, ask_stream};
use crate::support::setup::{MODEL, Setup};
use crate::support::tls::{Authority, Pair};
use crate::support::upstream::Upstream;

/// A simulated Anthropic behind TLS.
async fn secured(config: Arc<ServerConfig>) -> Upstream {
    Upstream::start_tls(anthropic_sim::respond, config).await
}

/// One upstream at this endpoint, with these further keys.
fn setup(endpoint: &str, more: &str) -> Setup {
    Setup::new()
        .upstream("sim", "anthropic", endpoint)
        .table(more)
        .model(MODEL)
        .route("claude-*", &["sim"], None)
}

async fn ask_hello(gateway: &Gateway) -> Answer {
    let key = gateway.any_key().await;
    gateway.call(&Call::messages(&key, &ask("hello"))).await
}

/// What comes of a request to this endpoint by a gateway that trusts `authority`.
async fn check(endpoint: &str, authority: &Authority, more: &str, expected: u16) -> Gateway {
    let gateway = setup(endpoint, &format!("ca = \"ca.pem\"\n{more}"))
        .file("ca.pem", &authority.pem())
        .start()
        .await;
    let answer = ask_hello(&gateway).await;
    assert_eq!(answer.status, expected, "{endpoint}: {}", answer.text());
    gateway
}

#[tokio::test]
async fn an_upstream_of_a_trusted_authority_is_served_by_name_and_by_address() {
    let authority = Authority::new("upstreams");
    let sim = secured(authority.accepting(&["localhost", "127.0.0.1"], &["http/1.1"], None)).await;
    let port = sim.address().port();
    check(&format!("https://127.0.0.1:{port}"), &authority, "", 200).await;
    check(&format!("https://localhost:{port}"), &authority, "", 200).await;
    assert_eq!(sim.count(), 2);
}

#[tokio::test]
async fn an_address_must_stand_in_the_certificate() {
    let authority = Authority::new("upstreams");
    let sim = secured(authority.accepting(&["localhost"], &["http/1.1"], None)).await;
    check(&sim.url(), &authority, "", 502).await;
    assert_eq!(sim.count(), 0, "nothing was said to the wrong one");
}

#[tokio::test]
async fn a_name_must_stand_in_the_certificate() {
    let authority = Authority::new("upstreams");
    let sim = secured(authority.accepting(&["other.test", "127.0.0.1"], &["http/1.1"], None)).await;
    let endpoint = format!("https://localhost:{}", sim.address().port());
    check(&endpoint, &authority, "", 502).await;
    assert_eq!(sim.count(), 0);
}

#[tokio::test]
async fn another_authority_is_refused_and_so_is_an_old_certificate() {
    let authority = Authority::new("upstreams");
    let sim = secured(authority.accepting(&["127.0.0.1"], &["http/1.1"], None)).await;
    check(&sim.url(), &Authority::new("upstreams"), "", 502).await;
    // Without `ca` the system's authorities count, which do not know this one either.
    let gateway = setup(&sim.url(), "").start().await;
    assert_eq!(ask_hello(&gateway).await.status, 502);
    let old = authority.out_of_time(&["127.0.0.1"], 2001, 2002);
    let late = secured(old.accepting(&["http/1.1"], None)).await;
    check(&late.url(), &authority, "", 502).await;
    assert_eq!((sim.count(), late.count()), (0, 0));
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_one_is_wanted() {
    let authority = Authority::new("upstreams");
    let clients = Authority::new("clients");
    let sim = secured(authority.accepting(&["127.0.0.1"], &["h2", "http/1.1"], Some(&clients))).await;
    check(&sim.url(), &authority, "", 502).await;
    assert_eq!(sim.count(), 0, "no certificate");
    let start = async |pair: &Pair| {
        setup(
            &sim.url(),
            "ca = \"ca.pem\"\nclient_certificate = \"us.crt\"\nclient_key_secret = \"us\"\n",
        )
        .file("ca.pem", &authority.pem())
        .file("us.crt", &pair.certificate)
        .file("us.key", &pair.key)
        .set("secrets", "us", "\"file:us.key\"")
        .start()
        .await
    };
    let foreign = Authority::new("clients").client("gateway", "gateway.test");
    assert_eq!(ask_hello(&start(&foreign).await).await.status, 502, "foreign");
    assert_eq!(sim.count(), 0);
    let good = clients.client("gateway", "gateway.test");
    assert_eq!(ask_hello(&start(&good).await).await.status, 200);
    let shown = sim.client_certificates();
    assert_eq!(shown.last(), Some(&Some(good.der().to_vec())));
}

#[tokio::test]
async fn the_protocol_is_negotiated_or_chosen() {
    let authority = Authority::new("upstreams");
    let check_version = async |offered: &[&str], choice: &str, expected: Option<&str>| {
        let sim = secured(authority.accepting(&["127.0.0.1"], offered, None)).await;
        let status = if expected.is_some() { 200 } else { 502 };
        let more = format!("http2 = \"{choice}\"\n");
        let _gateway = check(&sim.url(), &authority, &more, status).await;
        let spoken = sim
            .requests()
            .first()
            .map(|request| request.head.word(2).to_owned());
        assert_eq!(spoken.as_deref(), expected, "{offered:?} {choice}");
    };
    check_version(&["h2", "http/1.1"], "auto", Some("HTTP/2")).await;
    check_version(&["http/1.1"], "auto", Some("HTTP/1.1")).await;
    check_version(&[], "auto", Some("HTTP/1.1")).await;
    check_version(&["h2", "http/1.1"], "never", Some("HTTP/1.1")).await;
    check_version(&["h2", "http/1.1"], "only", Some("HTTP/2")).await;
    check_version(&["http/1.1"], "only", None).await;
}

#[tokio::test]
async fn http2_requests_name_their_authority_once_and_share_a_connection() {
    let sim = anthropic_sim::start().await;
    let gateway = setup(&sim.url(), "http2 = \"only\"\n").start().await;
    let key = gateway.any_key().await;
    for body in [ask("one"), ask_stream("two"), ask("three")] {
        assert_eq!(gateway.call(&Call::messages(&key, &body)).await.status, 200);
    }
    let authority = sim.address().to_string();
    for request in sim.requests() {
        assert_eq!(request.head.header(":authority"), Some(authority.as_str()));
        assert_eq!(request.head.header(":scheme"), Some("http"));
        assert_eq!(request.head.header("host"), None);
    }
    assert_eq!(sim.connections(), 1);
}

#[tokio::test]
async fn bad_material_is_reported_by_check() {
    let authority = Authority::new("clients");
    let (one, other) = (authority.client("a", "a.test"), authority.client("b", "b.test"));
    for (more, expected) in [
        ("ca = \"absent.pem\"\n", "absent.pem cannot be read"),
        ("ca = \"us.key\"\n", "us.key holds no certificate authority"),
        (
            "client_certificate = \"us.crt\"\nclient_key_secret = \"us\"\n",
            "in secret `us` does not belong to the certificate",
        ),
        ("client_certificate = \"us.crt\"\n", "belong together"),
        ("http2 = \"perhaps\"\n", "perhaps"),
    ] {
        let (home, environment) = setup("https://127.0.0.1:1", more)
            .file("us.crt", &one.certificate)
            .file("us.key", &other.key)
            .set("secrets", "us", "\"file:us.key\"")
            .write();
        let config = home.join("tollgate.toml");
        let verbs = ["--config", config.to_str().expect("a plain name"), "check"];
        let output = crate::support::gateway::run(&verbs, &environment).await;
        assert_eq!(output.code, 2, "{more}");
        assert!(output.stderr.contains(expected), "{more}: {}", output.stderr);
    }
}
