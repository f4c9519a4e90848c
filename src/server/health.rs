//! The metrics listener: `/metrics`, `/healthz`, `/readyz`, on an address of its own.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::sync::watch;

use crate::telemetry::metrics::Metrics;

/// What the metrics listener shows.
#[derive(Clone)]
pub struct Health {
    metrics: Metrics,
    ready: Arc<AtomicBool>,
    refresh: Arc<dyn Fn(&Metrics) + Send + Sync>,
    fit: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Health {
    /// A node that is not ready yet. `refresh` brings gauges up to date before they are shown; `fit` says
    /// whether a node that serves can go on doing so.
    pub fn new(
        metrics: Metrics,
        refresh: Arc<dyn Fn(&Metrics) + Send + Sync>,
        fit: Arc<dyn Fn() -> bool + Send + Sync>,
    ) -> Self {
        Self {
            metrics,
            ready: Arc::new(AtomicBool::new(false)),
            fit,
            refresh,
        }
    }

    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire) && (self.fit)()
    }

    /// Says whether new requests are welcome.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }
}

/// Serves until `stop` turns true.
///
/// # Errors
/// The listener fails.
pub async fn serve(
    health: Health,
    listener: TcpListener,
    mut stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(health);
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let stopped = async move {
        // An error means that the sender is gone, which is a stop as well.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    axum::serve(listener, router)
        .with_graceful_shutdown(stopped)
        .await
}

async fn metrics(State(health): State<Health>) -> Result<String, StatusCode> {
    health.metrics.node.ready(health.is_ready());
    (health.refresh)(&health.metrics);
    health
        .metrics
        .text()
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

async fn ready(State(health): State<Health>) -> (StatusCode, &'static str) {
    if health.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}
