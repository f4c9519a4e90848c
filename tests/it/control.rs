//! The control plane behind the same door, and the listener of metrics and health.

use std::collections::BTreeSet;

use crate::support::anthropic_sim;
use crate::support::client::{Call, Connection};
use crate::support::gateway::Gateway;
use crate::support::prompt::ask;
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;
use crate::support::wait::until;

async fn gateway() -> (Gateway, Upstream) {
    let sim = anthropic_sim::start().await;
    (Setup::anthropic(&sim).start().await, sim)
}

#[tokio::test]
async fn the_public_keys_are_published_and_nothing_private_with_them() {
    let (gateway, _sim) = gateway().await;
    gateway.user("ada@acme.test", "user").await;
    let token = gateway.token_of("ada@acme.test", "15m").await;
    let answer = gateway.call(&Call::new("GET", "/.well-known/jwks.json")).await;
    assert_eq!(answer.status, 200);
    assert!(
        answer
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/"))
    );
    answer.request_id();
    let keys = answer.json()["keys"].as_array().unwrap().clone();
    assert!(!keys.is_empty());
    for key in &keys {
        assert_eq!(
            (key["kty"].as_str(), key["crv"].as_str(), key["alg"].as_str()),
            (Some("OKP"), Some("Ed25519"), Some("EdDSA"))
        );
        assert!(key["x"].is_string() && key.get("d").is_none(), "{key}");
    }
    let head = token.split('.').next().unwrap();
    let head = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, head).unwrap();
    let head: serde_json::Value = serde_json::from_slice(&head).unwrap();
    assert_eq!(head["alg"], "EdDSA");
    assert!(
        keys.iter().any(|key| key["kid"] == head["kid"]),
        "{head} in {keys:?}"
    );
}

#[tokio::test]
async fn keep_alive_serves_both_planes_on_one_connection() {
    let (gateway, _sim) = gateway().await;
    let key = gateway.any_key().await;
    let mut connection = gateway.connect().await;
    for _ in 0..3 {
        assert_eq!(
            connection
                .call(&Call::new("GET", "/.well-known/jwks.json"))
                .await
                .status,
            200
        );
        assert_eq!(
            connection.call(&Call::messages(&key, &ask("hello"))).await.status,
            200
        );
        assert_eq!(
            connection.call(&Call::new("GET", "/v1/nothing")).await.status,
            404
        );
    }
}

#[tokio::test]
async fn metrics_and_health_have_their_own_listener() {
    let (gateway, _sim) = gateway().await;
    let key = gateway.any_key().await;
    assert_eq!(
        gateway.call(&Call::messages(&key, &ask("hello"))).await.status,
        200
    );
    for path in ["/metrics", "/healthz", "/readyz"] {
        let answer = Connection::open(gateway.metrics)
            .await
            .call(&Call::new("GET", path))
            .await;
        assert_eq!(answer.status, 200, "{path}");
        let public = gateway.call(&Call::new("GET", path)).await;
        assert_eq!(public.status, 404, "{path} on the public listener");
    }
    let metrics = Connection::open(gateway.metrics)
        .await
        .call(&Call::new("GET", "/metrics"))
        .await
        .text();
    assert!(
        metrics
            .lines()
            .any(|line| line.starts_with("tollgate_") && line.contains("_total")),
        "{metrics}"
    );
    assert!(
        !metrics.contains("ada@acme.test") && !metrics.contains(&key),
        "labels are bounded and name nobody"
    );
}

#[tokio::test]
async fn every_metric_is_documented_and_every_documented_one_is_there() {
    let (gateway, _sim) = gateway().await;
    let key = gateway.any_key().await;
    for (key, status) in [(key.as_str(), 200), ("tg_live_wrong", 401)] {
        let answer = gateway.call(&Call::messages(key, &ask("hello"))).await;
        assert_eq!(answer.status, status);
    }
    let of_route = "endpoint=\"messages\",outcome=\"complete\",route=\"claude-*\",upstream=\"sim\"";
    let served = format!("tollgate_requests_total{{{of_route}}} 1\n");
    // A request is counted a moment after its client has the answer.
    let scrape = until("the request to be counted", async || {
        let scrape = Connection::open(gateway.metrics)
            .await
            .call(&Call::new("GET", "/metrics"))
            .await
            .text();
        scrape.contains(&served).then_some(scrape)
    })
    .await;
    let shown: BTreeSet<&str> = scrape
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let page = include_str!("../../docs/reference/metrics.md");
    let documented: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    assert_eq!(shown, documented);
    let value = |series: &str| -> f64 {
        let line = scrape.lines().find_map(|line| line.strip_prefix(series));
        line.unwrap_or_else(|| panic!("{series} in {scrape}"))
            .trim()
            .parse()
            .unwrap()
    };
    assert_eq!(value("tollgate_refusals_total{kind=\"not_identified\"}"), 1.0);
    for stage in [
        "identify",
        "intake",
        "inspect",
        "route",
        "decide",
        "record",
        "translate",
    ] {
        let count = value(&format!("tollgate_stage_seconds_count{{stage=\"{stage}\"}}"));
        assert_eq!(count, 1.0, "{stage}");
    }
    assert_eq!(
        value("tollgate_time_to_first_byte_seconds_count{route=\"claude-*\"}"),
        1.0
    );
    assert_eq!(
        value("tollgate_upstream_connect_seconds_count{upstream=\"sim\"}"),
        1.0
    );
    assert_eq!(value("tollgate_configuration_generation"), 1.0);
    assert!(value("tollgate_journal_leaves") >= 2.0 && value("process_resident_memory_bytes") > 1e6);
}

#[tokio::test]
async fn the_control_plane_is_reachable_by_no_other_way() {
    let (gateway, _sim) = gateway().await;
    let others = ["/.well-known/jwks.json", "/v1/messages", "/v1/models"];
    for path in others {
        let answer = Connection::open(gateway.metrics)
            .await
            .call(&Call::new("GET", path))
            .await;
        assert_eq!(answer.status, 404, "{path} on the metrics listener");
    }
    let process = format!("/proc/{}/net/tcp", gateway.process_id());
    let owned = listening_ports(&process, gateway.process_id());
    let mut known = vec![gateway.address.port(), gateway.metrics.port()];
    known.sort_unstable();
    assert_eq!(owned, known, "no other port listens");
}

/// The ports on which a process listens: sockets of the kernel's table that its descriptors name.
fn listening_ports(table: &str, process: u32) -> Vec<u16> {
    let descriptors = std::fs::read_dir(format!("/proc/{process}/fd"))
        .unwrap()
        .flatten();
    let links: Vec<String> = descriptors
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .map(|link| link.to_string_lossy().into_owned())
        .collect();
    let six = std::fs::read_to_string(table.replace("/tcp", "/tcp6")).unwrap_or_default();
    let rows = std::fs::read_to_string(table).unwrap() + &six;
    let mut ports: Vec<u16> = rows
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| {
            fields.len() > 9 && fields[3] == "0A" && links.contains(&format!("socket:[{}]", fields[9]))
        })
        .map(|fields| u16::from_str_radix(fields[1].rsplit(':').next().unwrap(), 16).unwrap())
        .collect();
    ports.sort_unstable();
    ports
}

#[tokio::test]
async fn the_socket_for_administrators_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (gateway, _sim) = gateway().await;
    for name in ["data/admin.sock", "data/vault.key"] {
        let mode = std::fs::metadata(gateway.home.join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
