//! The machine's clock jumps: by `libfaketime`, which shifts the wall clock of the process alone.

use std::path::{Path, PathBuf};

use crate::support::anthropic_sim;
use crate::support::client::Call;
use crate::support::gateway::Gateway;
use crate::support::prompt::ask;
use crate::support::records::{rows, rows_of};
use crate::support::setup::Setup;
use crate::support::wait::until;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// The library, wherever the distribution keeps it; `scripts/packages` installs it.
fn library() -> PathBuf {
    let triplets = ["x86_64-linux-gnu", "aarch64-linux-gnu"];
    let paths = triplets.map(|triplet| format!("/usr/lib/{triplet}/faketime/libfaketime.so.1"));
    let found = paths.iter().map(Path::new).find(|path| path.exists());
    found
        .expect("libfaketime is installed: apt-get install faketime")
        .to_owned()
}

/// Asks until it is served, and gives the moment that the request's row says it came at.
async fn served(gateway: &Gateway, key: &str) -> i64 {
    let request = until("the gateway to serve", async || {
        let answer = gateway.call(&Call::messages(key, &ask("hello"))).await;
        (answer.status == 200).then(|| answer.request_id())
    })
    .await;
    let row = rows_of(gateway, "ai_requests", &request).await.remove(0);
    row["opened_at"].as_i64().expect("opened_at is a number")
}

/// What is known of users is two days old after a jump, until it is read again; and after a jump back a
/// session waits for one request's share of its rate. Both pass within moments, which [`served`] awaits.
#[tokio::test]
async fn requests_are_served_and_recorded_whatever_the_clock_says() {
    let sim = anthropic_sim::start().await;
    let setup = Setup::anthropic(&sim)
        .file("shift", "+0")
        // So few that a limiter which believed in the future would refuse for days.
        .set("limits", "requests_per_minute", "60");
    let shift = setup.path("shift");
    let gateway = setup
        .variable("LD_PRELOAD", library().to_str().expect("a plain path"))
        .variable("FAKETIME_TIMESTAMP_FILE", &shift)
        .variable("FAKETIME_NO_CACHE", "1")
        .variable("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .start()
        .await;
    let key = gateway.any_key().await;
    let token = gateway.token_of("ada@acme.test", "15m").await;
    let now = served(&gateway, &key).await;
    served(&gateway, &token).await;

    gateway.home.write("shift", "+2d");
    let later = served(&gateway, &key).await;
    assert!((later - now - 2 * DAY).abs() < DAY / 2, "{now} {later}");
    let expired = gateway.call(&Call::messages(&token, &ask("hello"))).await;
    assert_eq!(expired.status, 401, "the token has expired by this clock");

    gateway.home.write("shift", "+0");
    let back = served(&gateway, &key).await;
    assert!((back - now).abs() < DAY / 2, "{now} {back}");
    served(&gateway, &token).await;

    let seen = sim.count();
    until("a closed row for every request that went upstream", async || {
        let closed = rows(&gateway, "SELECT 1 FROM ai_requests WHERE outcome = 'complete'");
        (closed.len() == seen).then_some(())
    })
    .await;
}
