//! Counts what is in flight, so that it can be bounded and a shutdown can wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// A counter that can be waited on.
#[derive(Clone, Debug, Default)]
pub struct InFlight(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    count: AtomicUsize,
    idle: Notify,
}

/// One request or connection; counts until it is dropped.
#[derive(Debug)]
pub struct Guard(Arc<Inner>);

impl InFlight {
    /// One more.
    pub fn enter(&self) -> Guard {
        self.0.count.fetch_add(1, Ordering::AcqRel);
        Guard(Arc::clone(&self.0))
    }

    /// One more, if there are fewer than `max`.
    pub fn enter_below(&self, max: usize) -> Option<Guard> {
        let guard = self.enter();
        (self.count() <= max).then_some(guard)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.count.load(Ordering::Acquire)
    }

    /// Waits until there are none.
    pub async fn idle(&self) {
        loop {
            let notified = self.0.idle.notified();
            if self.count() == 0 {
                return;
            }
            notified.await;
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_bound_come_in() {
        let all = InFlight::default();
        let first = all.enter_below(2);
        let _second = all.enter_below(2).expect("there is room");
        assert!(all.enter_below(2).is_none());
        assert_eq!(all.count(), 2, "who was turned away does not count");
        drop(first);
        assert!(all.enter_below(2).is_some());
    }
}
