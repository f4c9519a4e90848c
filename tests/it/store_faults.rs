//! The store away, killed, slow and read-only under load: requests are served, and afterwards nothing is missing.
//!
//! Each test prints its row of the table in `docs/reliability.md`.

use std::time::Duration;

use tollgate::pipeline::identify::key::NewKey;
use tollgate::types::entropy::SystemEntropy;

use crate::support::anthropic_sim;
use crate::support::client::Call;
use crate::support::delay::Delay;
use crate::support::gateway::Gateway;
use crate::support::ledgers::differences;
use crate::support::load::{Asked, Load};
use crate::support::pg_server::PgServer;
use crate::support::prompt::ask;
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;
use crate::support::wait::{until, until_within};

const ADA: &str = "ada@acme.test";
const CLIENTS: usize = 8;

/// How long a store may take to be caught up with.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(90);

/// A gateway whose store is a server of its own.
struct House {
    server: PgServer,
    gateway: Gateway,
    sim: Upstream,
    key: String,
}

impl House {
    async fn build() -> Self {
        let server = PgServer::start(&[]).await;
        Self::on(server, |setup| setup).await
    }

    async fn on(server: PgServer, configure: impl FnOnce(Setup) -> Setup) -> Self {
        let sim = anthropic_sim::start().await;
        let setup = configure(Setup::anthropic(&sim).postgres(server.database()));
        let gateway = setup.start().await;
        let key = gateway.any_key().await;
        Self {
            server,
            gateway,
            sim,
            key,
        }
    }

    fn load(&self, name: u8) -> Load {
        Load::start(self.gateway.address, &self.key, name, CLIENTS)
    }

    fn missing(&self, asked: &[Asked]) -> Vec<String> {
        differences(&self.server.database(), &[&self.gateway], asked)
    }

    /// Everything was served, and all of it comes into the store; the same process serves on.
    async fn assert_whole(&self, fault: &str, asked: &[Asked]) {
        let served = asked.iter().filter(|asked| asked.status == Some(200)).count();
        assert_eq!(
            served,
            asked.len(),
            "{fault}: requests are served without the store"
        );
        until_within(CAUGHT_UP_WITHIN, "the store to be caught up with", async || {
            self.missing(asked).is_empty().then_some(())
        })
        .await;
        assert_eq!(self.sim.count(), served, "{fault}: one request upstream for each");
        let billed = self
            .server
            .psql("SELECT count(*) FROM ai_requests WHERE outcome = 'complete' AND cost_microdollars > 0");
        assert_eq!(billed, served.to_string(), "{fault}: all of it is paid for");
        let slowest = asked.iter().map(|asked| asked.took).max().unwrap_or_default();
        println!(
            "| {fault} | {served} | 0 | {served} | {billed} | complete; slowest answer {} ms |",
            slowest.as_millis()
        );
        let call = Call::messages(&self.key, &ask("afterwards"));
        assert_eq!(self.gateway.call(&call).await.status, 200);
        self.gateway.user("bob@acme.test", "user").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_for_a_whole_run_gets_all_of_it_afterwards() {
    let mut house = House::build().await;
    let unknown = NewKey::draw(&SystemEntropy::new());
    let call = Call::messages(unknown.text.expose(), &ask("hello"));
    assert_eq!(house.gateway.call(&call).await.status, 401);
    house.server.kill();
    let load = house.load(1);
    load.more(300).await;
    let answer = house.gateway.call(&call).await;
    assert_eq!(
        answer.status,
        503,
        "it may have been created just now: {}",
        answer.text()
    );
    let refused = house
        .gateway
        .cli(&["key", "create", "--tenant", "acme", ADA])
        .await;
    assert_ne!(refused.code, 0, "no key that is not in the store");
    let asked = load.stop().await;
    house.server.restart().await;
    house
        .assert_whole("store down for a whole load run, then back", &asked)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_killed_amid_batches_has_every_row_once() {
    let mut house = House::build().await;
    let load = house.load(1);
    for _ in 0..5 {
        load.more(100).await;
        house.server.kill();
        load.more(20).await;
        house.server.restart().await;
    }
    let asked = load.stop().await;
    house
        .assert_whole("PostgreSQL killed mid-batch, five times", &asked)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_store_slows_nobody_down() {
    let server = PgServer::start(&[]).await;
    let delay = Delay::before(server.address()).await;
    let url = format!("\"{}\"", PgServer::url_at(delay.address));
    let house = House::on(server, |setup| setup.set("store", "url", &url)).await;
    delay.set(Duration::from_millis(300));
    let load = house.load(1);
    load.more(400).await;
    let asked = load.stop().await;
    let slow = asked
        .iter()
        .filter(|asked| asked.took > Duration::from_millis(300))
        .count();
    assert!(
        slow * 20 < asked.len(),
        "{slow} of {} waited as if for the store",
        asked.len()
    );
    delay.set(Duration::ZERO);
    house
        .assert_whole("PostgreSQL slow (300 ms each way)", &asked)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_falls_silent_slows_nobody_down() {
    let house = House::build().await;
    house.server.fall_silent();
    let load = house.load(1);
    load.more(300).await;
    let asked = load.stop().await;
    house.server.speak_again();
    house
        .assert_whole("PostgreSQL silent (stopped, connections open)", &asked)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_store_gets_its_rows_once_it_is_writable() {
    let house = House::build().await;
    let read_only = |setting: &str| {
        house.server.psql(&format!(
            "ALTER SYSTEM SET default_transaction_read_only = {setting}"
        ));
        house.server.psql("SELECT pg_reload_conf()");
    };
    read_only("on");
    until("the store to be read-only", async || {
        (house.server.psql("SHOW transaction_read_only") == "on").then_some(())
    })
    .await;
    let load = house.load(1);
    load.more(300).await;
    let refused = house
        .gateway
        .cli(&["key", "create", "--tenant", "acme", ADA])
        .await;
    assert_ne!(refused.code, 0, "no key that is not in the store");
    let asked = load.stop().await;
    read_only("off");
    house.assert_whole("PostgreSQL read-only", &asked).await;
}
