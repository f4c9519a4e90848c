//! TLS towards clients: what is negotiated, who is let in, what is refused before it is used.

use std::time::Duration;

use serde_json::Value;
use tollgate::types::digest::Sha256;

use crate::support::anthropic_sim;
use crate::support::client::{Call, GATEWAY_NAME};
use crate::support::gateway::{self, Gateway, Protocol};
use crate::support::prompt::ask;
use crate::support::records::recorded_peer;
use crate::support::setup::Setup;
use crate::support::tls::{Authority, Pair};
use crate::support::upstream::Upstream;
use crate::support::wait::{until, within};

/// A gateway with a certificate of this authority, and what it needs to answer.
async fn secured(authority: &Authority, more: &str, client_ca: Option<&Authority>) -> (Gateway, Upstream) {
    let sim = anthropic_sim::start().await;
    let mut setup = Setup::anthropic(&sim).tls(&authority.server(&[GATEWAY_NAME]), more);
    if let Some(clients) = client_ca {
        setup = setup.file("clients.pem", &clients.pem());
    }
    let mut gateway = setup.start().await;
    gateway.tls = Some(authority.trusting_client(&["http/1.1"], None));
    (gateway, sim)
}

/// The certificate that the listener shows to a new connection.
async fn shown(gateway: &Gateway) -> Option<Vec<u8>> {
    let connection = gateway.try_connect().await.ok()?;
    connection.server_certificate()
}

#[tokio::test]
async fn both_protocols_are_offered_and_http_1_1_is_served() {
    let authority = Authority::new("listener");
    let (mut gateway, _sim) = secured(&authority, "", None).await;
    let key = gateway.any_key().await;
    assert_eq!(
        gateway.call(&Call::messages(&key, &ask("hello"))).await.status,
        200
    );
    for (offered, chosen) in [
        (&["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1"][..], Some("http/1.1")),
        (&[][..], None),
    ] {
        gateway.tls = Some(authority.trusting_client(offered, None));
        let connection = gateway.connect().await;
        assert_eq!(connection.protocol().as_deref(), chosen, "{offered:?}");
    }
    gateway.tls = Some(authority.trusting_client(&["spdy/3"], None));
    assert!(gateway.try_connect().await.is_err(), "nothing in common");
}

#[tokio::test]
async fn plain_http_on_a_tls_listener_is_not_served() {
    let authority = Authority::new("listener");
    let (mut gateway, sim) = secured(&authority, "", None).await;
    let key = gateway.any_key().await;
    gateway.tls = None;
    let mut connection = gateway.connect().await;
    let call = Call::messages(&key, &ask("hello"));
    connection.send(&call.head_bytes()).await;
    connection.send(&call.body_bytes()).await;
    let said = connection.rest().await;
    assert!(!said.starts_with(b"HTTP"), "{:?}", String::from_utf8_lossy(&said));
    assert_eq!(sim.connections(), 0);
}

#[tokio::test]
async fn the_identity_of_a_client_certificate_is_recorded() {
    let authority = Authority::new("listener");
    let clients = Authority::new("clients");
    let (mut gateway, _sim) = secured(&authority, ", client_ca = \"clients.pem\"", Some(&clients)).await;
    let key = gateway.any_key().await;
    let call = Call::messages(&key, &ask("hello"));

    let answer = gateway.call(&call).await;
    assert_eq!(answer.status, 200, "a certificate is optional");
    let peer = recorded_peer(&gateway, &answer.request_id()).await;
    assert_eq!(peer["address"], "127.0.0.1");
    assert_eq!(peer["certificate"], Value::Null);

    let ada = clients.client("ada", "ada.laptops.test");
    gateway.tls = Some(authority.trusting_client(&["http/1.1"], Some(&ada)));
    let answer = gateway.call(&call).await;
    assert_eq!(answer.status, 200);
    let peer = recorded_peer(&gateway, &answer.request_id()).await;
    assert_eq!(peer["certificate"]["subject"], "CN=ada");
    assert_eq!(peer["certificate"]["dns_names"][0], "ada.laptops.test");
    assert_eq!(peer["certificate"]["sha256"], Sha256::of(&ada.der()).to_string());

    let foreign = Authority::new("somebody else").client("ada", "ada.laptops.test");
    gateway.tls = Some(authority.trusting_client(&["http/1.1"], Some(&foreign)));
    assert!(is_refused(&gateway, &call).await, "a foreign certificate");
}

