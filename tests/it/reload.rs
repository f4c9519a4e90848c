//! Another configuration for the requests to come, whole or not at all, while the process runs.

use std::os::unix::fs::symlink;

use serde_json::json;

use crate::support::anthropic_sim;
use crate::support::client::Call;
use crate::support::gateway::Gateway;
use crate::support::prompt::{ask, ask_stream};
use crate::support::records::{rows, rows_of, text};
use crate::support::setup::{MODEL, Setup};
use crate::support::sse::anthropic_event;
use crate::support::upstream::{Gate, Step, Upstream, chunk, end, stream_head};
use crate::support::wait::until;

/// Waits until the gateway runs on its n-th configuration.
pub async fn generation(gateway: &Gateway, expected: f64) {
    until(&format!("generation {expected}"), async || {
        (gateway.metric("tollgate_configuration_generation").await? >= expected).then_some(())
    })
    .await;
}

/// Waits until so many reloads have been refused.
pub async fn kept(gateway: &Gateway, expected: f64) {
    until(&format!("{expected} refused reloads"), async || {
        let kept = gateway
            .metric("tollgate_configuration_reloads_total{outcome=\"kept\"}")
            .await;
        (kept? >= expected).then_some(())
    })
    .await;
}

/// The configuration of a gateway with its one upstream exchanged for another.
fn elsewhere(config: &str, from: &Upstream, to: &Upstream) -> String {
    assert!(config.contains(&from.url()));
    config.replace(&from.url(), &to.url())
}

#[tokio::test]
async fn sighup_serves_new_requests_anew_and_lets_running_ones_be() {
    let gate = Gate::new();
    let start = json!({"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant",
        "model": MODEL, "content": [], "stop_reason": null, "usage": {"input_tokens": 1, "output_tokens": 1}}});
    let old = Upstream::scripted([vec![
        stream_head(&[]),
        chunk(&anthropic_event(&start)),
        Step::Wait(gate.clone()),
        chunk(&anthropic_event(&json!({"type": "message_stop"}))),
        end(),
    ]])
    .await;
    let new = anthropic_sim::start().await;
    let gateway = Setup::anthropic(&old).start().await;
    let key = gateway.any_key().await;
    let mut running = gateway.stream(&Call::messages(&key, &ask_stream("hello"))).await;
    assert_eq!(running.event().await.unwrap().name, "message_start");

    let config = gateway.home.read("tollgate.toml");
    gateway
        .home
        .write("tollgate.toml", &elsewhere(&config, &old, &new));
    gateway.signal("HUP");
    generation(&gateway, 2.0).await;
    let answer = gateway.call(&Call::messages(&key, &ask("hello"))).await;
    assert_eq!(answer.status, 200);
    assert_eq!((old.requests().len(), new.requests().len()), (1, 1));

    gate.open();
    assert_eq!(running.events().await.last().unwrap().name, "message_stop");
    let before = running.head.header("request-id").unwrap().to_owned();
    for (request, expected) in [(before, 1), (answer.request_id(), 2)] {
        for table in ["ai_requests", "governance_decisions"] {
            let row = &rows_of(&gateway, table, &request).await[0];
            assert_eq!(row["config_generation"], json!(expected), "{table}: {row:?}");
        }
    }
    let reloads = rows(
        &gateway,
        "SELECT * FROM audit WHERE action = 'configuration.reload'",
    );
    assert!(
        reloads.iter().all(|row| text(row, "policy_digest").len() == 64),
        "{reloads:?}"
    );
    assert!(!reloads.is_empty(), "a change of what governs is written down");
}

