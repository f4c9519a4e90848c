//! What a recorded request costs: CPU microseconds of an open and its close, and how long an open waits.
//!
//! `cargo bench --bench journal [-- postgres://…]`: shipping into SQLite, and into that empty database.

use std::error::Error;
use std::fs;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tollgate::jobs::shipper::{self, Shipper};
use tollgate::journal::leaf::act::{Act, RequestFacts};
use tollgate::journal::leaf::close::{Attempt, Close, Cost, Outcome};
use tollgate::journal::leaf::decision::{DecisionRow, Json, Verdict};
use tollgate::journal::leaf::open::{Candidate, Open};
use tollgate::journal::origin::{NodeIdentity, StoreKnows};
use tollgate::journal::{Durability, Journal, Settings, Sources};
use tollgate::store::Store;
use tollgate::types::clock::{Clock, SystemClock};
use tollgate::types::digest::Sha256;
use tollgate::types::entropy::SystemEntropy;
use tollgate::types::ids::{KeyId, ModelName, RequestId, SessionId, TenantId, UpstreamName, UserId};
use tollgate::types::money::MicroDollars;
use tollgate::types::principal::Credential;

/// Ticks of `/proc/self/stat` in a second, on every Linux that we run on.
const TICKS_PER_SECOND: u64 = 100;

/// Rows of one request in the store: two leaves in `audit`, one row in `ai_requests`, three decisions.
const ROWS_PER_REQUEST: u128 = 6;

const RUN_FOR: Duration = Duration::from_secs(4);

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    let mut syncs = disk_syncs()?;
    writeln!(
        out,
        "fdatasync of 4 KiB: p50 {} us, p99 {} us",
        percentile(&mut syncs, 50),
        percentile(&mut syncs, 99)
    )?;
    for durability in [Durability::Relaxed, Durability::Journal] {
        for tasks in [1, 32, 256] {
            writeln!(out, "{}", run(durability, tasks)?)?;
        }
    }
    writeln!(out, "{}", run_at_rate(1_000)?)?;
    writeln!(out, "{}", ship(20_000, None)?)?;
    let named = std::env::args().find(|argument| argument.starts_with("postgres:"));
    if let Some(url) = named {
        writeln!(out, "{}", ship(20_000, Some(url))?)?;
    }
    Ok(())
}

fn open_journal(
    durability: Durability,
    directory: &tempfile::TempDir,
) -> Result<Arc<Journal>, Box<dyn Error>> {
    let settings = Settings {
        durability,
        ..Settings::new(directory.path().join("journal"), 8 << 30)
    };
    let sources = Sources {
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::new()),
    };
    let identity = NodeIdentity::new("bench", "a")?;
    let (journal, _) = Journal::open(&settings, &identity, &StoreKnows::Nothing, sources)?;
    Ok(Arc::new(journal))
}

/// Requests that come whether the journal keeps up or not: what their opens wait, stalls included.
fn run_at_rate(per_second: u32) -> Result<String, Box<dyn Error>> {
    let directory = tempfile::tempdir_in(".")?;
    let journal = open_journal(Durability::Journal, &directory)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let gap = Duration::from_secs(1) / per_second;
    let mut waits = runtime.block_on(async {
        let mut working = JoinSet::new();
        let start = Instant::now();
        let mut due = start;
        while due < start + 2 * RUN_FOR {
            while due <= Instant::now() {
                working.spawn(once(Arc::clone(&journal), due));
                due += gap;
            }
            tokio::time::sleep(gap).await;
        }
        working.join_all().await
    });
    Ok(format!(
        "Journal, {per_second} requests/s: open waits p50 {} us, p90 {} us, p99 {} us, max {} us",
        percentile(&mut waits, 50),
        percentile(&mut waits, 90),
        percentile(&mut waits, 99),
        percentile(&mut waits, 100),
    ))
}

/// What a full journal costs to bring into a store, and how fast that goes: a SQLite file, where none is named.
fn ship(requests: u64, store: Option<String>) -> Result<String, Box<dyn Error>> {
    let directory = tempfile::tempdir_in(".")?;
    let journal = open_journal(Durability::Relaxed, &directory)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        for _ in 0..requests {
            once(Arc::clone(&journal), Instant::now()).await;
        }
        let kind = if store.is_some() { "PostgreSQL" } else { "SQLite" };
        let file = format!("sqlite:{}", directory.path().join("store.db").display());
        let url = store.unwrap_or(file);
        let store = Arc::new(Store::connect(&url, None).await?);
        let settings = shipper::Settings {
            flush_within: Duration::from_secs(600),
            ..shipper::Settings::keeping(Duration::ZERO)
        };
        let shipper = Shipper::new(Arc::clone(&journal), store, Arc::new(SystemClock), settings);
        let (cpu, start) = (cpu_micros()?, Instant::now());
        shipper.finish().await;
        let span = start.elapsed();
        let cpu = (cpu_micros()? - cpu) * 10 / requests;
        let per_second = u128::from(requests) * 1_000 / span.as_millis().max(1);
        Ok(format!(
            "shipping into {kind}: {:.1} us CPU per request, {per_second} requests/s, {} rows/s, {} left behind",
            f64::from(u32::try_from(cpu)?) / 10.0,
            per_second * ROWS_PER_REQUEST,
            shipper.unshipped(),
        ))
    })
}

