//! The measurements: closed and open loops over all targets in turn, and many silent streams.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::bodies::{Answer, Request, Shape};
use crate::client::Connection;
use crate::door::Manner;
use crate::load::{Load, Outcome, Pace};
use crate::meter::quantile;
use crate::targets::{Running, Site, Target};

const CLOSED_CONNECTIONS: usize = 32;
const OPEN_CONNECTIONS: usize = 128;
/// Streams held open and silent for the memory measurement.
pub const IDLE_STREAMS: usize = 1000;
const IDLE_TIME: Duration = Duration::from_secs(3);

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Interleaved repetitions; medians are reported.
    pub repetitions: usize,
    /// One burst of load.
    pub length: Duration,
}

/// One target under full load by one shape, all repetitions.
pub struct Full {
    /// What was spoken.
    pub manner: Manner,
    /// The shape.
    pub shape: Shape,
    /// The target.
    pub target: Target,
    /// Processor time of the target per request, µs; empty for a direct connection.
    pub cpu_micros: Vec<f64>,
    /// Answers per second.
    pub per_second: Vec<f64>,
    /// The highest resident memory in any repetition, bytes.
    pub peak_bytes: u64,
}

/// One target at a fixed rate by one shape, all repetitions; milliseconds.
pub struct Paced {
    /// The shape.
    pub shape: Shape,
    /// The target.
    pub target: Target,
    /// The rate.
    pub per_second: f64,
    /// Whole answers, median.
    pub total_p50: Vec<f64>,
    /// Whole answers, 99th percentile.
    pub total_p99: Vec<f64>,
    /// First body byte, median.
    pub first_p50: Vec<f64>,
    /// First body byte, 99th percentile.
    pub first_p99: Vec<f64>,
    /// Processor time of the target per request, µs.
    pub cpu_micros: Vec<f64>,
}

/// Memory of one target with [`IDLE_STREAMS`] silent streams open.
pub struct Idle {
    /// The target.
    pub target: Target,
    /// Resident bytes before the first stream.
    pub before: u64,
    /// Resident bytes with all streams open and silent.
    pub with_streams: u64,
}

/// The middle value; the mean of the two middle ones for even counts.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = sorted.get(middle).copied().unwrap_or(f64::NAN);
    let lower = middle.checked_sub(1).and_then(|place| sorted.get(place)).copied();
    match lower {
        Some(lower) if sorted.len().is_multiple_of(2) => f64::midpoint(lower, upper),
        _ => upper,
    }
}

/// Every shape against every target as fast as it answers.
pub async fn full_load(
    targets: &[Running],
    manner: Manner,
    shapes: &[Shape],
    effort: Effort,
) -> Result<Vec<Full>> {
    let mut results = Vec::new();
    for shape in shapes.iter().copied() {
        let mut row: Vec<Full> = targets
            .iter()
            .map(|running| Full::empty(manner, shape, running.target))
            .collect();
        for repetition in 0..effort.repetitions {
            for (running, result) in targets.iter().zip(&mut row) {
                eprintln!(
                    "full load, {}, {}, {}, {}",
                    manner.title(),
                    shape.title,
                    running.target.title(),
                    repetition + 1
                );
                result.measure(running, effort).await?;
            }
        }
        results.extend(row);
    }
    Ok(results)
}

impl Full {
    fn empty(manner: Manner, shape: Shape, target: Target) -> Self {
        Self {
            manner,
            shape,
            target,
            cpu_micros: Vec::new(),
            per_second: Vec::new(),
            peak_bytes: 0,
        }
    }

    /// Answers per second that it can go on giving: work that it put off counts as well.
    fn sustained(&self) -> f64 {
        let spent = median(&self.cpu_micros);
        let answered = median(&self.per_second);
        if spent > 0.0 {
            answered.min(1e6 / spent)
        } else {
            answered
        }
    }

    async fn measure(&mut self, running: &Running, effort: Effort) -> Result<()> {
        if let Some(tree) = running.tree() {
            tree.reset_peak();
        }
        let way = (self.manner, Pace::Closed, CLOSED_CONNECTIONS);
        let (cpu, outcome) = burst(running, self.shape, way, effort).await?;
        self.cpu_micros.extend(cpu);
        self.per_second
            .push(outcome.total.len() as f64 / outcome.elapsed.as_secs_f64());
        if let Some(tree) = running.tree() {
            self.peak_bytes = self.peak_bytes.max(tree.memory("VmHWM"));
        }
        Ok(())
    }
}

/// Every shape against every target at half of what the slowest of them can keep up.
pub async fn fixed_rate(
    targets: &[Running],
    shapes: &[Shape],
    effort: Effort,
    full: &[Full],
) -> Result<Vec<Paced>> {
    let mut results = Vec::new();
    for shape in shapes.iter().copied() {
        let loads = full.iter().filter(|result| result.shape == shape);
        let slowest = loads.map(Full::sustained).fold(f64::INFINITY, f64::min);
        let per_second = slowest / 2.0;
        let mut row: Vec<Paced> = targets
            .iter()
            .map(|running| Paced::empty(shape, running.target, per_second))
            .collect();
        for repetition in 0..effort.repetitions {
            for (running, result) in targets.iter().zip(&mut row) {
                eprintln!(
                    "{per_second:.0}/s, {}, {}, {}",
                    shape.title,
                    running.target.title(),
                    repetition + 1
                );
                result.measure(running, effort).await?;
            }
        }
        results.extend(row);
    }
    Ok(results)
}