#[tokio::test]
async fn changed_files_are_noticed_however_they_are_changed() {
    let first = anthropic_sim::start().await;
    let second = anthropic_sim::start().await;
    let (home, environment) = Setup::anthropic(&first).write();
    // As Kubernetes mounts it: the file is a link through a link that is exchanged.
    let config = home.read("tollgate.toml");
    home.write("..one/tollgate.toml", &config);
    std::fs::remove_file(home.join("tollgate.toml")).unwrap();
    symlink("..one", home.join("..data")).unwrap();
    symlink("..data/tollgate.toml", home.join("tollgate.toml")).unwrap();
    let gateway = Gateway::start(home, environment).await;
    let key = gateway.any_key().await;
    let hello = Call::messages(&key, &ask("hello"));

    let moved = elsewhere(&config, &first, &second);
    gateway.home.write("..two/tollgate.toml", &moved);
    symlink("..two", gateway.home.join("..next")).unwrap();
    std::fs::rename(gateway.home.join("..next"), gateway.home.join("..data")).unwrap();
    generation(&gateway, 2.0).await;
    assert_eq!(gateway.call(&hello).await.status, 200);
    assert_eq!((first.requests().len(), second.requests().len()), (0, 1));

    // As editors do it: written beside, renamed over.
    gateway.home.write("new.toml", &config);
    std::fs::rename(gateway.home.join("new.toml"), gateway.home.join("tollgate.toml")).unwrap();
    generation(&gateway, 3.0).await;
    assert_eq!(gateway.call(&hello).await.status, 200);
    assert_eq!((first.requests().len(), second.requests().len()), (1, 1));
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_is_explained() {
    let sim = anthropic_sim::start().await;
    let gateway = Setup::anthropic(&sim).start().await;
    let key = gateway.any_key().await;
    let hello = Call::messages(&key, &ask("hello"));
    let config = gateway.home.read("tollgate.toml");
    let broken = format!("{config}\n[[route]]\nmodel_pattern = \"*\"\nupstreams = [\"nowhere\"]\n");
    let line = broken.lines().count();
    let bad = [broken.as_str(), "", "not toml"];
    for (count, text) in (1u8..).zip(bad) {
        gateway.home.write("tollgate.toml", text);
        kept(&gateway, f64::from(count)).await;
        assert_eq!(gateway.call(&hello).await.status, 200, "after {text:?}");
    }
    std::fs::remove_file(gateway.home.join("tollgate.toml")).unwrap();
    kept(&gateway, 4.0).await;
    assert_eq!(
        gateway.metric("tollgate_configuration_generation").await,
        Some(1.0)
    );
    assert!(
        gateway.log().contains(&format!("tollgate.toml:{line}: ")),
        "{}",
        gateway.log()
    );
    assert_eq!(gateway.call(&hello).await.status, 200);

    gateway.home.write("tollgate.toml", &config);
    generation(&gateway, 2.0).await;
    assert_eq!(gateway.call(&hello).await.status, 200);
}

#[tokio::test]
async fn listeners_and_store_wait_for_a_restart_and_the_rest_is_applied() {
    let sim = anthropic_sim::start().await;
    let gateway = Setup::anthropic(&sim).start().await;
    let key = gateway.any_key().await;
    let config = gateway.home.read("tollgate.toml");
    let changed = config
        .replace("listen = [\"127.0.0.1:0\"]", "listen = [\"127.0.0.2:0\"]")
        .replace("sqlite:data/tollgate.db", "sqlite:data/other.db")
        .replace("\"claude-*\"", "\"gone-*\"");
    gateway.home.write("tollgate.toml", &changed);
    generation(&gateway, 2.0).await;
    let waiting = gateway
        .metric("tollgate_configuration_keys_waiting_for_restart")
        .await;
    assert_eq!(waiting, Some(2.0));
    let log = gateway.log();
    assert!(
        log.contains("server.listen, store.url") && log.contains("need a restart"),
        "{log}"
    );
    let answer = gateway.call(&Call::messages(&key, &ask("hello"))).await;
    assert_eq!(answer.status, 404, "the route went");
    assert!(!gateway.home.join("data/other.db").exists());
    gateway.home.write("tollgate.toml", &config);
    generation(&gateway, 3.0).await;
    let waiting = gateway
        .metric("tollgate_configuration_keys_waiting_for_restart")
        .await;
    assert_eq!(waiting, Some(0.0), "taken back");
}

#[tokio::test]
async fn policies_prices_rules_and_secret_files_are_watched_too() {
    let sim = anthropic_sim::start().await;
    let root = env!("CARGO_MANIFEST_DIR");
    let shipped = |name: &str| std::fs::read_to_string(format!("{root}/conf/{name}")).unwrap();
    let (home, environment) = Setup::anthropic(&sim)
        .policy("// nothing yet\n")
        .set("secrets", "upstream_key", "\"file:upstream.key\"")
        .set("prices", "file", "\"prices.toml\"")
        .set("secret_rules", "file", "\"rules.toml\"")
        .write();
    home.write("upstream.key", "sk-first\n");
    home.write("prices.toml", &shipped("prices.toml"));
    home.write("rules.toml", "# none yet\n");
    let gateway = Gateway::start(home, environment).await;
    let key = gateway.any_key().await;
    let hello = Call::messages(&key, &ask("hello, CANARY-70319426"));
    let used = async |expected: u16| {
        let answer = gateway.call(&hello).await;
        assert_eq!(answer.status, expected, "{}", answer.text());
        answer.request_id()
    };
    let old_digest = text(
        &rows_of(&gateway, "audit", &used(200).await).await[0],
        "policy_digest",
    )
    .to_owned();

    gateway.home.write("upstream.key", "sk-second\n");
    generation(&gateway, 2.0).await;
    used(200).await;
    let sent: Vec<String> = sim
        .requests()
        .iter()
        .map(|request| request.head.header("x-api-key").unwrap_or_default().to_owned())
        .collect();
    assert_eq!(sent, ["sk-first", "sk-second"]);

    let rule =
        "\n[[rule]]\nid = \"canary\"\nkeywords = [\"CANARY-\"]\nregex = '(CANARY-[0-9]{8})'\nreach = 32\n";
    gateway.home.write("rules.toml", rule);
    generation(&gateway, 3.0).await;
    used(403).await;

    gateway.home.write("rules.toml", "# none again\n");
    generation(&gateway, 4.0).await;
    let forbid = "@id(\"nobody\")\nforbid(principal, action == Action::\"invoke\", resource);\n";
    gateway.home.write("policies/zz-of-this-test.cedar", forbid);
    generation(&gateway, 5.0).await;
    let denied = used(403).await;
    let new_digest = text(&rows_of(&gateway, "audit", &denied).await[0], "policy_digest").to_owned();
    assert_ne!(old_digest, new_digest);
    let label = format!("tollgate_configuration_info{{policy_digest=\"{new_digest}\"}}");
    assert_eq!(gateway.metric(&label).await, Some(1.0));
    let log = gateway.log();
    let line = log
        .lines()
        .find(|line| line.contains(&denied))
        .expect("refusals are logged");
    assert!(
        line.contains("generation=5") && line.contains(&new_digest),
        "{line}"
    );

    gateway
        .home
        .write("prices.toml", "[model.x]\ninput = \"dear\"\noutput = 1.0\n");
    kept(&gateway, 1.0).await;
    assert!(gateway.log().contains("prices.toml:2: "), "{}", gateway.log());
}

#[tokio::test]
async fn a_reload_gives_nobody_a_new_burst() {
    let sim = anthropic_sim::start().await;
    let setup = Setup::anthropic(&sim).set("limits", "requests_per_minute", "2");
    let gateway = setup.start().await;
    let key = gateway.any_key().await;
    let hello = Call::messages(&key, &ask("hello"));
    assert_eq!(gateway.call(&hello).await.status, 200);
    assert_eq!(gateway.call(&hello).await.status, 429);
    gateway.signal("HUP");
    generation(&gateway, 2.0).await;
    assert_eq!(gateway.call(&hello).await.status, 429);
}

#[tokio::test]
async fn the_log_lets_through_what_the_new_filter_says() {
    let sim = anthropic_sim::start().await;
    let gateway = Setup::anthropic(&sim).start().await;
    let hello = Call::messages(&gateway.any_key().await, &ask("hello"));
    let config = gateway.home.read("tollgate.toml");
    let mut told = Vec::new();
    let filters = ["info", "info,tollgate::requests=off", "info"];
    for (filter, expected) in filters.into_iter().zip([2.0, 3.0, 4.0]) {
        gateway.home.replace(
            "tollgate.toml",
            &format!("{config}\n[log]\nfilter = \"{filter}\"\n"),
        );
        gateway.signal("HUP");
        generation(&gateway, expected).await;
        told.push(gateway.call(&hello).await.request_id());
    }
    until("the last request's line", async || {
        gateway.log().contains(&told[2]).then_some(())
    })
    .await;
    let log = gateway.log();
    assert!(log.contains(&told[0]) && !log.contains(&told[1]), "{told:?}");
    gateway.home.replace(
        "tollgate.toml",
        &format!("{config}\n[log]\nfilter = \"info,,=loud\"\n"),
    );
    gateway.signal("HUP");
    kept(&gateway, 1.0).await;
    assert!(gateway.log().contains("log.filter: "), "{}", gateway.log());
}
