//! What the kernel says: processor time and memory of a process tree, the machine's other load, and
//! the cost of making data durable.

use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// `/proc` counts processor time in hundredths of a second (`USER_HZ`, fixed on Linux).
const TICK: Duration = Duration::from_millis(10);
const SETTLED: Duration = Duration::from_millis(1);
const SETTLE_STEP: Duration = Duration::from_millis(100);
const SETTLE_STEPS_MAX: usize = 100;

/// A process and its children, now and later.
#[derive(Clone, Copy, Debug)]
pub struct Tree {
    root: u32,
}

/// Processor time of a tree at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    /// User and system time of all threads, also of those that ended; 10 ms steps.
    ticks: Duration,
    /// Run time of the living threads from the scheduler; exact.
    scheduled: Duration,
}

impl Cpu {
    /// Time spent since `earlier`: the scheduler's figure, unless threads that ended since took part of
    /// it with them; then the ticks.
    pub fn since(self, earlier: Self) -> Duration {
        let ticks = self.ticks.saturating_sub(earlier.ticks);
        let scheduled = self.scheduled.saturating_sub(earlier.scheduled);
        if scheduled + 4 * TICK < ticks {
            ticks
        } else {
            scheduled
        }
    }
}

impl Tree {
    /// The tree under a process id.
    pub fn of(root: u32) -> Self {
        Self { root }
    }

    /// Process ids, parents first.
    pub fn pids(self) -> Vec<u32> {
        let mut pids = vec![self.root];
        let mut at = 0;
        while let Some(&pid) = pids.get(at) {
            at += 1;
            for task in tasks(pid) {
                let children =
                    fs::read_to_string(format!("/proc/{pid}/task/{task}/children")).unwrap_or_default();
                pids.extend(
                    children
                        .split_whitespace()
                        .filter_map(|id| id.parse::<u32>().ok()),
                );
            }
        }
        pids
    }

    /// Processor time up to now.
    pub fn cpu(self) -> Cpu {
        let mut sum = Cpu::default();
        for pid in self.pids() {
            sum.ticks += TICK * ticks(&format!("/proc/{pid}/stat"));
            sum.scheduled += tasks(pid)
                .into_iter()
                .map(|task| first_number(&format!("/proc/{pid}/task/{task}/schedstat")))
                .map(Duration::from_nanos)
                .sum::<Duration>();
        }
        sum
    }

    /// Waits until the tree has nothing more to do, so that deferred work is charged to its cause.
    pub fn settle(self) {
        for _ in 0..SETTLE_STEPS_MAX {
            let before = self.cpu();
            std::thread::sleep(SETTLE_STEP);
            if self.cpu().since(before) < SETTLED {
                return;
            }
        }
    }

    /// Starts the peak of resident memory anew.
    pub fn reset_peak(self) {
        for pid in self.pids() {
            let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
        }
    }

    /// Resident memory in bytes: now (`VmRSS`) or at its peak (`VmHWM`).
    pub fn memory(self, field: &str) -> u64 {
        let of = |pid: u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
            line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
                .unwrap_or_default()
        };
        self.pids().into_iter().map(of).sum::<u64>() * 1024
    }
}

fn tasks(pid: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// `utime` and `stime`, fields 14 and 15; the name in field 2 may hold spaces.
fn ticks(path: &str) -> u32 {
    let stat = fs::read_to_string(path).unwrap_or_default();
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u32>().ok())
        .sum()
}

fn first_number(path: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace()
        .next()
        .and_then(|field| field.parse().ok())
        .unwrap_or_default()
}

/// The whole machine at one moment.
#[derive(Clone, Copy)]
pub struct Machine {
    at: Instant,
    busy: Duration,
    stolen: Duration,
    ours: Duration,
}

impl Machine {
    /// Reads the counters; `ours` are the trees that belong to this benchmark besides itself.
    pub fn read(ours: &[Tree]) -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let fields: Vec<u32> = stat
            .lines()
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .skip(1)
            .flat_map(str::parse)
            .collect();
        let field = |place: usize| fields.get(place).copied().unwrap_or_default();
        let busy = field(0) + field(1) + field(2) + field(5) + field(6);
        let own = TICK * ticks("/proc/self/stat");
        let ours = ours.iter().map(|tree| tree.cpu().ticks).sum::<Duration>();
        Self {
            at: Instant::now(),
            busy: TICK * busy,
            stolen: TICK * field(7),
            ours: own + ours,
        }
    }

    /// Shares of one processor since `earlier`: what others used, and what the hypervisor took.
    pub fn foreign_since(self, earlier: Self) -> (f64, f64) {
        let wall = (self.at - earlier.at).as_secs_f64();
        let busy = self.busy.saturating_sub(earlier.busy);
        let foreign = busy.saturating_sub(self.ours.saturating_sub(earlier.ours));
        let stolen = self.stolen.saturating_sub(earlier.stolen);
        (foreign.as_secs_f64() / wall, stolen.as_secs_f64() / wall)
    }
}

/// Times of writing 4 KiB and making it durable, sorted. The file is filled first and then written
/// over, as a write-ahead log is once it has reached its size.
pub fn durable_writes(folder: &Path, count: usize) -> Result<Vec<Duration>> {
    const PAGES: usize = 256;
    let path = folder.join("fdatasync.probe");
    let mut file = fs::File::create(&path).context("creating the durability probe")?;
    let page = [0x5a_u8; 4096];
    for _ in 0..PAGES {
        file.write_all(&page)?;
    }
    file.sync_all()?;
    let mut times = Vec::with_capacity(count);
    for turn in 0..count {
        if turn % PAGES == 0 {
            file.seek(SeekFrom::Start(0))?;
        }
        let start = Instant::now();
        file.write_all(&page)?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    fs::remove_file(&path)?;
    times.sort_unstable();
    Ok(times)
}

/// The value below which the share `rank` of sorted times lies.
pub fn quantile(sorted: &[Duration], rank: f64) -> Duration {
    let wanted = rank * sorted.len() as f64;
    sorted
        .iter()
        .enumerate()
        .find(|(place, _)| (*place + 1) as f64 >= wanted)
        .map(|(_, time)| *time)
        .unwrap_or_default()
}
