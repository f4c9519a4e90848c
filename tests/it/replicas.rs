//! Two gateways on one PostgreSQL: what one does holds on the other, and both ledgers come whole.

use std::time::{Duration, Instant};

use crate::support::anthropic_sim;
use crate::support::client::Call;
use crate::support::gateway::Gateway;
use crate::support::ledgers::differences;
use crate::support::load::Load;
use crate::support::pg_server::PgServer;
use crate::support::postgres::Database;
use crate::support::prompt::ask;
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;
use crate::support::wait::{pause, until, until_within};

const ADA: &str = "ada@acme.test";

/// How soon a revocation must be honoured everywhere.
const HONOURED_WITHIN: Duration = Duration::from_secs(2);

/// A gateway on this database, of this name.
async fn replica(sim: &Upstream, database: Database, name: &str) -> Gateway {
    Setup::anthropic(sim)
        .postgres(database)
        .replica(name)
        .start()
        .await
}

fn hello(key: &str) -> Call {
    Call::messages(key, &ask("hello"))
}

async fn status(gateway: &Gateway, key: &str) -> u16 {
    gateway.call(&hello(key)).await.status
}

/// Waits until a credential is turned away; fails when that takes too long.
async fn assert_ends(gateway: &Gateway, key: &str, since: Instant) {
    while status(gateway, key).await != 401 {
        assert!(since.elapsed() < HONOURED_WITHIN, "the key still works");
        pause(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn keys_of_one_are_valid_on_the_other_at_once_and_void_within_two_seconds() {
    let database = Database::new();
    let sim = anthropic_sim::start().await;
    let one = replica(&sim, database.shared(), "one").await;
    let two = replica(&sim, database.shared(), "two").await;
    let first = one.user(ADA, "user").await;
    assert_eq!(status(&two, &first.key).await, 200);
    for (maker, other) in [(&one, &two), (&two, &one)] {
        let key = maker.key_of(ADA).await;
        assert_eq!(status(other, &key.key).await, 200, "at once, by look-up");
        let token = maker.token_of(ADA, "15m").await;
        assert_eq!(status(other, &token).await, 200, "signed by the other's key");
        maker.cli(&["key", "revoke", &key.id]).await.ok();
        let revoked = Instant::now();
        assert_ends(other, &key.key, revoked).await;
        assert_ends(maker, &key.key, revoked).await;
    }
    // Without announcements the polls are in time.
    database.psql("DROP TRIGGER announce_identity ON identity_revision");
    one.cli(&["user", "disable", "--tenant", "acme", ADA]).await.ok();
    let disabled = Instant::now();
    assert_ends(&two, &first.key, disabled).await;
    assert_ends(&one, &first.key, disabled).await;
}

#[tokio::test]
async fn replicas_that_start_at_once_migrate_once() {
    let database = Database::new();
    let sim = anthropic_sim::start().await;
    let start = async |name: &str| replica(&sim, database.shared(), name).await;
    let (one, two, three) = tokio::join!(start("one"), start("two"), start("three"));
    let key = one.user(ADA, "user").await.key;
    for gateway in [&one, &two, &three] {
        assert_eq!(status(gateway, &key).await, 200);
    }
    let applied = database.psql("SELECT count(*) = max(version) FROM _sqlx_migrations");
    assert_eq!(applied, "t");
    assert_eq!(database.psql("SELECT count(*) FROM tenants"), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ledgers_come_whole_though_a_replica_and_the_database_are_killed() {
    let mut server = PgServer::start(&[]).await;
    let database = server.database();
    let sim = anthropic_sim::start().await;
    let one = replica(&sim, database.shared(), "one").await;
    let mut two = replica(&sim, database.shared(), "two").await;
    let key = one.any_key().await;
    let mut asked = Vec::new();
    let steady = Load::start(one.address, &key, 1, 4);
    for round in 0..3 {
        let load = Load::start(two.address, &key, 2 + round, 4);
        load.more(50).await;
        // In the middle of a batch, as like as not: batches follow one another while the load runs.
        server.kill();
        load.more(50).await;
        two.kill();
        asked.extend(load.stop().await);
        server.restart().await;
        two.restart().await;
        steady.more(50).await;
    }
    asked.extend(steady.stop().await);
    let refused: Vec<_> = asked
        .iter()
        .filter(|asked| asked.status.is_some_and(|status| status != 200))
        .collect();
    assert!(refused.is_empty(), "served from memory and journal: {refused:?}");
    until_within(
        Duration::from_secs(60),
        "both journals to be shipped",
        async || {
            differences(&database, &[&one, &two], &asked)
                .is_empty()
                .then_some(())
        },
    )
    .await;
    assert_eq!(status(&two, &key).await, 200);
    // The check sees what is lost, doubled or never charged.
    let id = database.psql("SELECT id FROM audit ORDER BY id LIMIT 1");
    let damage = [
        format!("DELETE FROM audit WHERE id = '{id}'"),
        "INSERT INTO audit (id, occurred_at, kind, action, detail) VALUES (gen_random_uuid(), now(), 'open', 'x', '{}')".to_owned(),
        "UPDATE ai_requests SET cost_microdollars = NULL".to_owned(),
    ];
    let mut seen = until("the last request to be shipped", async || {
        let found = differences(&database, &[&one, &two], &asked);
        found.is_empty().then_some(0)
    })
    .await;
    for statement in damage {
        database.psql(&statement);
        let found = differences(&database, &[&one, &two], &asked).len();
        assert!(found > seen, "unnoticed: {statement}");
        seen = found;
    }
}

#[tokio::test]
async fn tables_of_a_newer_version_are_neither_served_nor_written() {
    let database = Database::new();
    let sim = anthropic_sim::start().await;
    let mut gateway = replica(&sim, database.shared(), "one").await;
    let key = gateway.any_key().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9999, 'the future', true, '', 0)";
    database.psql(newer);
    until("the gateway to say that it is not ready", async || {
        (gateway.readiness().await == 503).then_some(())
    })
    .await;
    assert_eq!(status(&gateway, &key).await, 200, "from memory and journal");
    let refused = gateway.cli(&["key", "create", "--tenant", "acme", ADA]).await;
    assert_ne!(refused.code, 0, "nothing is written");
    gateway.kill();
    let refused = gateway.cli(&["ledger", "tail"]).await;
    assert!(
        refused.stderr.contains("9999") && refused.stderr.contains("newer version"),
        "says what to do: {}",
        refused.stderr
    );
    let rows = database.psql("SELECT count(*) FROM ai_requests");
    assert_eq!(rows, "0", "the journal keeps them");
    database.psql("DELETE FROM _sqlx_migrations WHERE version = 9999");
    gateway.restart().await;
    until("the ledger to be shipped", async || {
        (database.psql("SELECT count(*) FROM ai_requests") == "1").then_some(())
    })
    .await;
}
