//! A node's life: start, serve, drain, stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::config::file::Durability;
use crate::config::source::Source;
use crate::gateway::{Entrance, EntranceSettings};
use crate::server::assemble::{self, Node, StartError};
use crate::server::health::{self, Health};
use crate::server::reload::Watched;
use crate::server::service::{self, Passed};
use crate::server::watchdog::{self, Vital};
use crate::server::wishes::{Ears, Stop, Wishes};
use crate::server::{certificates, listen};
use crate::telemetry::logs::Filter;

/// How long requests that were told to end may take for it.
const CUT_GRACE: Duration = Duration::from_secs(3);

/// How long connections may take for their last bytes once no request is left.
const FLUSH_GRACE: Duration = Duration::from_secs(1);

/// How long background work may take to finish after the last request.
const FINISH_GRACE: Duration = Duration::from_secs(5);

/// The signal of a write beyond `RLIMIT_FSIZE`, on every Linux that Rust runs on but MIPS.
const SIGXFSZ: i32 = 25;

/// Where a started node listens.
#[derive(Clone, Debug)]
pub struct Started {
    /// Public addresses.
    pub public: Vec<SocketAddr>,
    /// The metrics address.
    pub metrics: SocketAddr,
}

/// What a node is started from.
#[derive(Debug)]
pub struct Start {
    /// Its configuration.
    pub config: Config,
    /// Where that was read from, and is read again on SIGHUP and when its files change; none to
    /// keep it.
    pub source: Option<Source>,
    /// Sockets that are listening already; they stand in for the configured addresses.
    pub passed: Passed,
    /// Whether a supervisor speaks through standard input.
    pub supervised: bool,
    /// What the log says, to be changed with the configuration; none to leave it alone.
    pub log: Option<Filter>,
}

/// How a node ended that was told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything was finished and written.
    Clean,
    /// So many requests were still running at the deadline and were cut off; their ends are written.
    Cut(usize),
    /// The journal could not be written to its end, or, where the store is waited for, the store has not all
    /// of it. What is missing is closed as interrupted, or shipped, at the next start.
    Unwritten,
}

/// Runs a node until SIGTERM or SIGINT, or its supervisor, ends it: drained after the first, at once
/// after the second. `started` is called once it serves.
///
/// # Errors
/// It cannot start. Whatever fails later is logged and ends the node.
pub async fn run(
    start: Start,
    started: impl AsyncFnOnce(&Started, &Node) -> Result<(), std::io::Error>,
) -> Result<Ending, StartError> {
    let Start {
        config,
        source,
        passed,
        supervised,
        log,
    } = start;
    // Taken note of, a write beyond a limit of file sizes is an error like that of a full disk, which the
    // journal can refuse with; else it ends the process.
    drop(signal(SignalKind::from_raw(SIGXFSZ)).map_err(StartError::Signal)?);
    // Before anything else: until somebody listens, SIGHUP ends the process.
    let (ears, wishes) = Ears::new(supervised).map_err(StartError::Signal)?;
    let watched = source.map(|source| Watched::new(source, &config));
    let tls = certificates::load(&config)?;
    let listeners = listen::open(&config, passed)?;
    let whereabouts = listeners.whereabouts();
    let (stop, stopping) = watch::channel(false);
    let (cut, cutting) = watch::channel(false);
    let (finish, finishing) = watch::channel(false);
    let first = whereabouts.public.first().copied();
    let node = Box::pin(assemble::node(&config, first, cutting)).await?;
    let health = Health::new(node.gateway.metrics.clone(), node.gauges(), node.fitness());
    let mut fronts = JoinSet::new();
    let settings = EntranceSettings {
        h2c: config.server.h2c,
        proxy_protocol: config.server.proxy_protocol,
    };
    let entrance = Entrance::new(Arc::clone(&node.gateway), tls.clone(), settings);
    fronts.spawn(listen::serve(
        entrance,
        listeners.public,
        tls.clone(),
        stopping.clone(),
    ));
    let mut work = node.background(&finishing)?;
    work.spawn(ears.run(finishing.clone()));
    if let Some(watched) = watched {
        let reloader = node.reloader(watched, tls.clone(), log);
        work.spawn(reloader.run(assemble::finished(&finishing), Arc::clone(&wishes.reload)));
    }
    let vital = Vital {
        gateway: Arc::clone(&node.gateway),
        public: whereabouts.public.clone(),
        tls: tls.clone(),
        proxy_protocol: config.server.proxy_protocol,
        stopping,
    };
    work.spawn(watchdog::watchdog(vital, finishing.clone()));
    work.spawn(metrics(health.clone(), listeners.metrics, finishing.clone()));
    if let Some(tls) = tls {
        work.spawn(certificates::watch(tls, finishing));
    }
    health.set_ready(true);
    started(&whereabouts, &node).await.map_err(StartError::Announce)?;
    service::ready(&format!("serving on {}", listen::list(&whereabouts.public)));
    wishes.stop_wished(Stop::Drained).await;
    tracing::info!(in_flight = node.gateway.in_flight.count(), "stopping");
    service::stopping("finishing running requests");
    health.set_ready(false);
    let delay = node.gateway.snapshot.load().drain_delay;
    wait(delay.unwrap_or_default(), &wishes).await;
    let _ = stop.send(true);
    while fronts.join_next().await.is_some() {}
    let unfinished = drain(&node, &wishes, &cut).await;
    let _ = tokio::time::timeout(FLUSH_GRACE, node.gateway.connections.idle()).await;
    let _ = finish.send(true);
    finish_work(work).await;
    Ok(ended(node, unfinished, *config.ledger.durability.get_ref()).await)
}