/// One request. Gives how long after it was due its open was durable.
async fn once(journal: Arc<Journal>, due: Instant) -> u64 {
    let open = open();
    if let Ok(reservation) = journal.open_request(&open).await {
        let wait = due.elapsed();
        reservation.close(close(open.facts.act));
        return u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
    }
    u64::MAX
}

fn run(durability: Durability, tasks: u64) -> Result<String, Box<dyn Error>> {
    let directory = tempfile::tempdir_in(".")?;
    let journal = open_journal(durability, &directory)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let (cpu, start) = (cpu_micros()?, Instant::now());
    let mut waits = runtime.block_on(async {
        let mut working = JoinSet::new();
        for _ in 0..tasks {
            working.spawn(work(Arc::clone(&journal), start + RUN_FOR));
        }
        working.join_all().await.concat()
    });
    let (cpu, span) = (cpu_micros()? - cpu, start.elapsed());
    let pairs = u64::try_from(waits.len())?.max(1);
    Ok(format!(
        "{durability:?}, {tasks} at once: {:.1} us CPU per request, {} requests/s, open waits p50 {} us, p99 {} us, max {} us",
        f64::from(u32::try_from(cpu * 10 / pairs)?) / 10.0,
        u128::from(pairs) * 1_000 / span.as_millis().max(1),
        percentile(&mut waits, 50),
        percentile(&mut waits, 99),
        percentile(&mut waits, 100),
    ))
}

/// Opens and closes requests until the moment has come. Gives how long each open waited.
async fn work(journal: Arc<Journal>, until: Instant) -> Vec<u64> {
    let mut waits = Vec::new();
    while Instant::now() < until {
        let open = open();
        let start = Instant::now();
        let Ok(reservation) = journal.open_request(&open).await else {
            break;
        };
        waits.push(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
        reservation.close(close(open.facts.act));
    }
    waits
}

fn open() -> Open {
    let now = SystemClock.now();
    let entropy = SystemEntropy::new();
    let key = KeyId::generate(now, &entropy);
    let decision = |stage: &str| DecisionRow {
        stage: stage.into(),
        outcome: Verdict::Allow,
        rule: Some("users-may-invoke".into()),
        reason: None,
        facts: Json::of(&("claude-sonnet-4-6", "anthropic", 3)).ok(),
        duration_us: 12,
    };
    Open {
        facts: RequestFacts {
            act: Act {
                tenant: Some(TenantId::generate(now, &entropy)),
                user: Some(UserId::generate(now, &entropy)),
                credential: Some(Credential::ApiKey(key)),
                session: Some(SessionId::new(key.to_string())),
                action: "invoke".into(),
                resource: Some("model:claude-sonnet-4-6".into()),
                ..Act::of_request(RequestId::generate(now, &entropy))
            },
            started_at: now,
            requested_model: Some(ModelName::from("claude-sonnet-4-6")),
            client_dialect: Some("anthropic-messages".into()),
            stream: true,
            request_digest: Some(Sha256::of(b"request")),
            policy_digest: Some(Sha256::of(b"policy")),
            config_generation: 1,
        },
        reason: None,
        candidates: vec![Candidate {
            upstream: UpstreamName::from("anthropic"),
            model: ModelName::from("claude-sonnet-4-6"),
        }],
        reserved: Some(MicroDollars::new(61_440)),
        decisions: vec![decision("scope"), decision("policy"), decision("quota")],
    }
}

fn close(act: Act) -> Close {
    Close {
        status: Some(200),
        served_model: Some(ModelName::from("claude-sonnet-4-6")),
        upstream: Some(UpstreamName::from("anthropic")),
        upstream_dialect: Some("anthropic-messages".into()),
        upstream_request_id: Some("req_011CSHoEeqs5C35K2UUqR7Fy".into()),
        attempts: vec![Attempt {
            upstream: UpstreamName::from("anthropic"),
            outcome: "ok".into(),
            status: Some(200),
            duration_us: 812_000,
        }],
        cost: Cost::Priced(MicroDollars::new(8_211)),
        latency_us: Some(815_000),
        ttfb_us: Some(402_000),
        stop_reason: Some("end_turn".into()),
        sent_digest: Some(Sha256::of(b"sent")),
        ..Close::bare(act, Outcome::Complete)
    }
}

/// How long the disk takes to make 4 KiB durable, in microseconds.
fn disk_syncs() -> Result<Vec<u64>, Box<dyn Error>> {
    let directory = tempfile::tempdir_in(".")?;
    let mut file = fs::File::create(directory.path().join("sync"))?;
    let mut spans = Vec::new();
    for _ in 0..300 {
        file.write_all(&[0; 4_096])?;
        let start = Instant::now();
        file.sync_data()?;
        spans.push(u64::try_from(start.elapsed().as_micros())?);
    }
    Ok(spans)
}

/// The CPU time of this process so far.
fn cpu_micros() -> Result<u64, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat
        .rsplit_once(')')
        .map_or("", |(_, rest)| rest)
        .split_whitespace();
    // User and system time are fields 14 and 15; the two before the bracket are cut off.
    let ticks: Result<Vec<u64>, _> = fields.skip(11).take(2).map(str::parse).collect();
    Ok(ticks?.into_iter().sum::<u64>() * (1_000_000 / TICKS_PER_SECOND))
}

fn percentile(values: &mut [u64], percent: usize) -> u64 {
    values.sort_unstable();
    let index = (values.len() * percent / 100).min(values.len().saturating_sub(1));
    values.get(index).copied().unwrap_or(0)
}
