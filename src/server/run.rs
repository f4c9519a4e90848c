//! A node's life: start, serve, drain, stop.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::gateway::{Entrance, EntranceSettings};
use crate::server::assemble::{self, Node, StartError};
use crate::server::health::{self, Health};
use crate::server::{certificates, listen};

/// How long streams that were told to end may take for it.
const CUT_GRACE: Duration = Duration::from_secs(3);

/// How long connections may take for their last bytes once no request is left.
const FLUSH_GRACE: Duration = Duration::from_secs(1);

/// How long background work may take to finish after the last request.
const FINISH_GRACE: Duration = Duration::from_secs(10);

/// Where a started node listens.
#[derive(Clone, Debug)]
pub struct Started {
    /// Public addresses.
    pub public: Vec<SocketAddr>,
    /// The metrics address.
    pub metrics: SocketAddr,
}

/// Runs a node until SIGTERM or SIGINT, then drains it. `started` is called once it serves.
///
/// # Errors
/// It cannot start. Whatever fails later is logged and ends the node.
pub async fn run(
    config: Config,
    started: impl AsyncFnOnce(&Started, &Node) -> Result<(), std::io::Error>,
) -> Result<(), StartError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::Signal)?;
    let signalled = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    run_until(config, started, signalled).await
}

/// Runs a node until `stopped` resolves, then drains it.
///
/// # Errors
/// It cannot start.
pub async fn run_until(
    config: Config,
    started: impl AsyncFnOnce(&Started, &Node) -> Result<(), std::io::Error>,
    stopped: impl Future<Output = ()>,
) -> Result<(), StartError> {
    let drain = config.timeouts.drain.0;
    let tls = certificates::load(&config)?;
    let mut public = Vec::new();
    for address in &config.server.listen {
        public.push(listen::bind(*address)?);
    }
    let (metrics_listener, metrics_address) = listen::bind(config.metrics.listen)?;
    let addresses: Vec<SocketAddr> = public.iter().map(|(_, address)| *address).collect();
    let (stop, stopping) = watch::channel(false);
    let (cut, cutting) = watch::channel(false);
    let (finish, finishing) = watch::channel(false);
    let first = addresses.first().copied();
    let node = assemble::node(&config, first, cutting).await?;
    let health = Health::new(node.gateway.metrics.clone(), node.gauges());
    let mut fronts = JoinSet::new();
    let settings = EntranceSettings {
        h2c: config.server.h2c,
        proxy_protocol: config.server.proxy_protocol,
    };
    let entrance = Entrance::new(Arc::clone(&node.gateway), tls.clone(), settings);
    fronts.spawn(listen::serve(entrance, public, tls.clone(), stopping.clone()));
    let mut work = node.background(&finishing)?;
    let shown = health.clone();
    let metrics_finish = finishing.clone();
    work.spawn(async move {
        if let Err(error) = health::serve(shown, metrics_listener, metrics_finish).await {
            tracing::error!(%error, "the metrics listener failed");
        }
    });
    if let Some(tls) = tls {
        work.spawn(certificates::watch(tls, finishing.clone()));
    }
    health.set_ready(true);
    let whereabouts = Started {
        public: addresses,
        metrics: metrics_address,
    };
    started(&whereabouts, &node).await.map_err(StartError::Announce)?;
    stopped.await;
    tracing::info!(in_flight = node.gateway.in_flight.count(), "stopping");
    health.set_ready(false);
    let _ = stop.send(true);
    while fronts.join_next().await.is_some() {}
    drain_requests(&node, drain, &cut).await;
    let _ = tokio::time::timeout(FLUSH_GRACE, node.gateway.connections.idle()).await;
    let _ = finish.send(true);
    let finished = async { while work.join_next().await.is_some() {} };
    if tokio::time::timeout(FINISH_GRACE, finished).await.is_err() {
        tracing::warn!("background work did not finish in time and is ended");
        work.shutdown().await;
    }
    node.close().await;
    tracing::info!("stopped");
    Ok(())
}

/// Waits for requests in flight; what is left after the deadline is told to end.
async fn drain_requests(node: &Node, drain: Duration, cut: &watch::Sender<bool>) {
    let idle = node.gateway.in_flight.idle();
    if tokio::time::timeout(drain, idle).await.is_ok() {
        return;
    }
    tracing::warn!(
        in_flight = node.gateway.in_flight.count(),
        "ending what is still running"
    );
    let _ = cut.send(true);
    let _ = tokio::time::timeout(CUT_GRACE, node.gateway.in_flight.idle()).await;
}