async fn metrics(health: Health, listener: std::net::TcpListener, finishing: watch::Receiver<bool>) {
    if let Err(error) = health::serve(health, listener, finishing).await {
        tracing::error!(%error, "the metrics listener failed");
    }
}

/// Lets time pass in which load balancers take note, unless it shall end at once.
async fn wait(span: Duration, wishes: &Wishes) {
    tokio::select! {
        () = tokio::time::sleep(span) => {}
        () = wishes.stop_wished(Stop::AtOnce) => {}
    }
}

/// Waits for requests in flight; what is left after the deadline, or when the end is wished at once,
/// is told to end. Gives how many those were.
async fn drain(node: &Node, wishes: &Wishes, cut: &watch::Sender<bool>) -> usize {
    let deadline = node.gateway.snapshot.load().drain;
    let idle = async {
        tokio::select! {
            biased;
            () = node.gateway.in_flight.idle() => true,
            () = wishes.stop_wished(Stop::AtOnce) => false,
        }
    };
    if let Ok(true) = tokio::time::timeout(deadline, idle).await {
        return 0;
    }
    let unfinished = node.gateway.in_flight.count();
    tracing::warn!(in_flight = unfinished, "ending what is still running");
    let _ = cut.send(true);
    if tokio::time::timeout(CUT_GRACE, node.gateway.in_flight.idle())
        .await
        .is_err()
    {
        let in_flight = node.gateway.in_flight.count();
        tracing::warn!(in_flight, "some requests did not end and are dropped");
    }
    unfinished
}

async fn finish_work(mut work: JoinSet<()>) {
    let finished = async { while work.join_next().await.is_some() {} };
    if tokio::time::timeout(FINISH_GRACE, finished).await.is_err() {
        tracing::warn!("background work did not finish in time and is ended");
        work.shutdown().await;
    }
}

/// Closes the node and says how it ended.
async fn ended(node: Node, unfinished: usize, durability: Durability) -> Ending {
    let journal = Arc::clone(node.gateway.ledger.journal());
    let unshipped = node.close().await;
    let status = journal.status();
    if status.failing || status.closes_unwritten > 0 {
        tracing::error!(
            closes_unwritten = status.closes_unwritten,
            "stopped, but the journal could not be written to its end"
        );
        return Ending::Unwritten;
    }
    if unshipped > 0 && durability == Durability::Store {
        tracing::error!(
            unshipped,
            "stopped, but the store does not have the end of the ledger"
        );
        return Ending::Unwritten;
    }
    tracing::info!(cut = unfinished, "stopped");
    match unfinished {
        0 => Ending::Clean,
        requests => Ending::Cut(requests),
    }
}
