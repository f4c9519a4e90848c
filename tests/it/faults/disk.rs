//! The disk takes no more: by the limit of file sizes of the process, which fails writes as a full disk does.

use std::process::Command;

use serde_json::Value;

use crate::support::anthropic_sim;
use crate::support::client::Call;
use crate::support::gateway::Gateway;
use crate::support::prompt::ask;
use crate::support::records::rows;
use crate::support::setup::Setup;
use crate::support::wait::until;

/// Requests within which a file is full that takes 200 KB more.
const REQUESTS_MAX: usize = 2_000;

/// Lets the files of the process grow to this many bytes and no more.
fn limit_files(gateway: &Gateway, bytes: &str) {
    let process = gateway.process_id().to_string();
    let status = Command::new("prlimit")
        .args(["--pid", &process, &format!("--fsize={bytes}:unlimited")])
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "prlimit (util-linux) failed"
    );
}

/// The largest file in the data directory, in bytes.
fn largest_file(gateway: &Gateway) -> u64 {
    let files = std::fs::read_dir(gateway.home.join("data")).expect("the data directory is there");
    let sizes = files
        .flatten()
        .filter_map(|file| file.metadata().ok())
        .map(|data| data.len());
    sizes.max().unwrap_or(0)
}

#[tokio::test]
async fn a_full_disk_refuses_what_cannot_be_recorded_and_loses_nothing() {
    let sim = anthropic_sim::start().await;
    let gateway = Setup::anthropic(&sim).start().await;
    let key = gateway.any_key().await;
    let ask_once = async || gateway.call(&Call::messages(&key, &ask("hello"))).await;
    assert_eq!(ask_once().await.status, 200);

    limit_files(&gateway, &(largest_file(&gateway) + 200_000).to_string());
    let mut served = 1;
    let refused = loop {
        let answer = ask_once().await;
        if answer.status != 200 {
            break answer;
        }
        served += 1;
        assert!(served < REQUESTS_MAX, "the disk never filled");
    };
    assert_eq!(refused.status, 503);
    let body: Value = refused.json();
    assert_eq!(body["error"]["type"], "api_error", "{body}");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(sim.count(), served, "what was refused did not go upstream");

    limit_files(&gateway, "unlimited");
    until("the gateway to serve again", async || {
        (ask_once().await.status == 200).then_some(())
    })
    .await;
    let seen = sim.count();
    until("a closed row for every request that went upstream", async || {
        let closed = rows(&gateway, "SELECT 1 FROM ai_requests WHERE outcome = 'complete'");
        (closed.len() == seen).then_some(())
    })
    .await;
}
