//! Waiting for a condition of another process: the one place of the suite that lets time pass.

use std::time::{Duration, Instant};

/// How long anything may take before the test calls it a hang.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Asks `probe` until it has an answer; panics with `what` when patience ends.
pub async fn until<T>(what: &str, probe: impl AsyncFnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, probe).await
}

/// The same with another patience, for what takes its time by design.
pub async fn until_within<T>(patience: Duration, what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(start.elapsed() < patience, "gave up waiting for {what}");
        pause(Duration::from_millis(10)).await;
    }
}

/// Lets a moment pass, where the passing itself is what is tested (silence, borders between reads).
pub async fn pause(span: Duration) {
    tokio::time::sleep(span).await;
}

/// The value, if it comes within patience; panics with `what` otherwise.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("hang: {what} took longer than {PATIENCE:?}"),
    }
}
