//! The load generator: keep-alive connections in a closed or an open loop.
//!
//! While a burst runs, the thread that holds generator and mock never sleeps but asks for news again
//! and again. So a target that writes to a socket wakes nobody up, as it would not on a real network
//! either, and its processor time does not depend on how busy the generator is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::bodies::Request;
use crate::door::{Asker, Door, Manner};

const WARM_UP_REQUESTS: usize = 20;
/// A burst that takes so much longer than planned has failed.
const OVERTIME_MAX: Duration = Duration::from_secs(60);

/// Who decides when the next request leaves.
#[derive(Clone, Copy)]
pub enum Pace {
    /// Every connection sends again as soon as it has its answer.
    Closed,
    /// Requests leave at a fixed rate, whatever the answers do; latency counts from the planned moment.
    Open {
        /// The rate.
        per_second: f64,
    },
}

/// One burst of load.
pub struct Load {
    /// Where to.
    pub door: Door,
    /// What is spoken there.
    pub manner: Manner,
    /// What is sent.
    pub request: Request,
    /// Requests in flight at most, each on a keep-alive connection of its own unless HTTP/2 shares it.
    pub connections: usize,
    /// Closed or open loop.
    pub pace: Pace,
    /// How long new requests are started.
    pub length: Duration,
}

/// What came of it.
pub struct Outcome {
    /// From the start to the last answer.
    pub elapsed: Duration,
    /// Start (planned start in an open loop) to last byte, sorted.
    pub total: Vec<Duration>,
    /// The same to the body's first byte, sorted.
    pub first_byte: Vec<Duration>,
}

type Samples = Vec<(Duration, Duration)>;

/// Requests of an open loop that are due, and the number of the next.
struct Schedule {
    start: Instant,
    per_second: f64,
    due: Semaphore,
    next: AtomicU64,
}

impl Load {
    /// Runs it; `before` is called after the warm-up, right before the counted requests.
    pub async fn run<T>(&self, before: impl FnOnce() -> T) -> Result<(T, Outcome)> {
        let deadline = tokio::time::sleep(self.length + OVERTIME_MAX);
        tokio::select! {
            outcome = self.measure(before) => outcome,
            () = spin() => Err(anyhow!("the polling loop ended")),
            () = deadline => Err(anyhow!("answers are missing after {:?}", self.length + OVERTIME_MAX)),
        }
    }

    async fn measure<T>(&self, before: impl FnOnce() -> T) -> Result<(T, Outcome)> {
        let mut opening = JoinSet::new();
        for asker in Asker::open(&self.door, self.manner, self.connections).await? {
            opening.spawn(warm_up(asker, self.request.clone()));
        }
        let mut ready = Vec::with_capacity(self.connections);
        while let Some(asker) = opening.join_next().await {
            ready.push(asker??);
        }
        let prepared = before();
        let start = Instant::now();
        let samples = match self.pace {
            Pace::Closed => gather(ready.into_iter().map(|ready| closed(ready, start, self.length))).await?,
            Pace::Open { per_second } => {
                let (due, next) = (Semaphore::new(0), AtomicU64::new(0));
                let schedule = Arc::new(Schedule {
                    start,
                    per_second,
                    due,
                    next,
                });
                let sending = gather(ready.into_iter().map(|ready| open(ready, Arc::clone(&schedule))));
                let ((), samples) = tokio::join!(schedule.keep(self.length), sending);
                samples?
            }
        };
        Ok((prepared, outcome(start.elapsed(), &samples)))
    }
}

/// Keeps the runtime from sleeping: it looks for news at every turn.
async fn spin() {
    loop {
        tokio::task::yield_now().await;
    }
}

async fn gather(
    tasks: impl Iterator<Item = impl Future<Output = Result<Samples>> + Send + 'static>,
) -> Result<Samples> {
    let mut running: JoinSet<_> = tasks.collect();
    let mut samples = Vec::new();
    while let Some(done) = running.join_next().await {
        samples.extend(done??);
    }
    Ok(samples)
}

fn outcome(elapsed: Duration, samples: &[(Duration, Duration)]) -> Outcome {
    let mut total: Vec<_> = samples.iter().map(|(_, total)| *total).collect();
    let mut first_byte: Vec<_> = samples.iter().map(|(first, _)| *first).collect();
    total.sort_unstable();
    first_byte.sort_unstable();
    Outcome {
        elapsed,
        total,
        first_byte,
    }
}

async fn warm_up(mut asker: Asker, mut request: Request) -> Result<(Asker, Request)> {
    for _ in 0..WARM_UP_REQUESTS {
        asker.exchange(request.numbered(fresh_number())).await?;
    }
    Ok((asker, request))
}

/// Marks never repeat within a run, so that no turn is seen twice.
fn fresh_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

async fn closed(ready: (Asker, Request), start: Instant, length: Duration) -> Result<Samples> {
    let (mut asker, mut request) = ready;
    let mut samples = Vec::new();
    while start.elapsed() < length {
        let turn = request.numbered(fresh_number());
        let sent = Instant::now();
        let times = asker.exchange(turn).await?;
        samples.push((times.first_byte - sent, times.done - sent));
    }
    Ok(samples)
}

impl Schedule {
    fn planned(&self, number: u64) -> Instant {
        self.start + Duration::from_secs_f64(number as f64 / self.per_second)
    }

    /// Lets requests go when they are due, then lets the connections end.
    async fn keep(&self, length: Duration) {
        let mut number = 0;
        while self.planned(number) < self.start + length {
            if Instant::now() < self.planned(number) {
                tokio::task::yield_now().await;
                continue;
            }
            self.due.add_permits(1);
            number += 1;
        }
        while self.due.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        self.due.close();
    }
}

async fn open(ready: (Asker, Request), schedule: Arc<Schedule>) -> Result<Samples> {
    let (mut asker, mut request) = ready;
    let mut samples = Vec::new();
    loop {
        let turn = request.numbered(fresh_number());
        let Ok(permit) = schedule.due.acquire().await else {
            return Ok(samples);
        };
        permit.forget();
        let planned = schedule.planned(schedule.next.fetch_add(1, Ordering::Relaxed));
        let times = asker.exchange(turn).await.context("at a fixed rate")?;
        samples.push((times.first_byte - planned, times.done - planned));
    }
}