/// How many models a client is shown.
async fn models_shown(gateway: &Gateway, key: &str) -> usize {
    let answer = gateway.call(&Call::new("GET", "/v1/models").key(key)).await;
    answer.json()["data"].as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn a_policy_permits_with_a_certificate_of_a_name_and_not_without() {
    const FLEET_ONLY: &str = r#"
        @id("fleet-only")
        forbid (principal, action in [Action::"invoke", Action::"connect"], resource)
        unless { context has client_certificate
                 && context.client_certificate.dns_names.contains("ada.laptops.test") };"#;
    let (authority, clients) = (Authority::new("listener"), Authority::new("clients"));
    let sim = anthropic_sim::start().await;
    let mut gateway = Setup::anthropic(&sim)
        .tls(
            &authority.server(&[GATEWAY_NAME]),
            ", client_ca = \"clients.pem\"",
        )
        .file("clients.pem", &clients.pem())
        .policy(FLEET_ONLY)
        .start()
        .await;
    let key = gateway.any_key().await;
    let call = Call::messages(&key, &ask("hello"));
    let (ada, eve) = (
        clients.client("ada", "ada.laptops.test"),
        clients.client("ada", "eve.laptops.test"),
    );
    for (offered, protocol) in [("http/1.1", Protocol::Http1), ("h2", Protocol::Http2)] {
        gateway.protocol = protocol;
        // Twice each, the permitted one between the others: no permit may outlive its certificate.
        for (shown, permitted) in [
            (None, false),
            (Some(&ada), true),
            (Some(&eve), false),
            (Some(&ada), true),
            (None, false),
        ] {
            gateway.tls = Some(authority.trusting_client(&[offered], shown));
            let before = sim.count();
            let answer = gateway.call(&call).await;
            assert_eq!(
                answer.status,
                if permitted { 200 } else { 403 },
                "{}",
                answer.text()
            );
            assert_eq!(sim.count() - before, usize::from(permitted));
            assert_eq!(
                permitted,
                !answer.text().contains("fleet-only"),
                "{}",
                answer.text()
            );
            assert_eq!(models_shown(&gateway, &key).await, usize::from(permitted));
        }
    }
}

/// Whether a client gets no answer. In TLS 1.3 the refusal reaches it after its own handshake.
async fn is_refused(gateway: &Gateway, call: &Call) -> bool {
    let Ok(mut connection) = gateway.try_connect().await else {
        return true;
    };
    connection.send(&call.head_bytes()).await;
    connection.send(&call.body_bytes()).await;
    connection.answer("POST").await.is_none()
}

#[tokio::test]
async fn a_required_certificate_is_required() {
    let authority = Authority::new("listener");
    let clients = Authority::new("clients");
    let more = ", client_ca = \"clients.pem\", client_certificate = \"required\"";
    let (mut gateway, sim) = secured(&authority, more, Some(&clients)).await;
    let key = gateway.any_key().await;
    let call = Call::messages(&key, &ask("hello"));
    assert!(is_refused(&gateway, &call).await, "no certificate");
    let foreign = Authority::new("somebody else").client("ada", "ada.test");
    gateway.tls = Some(authority.trusting_client(&["http/1.1"], Some(&foreign)));
    assert!(is_refused(&gateway, &call).await, "a foreign certificate");
    assert_eq!(sim.connections(), 0);
    let ada = clients.client("ada", "ada.test");
    gateway.tls = Some(authority.trusting_client(&["http/1.1"], Some(&ada)));
    assert_eq!(gateway.call(&call).await.status, 200);
}

#[tokio::test]
async fn a_certificate_is_replaced_without_a_restart() {
    let authority = Authority::new("listener");
    let (gateway, _sim) = secured(&authority, "", None).await;
    let key = gateway.any_key().await;
    let first = shown(&gateway).await.expect("a certificate");
    let mut kept = gateway.connect().await;
    assert_eq!(kept.call(&Call::messages(&key, &ask("one"))).await.status, 200);

    // A certificate alone, without its key, is not yet a pair: the old one stays.
    let second = authority.server(&[GATEWAY_NAME]);
    gateway.home.write("tls.crt", &second.certificate);
    let complained = async || {
        gateway
            .log()
            .contains("does not belong to the certificate")
            .then_some(())
    };
    until("a complaint about the mismatch", complained).await;
    assert_eq!(shown(&gateway).await, Some(first.clone()));

    gateway.home.write("tls.key", &second.key);
    until("the second certificate", async || {
        (shown(&gateway).await? == second.der().to_vec()).then_some(())
    })
    .await;
    assert_ne!(first, second.der().to_vec());
    let answer = kept.call(&Call::messages(&key, &ask("two"))).await;
    assert_eq!(answer.status, 200, "open connections go on");

    gateway.home.write("tls.crt", "this is no certificate");
    let complained = async || gateway.log().contains("holds no certificate").then_some(());
    until("a complaint about garbage", complained).await;
    assert_eq!(shown(&gateway).await, Some(second.der().to_vec()));
}

#[tokio::test]
async fn authorities_of_clients_are_replaced_too_and_hold_for_resumed_sessions() {
    let authority = Authority::new("listener");
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let more = ", client_ca = \"clients.pem\", client_certificate = \"required\"";
    let (mut gateway, _sim) = secured(&authority, more, Some(&old)).await;
    let call = Call::messages(&gateway.any_key().await, &ask("hello"));
    let ada = old.client("ada", "ada.test");
    // One configuration is one memory of sessions: the later connections resume the first's.
    gateway.tls = Some(authority.trusting_client(&["http/1.1"], Some(&ada)));
    assert_eq!(gateway.call(&call).await.status, 200);
    gateway.home.write("clients.pem", &new.pem());
    until("the old authority to be forgotten", async || {
        is_refused(&gateway, &call).await.then_some(())
    })
    .await;
    let eve = new.client("eve", "eve.test");
    gateway.tls = Some(authority.trusting_client(&["http/1.1"], Some(&eve)));
    assert_eq!(gateway.call(&call).await.status, 200);
}

/// `check` and `serve` name the trouble, and the port stays free.
async fn check_is_reported(name: &str, pair: &Pair, expected: &str) {
    let sim = anthropic_sim::start().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    // The port is in use: an attempt to listen before the files are read would say so instead.
    let address = taken.local_addr().expect("an address");
    let (home, environment) = Setup::anthropic(&sim)
        .tls(pair, "")
        .set("server", "listen", &format!("[\"{address}\"]"))
        .write();
    let config = home.join("tollgate.toml");
    let config = config.to_str().expect("a plain name");
    for verb in ["check", "serve"] {
        let verbs = ["--config", config, verb];
        let running = gateway::run(&verbs, &environment);
        let output = within(&format!("{verb} with {name}"), running).await;
        assert_ne!(output.code, 0, "{verb} with {name}");
        assert!(
            output.stderr.contains(expected),
            "{verb} with {name}: {}",
            output.stderr
        );
    }
}

#[tokio::test]
async fn bad_files_are_reported_before_anything_listens() {
    let authority = Authority::new("listener");
    let good = authority.server(&[GATEWAY_NAME]);
    let other = authority.server(&[GATEWAY_NAME]);
    let pair = |certificate: &str, key: &str| Pair {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
    };
    let torn = &good.certificate[..good.certificate.len() / 2];
    let wrong_content = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let cases = [
        (
            "no certificate",
            pair("", &good.key),
            "tls.crt holds no certificate",
        ),
        (
            "a torn certificate",
            pair(torn, &good.key),
            "tls.crt holds a damaged",
        ),
        (
            "no X.509 inside",
            pair(wrong_content, &good.key),
            "tls.crt holds a damaged",
        ),
        (
            "no key",
            pair(&good.certificate, "nothing"),
            "tls.key holds no private key",
        ),
        (
            "another's key",
            pair(&good.certificate, &other.key),
            "does not belong to the certificate",
        ),
        (
            "an old certificate",
            authority.out_of_time(&[GATEWAY_NAME], 2001, 2002),
            "expired at 2002-01-01",
        ),
        (
            "an early one",
            authority.out_of_time(&[GATEWAY_NAME], 4000, 4001),
            "not valid before 4000-01-01",
        ),
    ];
    for (name, pair, expected) in cases {
        check_is_reported(name, &pair, expected).await;
    }
}

#[tokio::test]
async fn a_missing_file_is_named() {
    let setup = Setup::new().set(
        "server",
        "tls",
        "{ certificate = \"absent.crt\", key = \"absent.key\" }",
    );
    let (home, environment) = setup.write();
    let config = home.join("tollgate.toml");
    let output = gateway::run(
        &["--config", config.to_str().expect("a plain name"), "check"],
        &environment,
    )
    .await;
    assert_ne!(output.code, 0);
    assert!(
        output.stderr.contains("absent.key cannot be read")
            || output.stderr.contains("absent.crt cannot be read")
    );
}

#[tokio::test]
async fn a_client_that_says_nothing_takes_nothing_from_others() {
    let authority = Authority::new("listener");
    let (gateway, _sim) = secured(&authority, "", None).await;
    let key = gateway.any_key().await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(
            tokio::net::TcpStream::connect(gateway.address)
                .await
                .expect("accepted"),
        );
    }
    let call = Call::messages(&key, &ask("hello"));
    let answer = tokio::time::timeout(Duration::from_secs(10), gateway.call(&call)).await;
    assert_eq!(answer.expect("in time").status, 200);
}
