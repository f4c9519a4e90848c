//! How many requests an upstream handles at once, and who waits for a place: first come, first served.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// The bounds of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Requests at the upstream at once.
    pub max_concurrent: usize,
    /// Requests that wait for a place.
    pub queue: usize,
}

/// One upstream's gate.
#[derive(Debug)]
pub struct Gate(Mutex<State>);

#[derive(Debug)]
struct State {
    settings: Settings,
    inside: usize,
    waiting: VecDeque<oneshot::Sender<Pass>>,
}

/// A place at the upstream, until it is dropped.
#[derive(Debug)]
pub struct Pass(Option<Arc<Gate>>);

/// A place in the queue. Dropping it leaves the queue.
#[derive(Debug)]
pub struct Turn(oneshot::Receiver<Pass>);

impl Turn {
    /// Waits for a place. Safe to cancel: a place that came meanwhile goes to the next in the queue.
    pub async fn come(self) -> Option<Pass> {
        self.0.await.ok()
    }
}

/// What the gate says.
#[derive(Debug)]
pub enum Entry {
    /// There is a place.
    In(Pass),
    /// There is one in the queue.
    Wait(Turn),
    /// There is none.
    Full,
}

impl Gate {
    /// A gate that nobody has passed.
    pub fn new(settings: Settings) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            settings,
            inside: 0,
            waiting: VecDeque::new(),
        })))
    }

    /// Takes other settings from now on. Who is inside stays, who waits may come in.
    pub fn set(self: &Arc<Self>, settings: Settings) {
        self.0.lock().settings = settings;
        while let Some(next) = self.next_in() {
            self.admit(next);
        }
    }

    /// Asks for a place.
    pub fn enter(self: &Arc<Self>) -> Entry {
        let mut state = self.0.lock();
        if state.inside < state.settings.max_concurrent {
            state.inside += 1;
            return Entry::In(Pass(Some(Arc::clone(self))));
        }
        if state.waiting.len() >= state.settings.queue {
            // Who has left the queue still stands in it until somebody looks.
            state.waiting.retain(|waiting| !waiting.is_closed());
            if state.waiting.len() >= state.settings.queue {
                return Entry::Full;
            }
        }
        let (sender, receiver) = oneshot::channel();
        state.waiting.push_back(sender);
        Entry::Wait(Turn(receiver))
    }

    /// How many are inside, and how many wait.
    pub fn counts(&self) -> (usize, usize) {
        let state = self.0.lock();
        let waiting = state.waiting.iter().filter(|waiting| !waiting.is_closed());
        (state.inside, waiting.count())
    }

    /// The next in the queue, for whom a place is taken, if there is one.
    fn next_in(&self) -> Option<oneshot::Sender<Pass>> {
        let mut state = self.0.lock();
        if state.inside >= state.settings.max_concurrent {
            return None;
        }
        let next = state.waiting.pop_front()?;
        state.inside += 1;
        Some(next)
    }

    /// Gives a place that is taken to this one of the queue; gives it back when nobody is there.
    fn admit(self: &Arc<Self>, next: oneshot::Sender<Pass>) {
        if let Err(mut unclaimed) = next.send(Pass(Some(Arc::clone(self)))) {
            unclaimed.0 = None;
            self.0.lock().inside -= 1;
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let Some(gate) = self.0.take() else { return };
        gate.0.lock().inside -= 1;
        while let Some(next) = gate.next_in() {
            gate.admit(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(max_concurrent: usize, queue: usize) -> Arc<Gate> {
        Gate::new(Settings {
            max_concurrent,
            queue,
        })
    }

    fn pass(entry: Entry) -> Pass {
        match entry {
            Entry::In(pass) => pass,
            other => panic!("no place: {other:?}"),
        }
    }

    fn turn(entry: Entry) -> Turn {
        match entry {
            Entry::Wait(turn) => turn,
            other => panic!("no queue: {other:?}"),
        }
    }

    #[tokio::test]
    async fn places_go_round_in_the_order_of_the_queue() {
        let gate = gate(1, 2);
        let first = pass(gate.enter());
        let (second, third) = (turn(gate.enter()), turn(gate.enter()));
        assert!(matches!(gate.enter(), Entry::Full));
        assert_eq!(gate.counts(), (1, 2));
        drop(first);
        let second = second.come().await.unwrap();
        assert_eq!(gate.counts(), (1, 1));
        drop(second);
        drop(third.come().await.unwrap());
        assert_eq!(gate.counts(), (0, 0));
    }

    #[tokio::test]
    async fn who_leaves_the_queue_takes_no_place() {
        let gate = gate(1, 1);
        let first = pass(gate.enter());
        drop(turn(gate.enter()));
        let next = turn(gate.enter());
        drop(first);
        assert_eq!(gate.counts(), (1, 0), "the place was handed over");
        drop(next);
        assert_eq!(gate.counts(), (0, 0), "and came back unclaimed");
        let first = pass(gate.enter());
        drop(turn(gate.enter()));
        drop(first);
        assert_eq!(gate.counts(), (0, 0));
    }

    #[tokio::test]
    async fn other_bounds_hold_from_now_on() {
        let gate = gate(1, 5);
        let first = pass(gate.enter());
        let (second, third) = (turn(gate.enter()), turn(gate.enter()));
        gate.set(Settings {
            max_concurrent: 2,
            queue: 0,
        });
        let second = second.come().await.unwrap();
        assert_eq!(gate.counts(), (2, 1));
        assert!(matches!(gate.enter(), Entry::Full));
        gate.set(Settings {
            max_concurrent: 1,
            queue: 0,
        });
        drop(first);
        assert_eq!(gate.counts(), (1, 1), "one too many was inside");
        drop(second);
        drop(third.come().await.unwrap());
    }
}