impl Paced {
    fn empty(shape: Shape, target: Target, per_second: f64) -> Self {
        Self {
            shape,
            target,
            per_second,
            total_p50: Vec::new(),
            total_p99: Vec::new(),
            first_p50: Vec::new(),
            first_p99: Vec::new(),
            cpu_micros: Vec::new(),
        }
    }

    async fn measure(&mut self, running: &Running, effort: Effort) -> Result<()> {
        let pace = Pace::Open {
            per_second: self.per_second,
        };
        let way = (Manner::Plain, pace, OPEN_CONNECTIONS);
        let (cpu, outcome) = burst(running, self.shape, way, effort).await?;
        self.cpu_micros.extend(cpu);
        let millis = |sorted: &[Duration], rank: f64| quantile(sorted, rank).as_secs_f64() * 1e3;
        self.total_p50.push(millis(&outcome.total, 0.50));
        self.total_p99.push(millis(&outcome.total, 0.99));
        self.first_p50.push(millis(&outcome.first_byte, 0.50));
        self.first_p99.push(millis(&outcome.first_byte, 0.99));
        Ok(())
    }
}

/// One burst; processor time is counted until the target has come to rest.
async fn burst(
    running: &Running,
    shape: Shape,
    (manner, pace, connections): (Manner, Pace, usize),
    effort: Effort,
) -> Result<(Option<f64>, Outcome)> {
    let request = Request::build(shape, &running.address.to_string(), &running.key)?;
    let load = Load {
        door: running.door(manner)?,
        manner,
        request,
        connections,
        pace,
        length: effort.length,
    };
    let tree = running.tree();
    let (before, outcome) = load
        .run(|| tree.map(crate::meter::Tree::cpu))
        .await
        .with_context(|| format!("{} against {}", shape.title, running.target.title()))?;
    let cpu = tree.zip(before).map(|(tree, before)| {
        tree.settle();
        tree.cpu().since(before).as_secs_f64() * 1e6 / outcome.total.len() as f64
    });
    Ok((cpu, outcome))
}

/// Full load in TLS, over both versions of HTTP, against targets of their own.
pub async fn encrypted(
    site: &Site,
    targets: &[Target],
    shapes: &[Shape],
    effort: Effort,
) -> Result<Vec<Full>> {
    let shapes: Vec<Shape> = shapes.iter().copied().filter(|shape| shape.encrypted()).collect();
    let running = targets
        .iter()
        .filter(|target| **target != Target::Direct)
        .map(|target| Running::start(site, *target, Manner::Tls, &format!("tls-{}", target.name())))
        .collect::<Result<Vec<_>>>()?;
    let mut results = full_load(&running, Manner::Tls, &shapes, effort).await?;
    results.extend(full_load(&running, Manner::H2, &shapes, effort).await?);
    Ok(results)
}

/// Full load through a gateway that passes bytes and one that translates, in turn.
pub async fn translated(site: &Site, shapes: &[Shape], effort: Effort) -> Result<Vec<Full>> {
    let running = [Target::P0, Target::Translated]
        .iter()
        .map(|target| {
            let name = format!("translation-{}", target.name());
            Running::start(site, *target, Manner::Plain, &name)
        })
        .collect::<Result<Vec<_>>>()?;
    full_load(&running, Manner::Plain, shapes, effort).await
}

/// Opens [`IDLE_STREAMS`] streams through a fresh process of each target and lets them be silent.
pub async fn idle_streams(site: &Site, targets: &[Target]) -> Result<Vec<Idle>> {
    let mut found = Vec::new();
    for target in targets {
        if *target != Target::Direct {
            found.push(silent_streams(site, *target).await?);
        }
    }
    Ok(found)
}

async fn silent_streams(site: &Site, target: Target) -> Result<Idle> {
    eprintln!("{IDLE_STREAMS} silent streams, {}", target.title());
    let running = Running::start(site, target, Manner::Plain, &format!("idle-{}", target.name()))?;
    let tree = running.tree().context("nothing to measure")?;
    tree.settle();
    let before = tree.memory("VmRSS");
    let shape = Shape {
        name: "silent",
        title: "silent stream",
        body_bytes: 2 << 10,
        answer: Answer::Hold,
    };
    let mut request = Request::build(shape, &running.address.to_string(), &running.key)?;
    let door = running.door(Manner::Plain)?;
    let mut streams = Vec::with_capacity(IDLE_STREAMS);
    for number in 0..IDLE_STREAMS {
        let mut connection = Connection::open(&door).await?;
        let turn = request.numbered(u64::try_from(number)?);
        connection
            .begin(turn)
            .await
            .with_context(|| format!("opening silent stream {number}"))?;
        streams.push(connection);
    }
    tokio::time::sleep(IDLE_TIME).await;
    Ok(Idle {
        target,
        before,
        with_streams: tree.memory("VmRSS"),
    })
}
