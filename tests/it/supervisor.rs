//! `tollgate serve`: a process without secrets that keeps the gateway running.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use crate::support::anthropic_sim;
use crate::support::client::Call;
use crate::support::gateway::{Gateway, Launch};
use crate::support::prompt::ask;
use crate::support::records::rows;
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;
use crate::support::wait::until;

async fn supervised(sim: &Upstream) -> Gateway {
    let (home, environment) = Setup::anthropic(sim).write();
    Gateway::launch(Launch::Supervised, home, environment).await
}

fn gateway_of(supervisor: &Gateway) -> u32 {
    let children = supervisor.children();
    assert_eq!(children.len(), 1, "one gateway");
    children[0]
}

fn kill(process: u32) {
    let kill = format!("kill -KILL {process}");
    let status = std::process::Command::new("sh").args(["-c", &kill]).status();
    assert!(status.unwrap().success());
}

async fn gone(process: u32) {
    until(&format!("process {process} to end"), async || {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let dead = stat
            .rsplit_once(") ")
            .is_none_or(|(_, rest)| rest.starts_with('Z'));
        dead.then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_gateway_that_is_killed_comes_back_and_the_ledger_goes_on() {
    let sim = anthropic_sim::start().await;
    let mut gateway = supervised(&sim).await;
    let key = gateway.any_key().await;
    let hello = Call::messages(&key, &ask("hello"));
    assert_eq!(gateway.call(&hello).await.status, 200);
    for _ in 0..2 {
        kill(gateway_of(&gateway));
        gateway.reborn().await;
        assert_eq!(gateway.call(&hello).await.status, 200);
    }
    // One that was answered the moment before may not have been closed yet.
    until("all requests in the store", async || {
        let found = rows(
            &gateway,
            "SELECT count(*) AS n FROM ai_requests WHERE outcome IN ('complete', 'interrupted')",
        );
        (found[0]["n"] == json!(3)).then_some(())
    })
    .await;
    let child = gateway_of(&gateway);
    gateway.terminate();
    assert_eq!(gateway.ended().await.code(), Some(0));
    gone(child).await;
}

#[tokio::test]
async fn a_gateway_whose_supervisor_is_killed_ends_by_itself() {
    let sim = anthropic_sim::start().await;
    let mut gateway = supervised(&sim).await;
    let child = gateway_of(&gateway);
    gateway.kill();
    gone(child).await;
    assert!(
        gateway.log().contains("the supervisor is gone"),
        "{}",
        gateway.log()
    );
    gateway.restart().await;
    assert!(!gateway.children().is_empty(), "the data directory is free again");
}

#[tokio::test]
async fn wishes_are_handed_on() {
    let sim = anthropic_sim::start().await;
    let gateway = supervised(&sim).await;
    gateway.signal("HUP");
    until("a reload", async || {
        (gateway.metric("tollgate_configuration_generation").await? > 1.5).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_gateway_that_cannot_start_is_not_tried_again() {
    let sim = anthropic_sim::start().await;
    let (home, environment) = Setup::anthropic(&sim).set("server", "colour", "1").write();
    let file = home.join("tollgate.toml");
    let arguments = ["--config", file.to_str().unwrap(), "serve"];
    let output = crate::support::gateway::run(&arguments, &environment).await;
    assert_eq!(output.code, 2, "{output:?}");
    assert_eq!(output.stderr.matches("colour").count(), 1, "{output:?}");
}

#[tokio::test]
async fn the_supervisor_opens_nothing_of_the_gateways() {
    let sim = anthropic_sim::start().await;
    let gateway = supervised(&sim).await;
    let open_below_home = |process: u32| -> Vec<String> {
        let entries = std::fs::read_dir(format!("/proc/{process}/fd"))
            .unwrap()
            .flatten();
        let targets = entries.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        let data = gateway.home.join("data");
        let below = targets.filter(|target| target.starts_with(&data));
        below.map(|target| target.display().to_string()).collect()
    };
    assert!(
        !open_below_home(gateway_of(&gateway)).is_empty(),
        "the gateway's own files are seen"
    );
    let opened = open_below_home(gateway.process_id());
    assert!(opened.is_empty(), "{opened:?}");
    let mapped = std::fs::read_to_string(format!("/proc/{}/maps", gateway.process_id())).unwrap();
    let data = gateway.home.join("data").display().to_string();
    assert!(!mapped.contains(&data) && Path::new(&data).exists());
}

/// With a socket that stays open above the gateway, clients wait while it starts again.
#[tokio::test]
async fn a_passed_socket_survives_the_death_of_the_gateway() {
    const SCRIPT: &str = "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" serve --config \"$1\" 3<&0 </dev/null";
    let sim = anthropic_sim::start().await;
    let (home, environment) = Setup::anthropic(&sim).write();
    let socket = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
    let address = socket.local_addr().unwrap();
    let gateway = Gateway::launch(Launch::Shell(SCRIPT, socket), home, environment).await;
    assert_eq!(gateway.address, address);
    let key = gateway.any_key().await;
    let hello = Call::messages(&key, &ask("hello"));
    assert_eq!(gateway.call(&hello).await.status, 200);
    kill(gateway_of(&gateway));
    assert_eq!(
        gateway.call(&hello).await.status,
        200,
        "nobody was refused a connection"
    );
}
