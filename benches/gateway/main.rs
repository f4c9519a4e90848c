//! The whole-system benchmark: Tollgate beside nginx and a direct connection, in one run.
//!
//! `scripts/bench` runs it; `docs/performance.md` says how to read what it prints.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark starts the processes that it compares and talks to its terminal"
)]

mod bodies;
mod client;
mod client_h2;
mod door;
mod load;
mod meter;
mod mock;
mod report;
mod rounds;
mod targets;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::bodies::{SHAPES, Shape};
use crate::door::{Certificate, Manner};
use crate::meter::{Machine, Tree};
use crate::report::Report;
use crate::rounds::Effort;
use crate::targets::{Running, Site, Target};

const USAGE: &str = "options: --quick  --targets direct,nginx,p0,p2  --shapes 2k,32k,200k,stream,slow  --tollgate BINARY  --output FILE|none  \
     --repetitions N  --seconds S";
const FULL: Effort = Effort {
    repetitions: 5,
    length: Duration::from_millis(1500),
};
const QUICK: Effort = Effort {
    repetitions: 1,
    length: Duration::from_millis(500),
};

struct Options {
    effort: Effort,
    targets: Vec<Target>,
    shapes: Vec<Shape>,
    tollgate: PathBuf,
    output: Option<PathBuf>,
    command: String,
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if !words.iter().any(|word| word == "--bench") {
        eprintln!("skipped: measuring needs a quiet machine; run scripts/bench");
        return Ok(());
    }
    let options = Options::parse(&words)?;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let outcome = run(&options, &folder);
    match outcome {
        Ok(()) => std::fs::remove_dir_all(&folder).context("removing the run's files"),
        Err(error) => Err(error.context(format!("files of the failed run: {}", folder.display()))),
    }
}

fn run(options: &Options, folder: &Path) -> Result<()> {
    let processors = std::thread::available_parallelism()?.get();
    ensure!(
        processors >= 2,
        "one processor for the target and one for the load are needed"
    );
    pin_ourselves(0)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let site = Site {
        folder: folder.to_path_buf(),
        upstream: mock::start(&runtime)?,
        processor: processors - 1,
        tollgate: options.tollgate.clone(),
        certificate: Arc::new(Certificate::make(folder)?),
    };
    let probes = 300 * options.effort.repetitions;
    let mut durable = meter::durable_writes(folder, probes)?;

    let running = options
        .targets
        .iter()
        .map(|target| Running::start(&site, *target, Manner::Plain, target.name()))
        .collect::<Result<Vec<_>>>()?;
    let trees: Vec<Tree> = running.iter().filter_map(Running::tree).collect();
    trees.iter().for_each(|tree| tree.settle());
    let before = Machine::read(&trees);
    let full = runtime.block_on(rounds::full_load(
        &running,
        Manner::Plain,
        &options.shapes,
        options.effort,
    ))?;
    let paced = runtime.block_on(rounds::fixed_rate(
        &running,
        &options.shapes,
        options.effort,
        &full,
    ))?;
    let (foreign, stolen) = Machine::read(&trees).foreign_since(before);
    durable.extend(meter::durable_writes(folder, probes)?);
    durable.sort_unstable();
    drop(running);

    let (targets, shapes) = (&options.targets, &options.shapes);
    let encrypted = runtime.block_on(rounds::encrypted(&site, targets, shapes, options.effort))?;
    let translated = runtime.block_on(rounds::translated(&site, shapes, options.effort))?;
    let idle = runtime.block_on(rounds::idle_streams(&site, targets))?;
    let report = Report {
        command: options.command.clone(),
        effort: options.effort,
        targets: options.targets.clone(),
        shapes: options.shapes.clone(),
        full,
        encrypted,
        translated,
        paced,
        idle,
        durable,
        foreign,
        stolen,
    };
    let text = report.markdown();
    println!("{text}");
    options
        .output
        .as_deref()
        .map_or(Ok(()), |file| report::insert(file, &text))
}

/// Keeps this process on one processor; the threads that it starts inherit that.
fn pin_ourselves(processor: usize) -> Result<()> {
    let own = std::process::id().to_string();
    let status = Command::new("taskset")
        .args(["--all-tasks", "--cpu-list", "--pid", &processor.to_string(), &own])
        .stdout(Stdio::null())
        .status()
        .context("running taskset (util-linux)")?;
    ensure!(status.success(), "taskset: {status}");
    Ok(())
}

impl Options {
    fn parse(words: &[String]) -> Result<Self> {
        let mut options = Self {
            effort: FULL,
            targets: Target::ALL.to_vec(),
            shapes: SHAPES.to_vec(),
            tollgate: PathBuf::from(env!("CARGO_BIN_EXE_tollgate")),
            output: Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/performance.md")),
            command: String::from("scripts/bench"),
        };
        let shown: Vec<&str> = words
            .iter()
            .map(String::as_str)
            .filter(|word| *word != "--bench")
            .collect();
        for word in &shown {
            options.command.push(' ');
            options.command.push_str(word);
        }
        let mut rest = shown.into_iter();
        while let Some(word) = rest.next() {
            let mut value = || {
                rest.next()
                    .with_context(|| format!("{word} needs a value; {USAGE}"))
            };
            match word {
                "--quick" => options.effort = QUICK,
                "--targets" => options.targets = named(value()?, &Target::ALL, |target| target.name())?,
                "--shapes" => options.shapes = named(value()?, &SHAPES, |shape| shape.name)?,
                "--tollgate" => options.tollgate = std::path::absolute(value()?)?,
                "--output" => {
                    options.output = Some(value()?).filter(|file| *file != "none").map(PathBuf::from);
                }
                "--repetitions" => options.effort.repetitions = value()?.parse()?,
                "--seconds" => options.effort.length = Duration::try_from_secs_f64(value()?.parse()?)?,
                _ => bail!("unknown option {word}; {USAGE}"),
            }
        }
        Ok(options)
    }
}

/// The choices that a list of names picks.
fn named<T: Copy>(names: &str, choices: &[T], name_of: impl Fn(&T) -> &'static str) -> Result<Vec<T>> {
    let by_name = |name: &str| choices.iter().find(|choice| name_of(choice) == name).copied();
    names
        .split(',')
        .map(|name| by_name(name).with_context(|| format!("no {name}; {USAGE}")))
        .collect()
}
