//! The report: Markdown tables of medians, ratios to nginx of the same run, and the design's targets.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::bodies::{Answer, Shape};
use crate::door::Manner;
use crate::meter::quantile;
use crate::rounds::{Effort, Full, IDLE_STREAMS, Idle, Paced, median};
use crate::targets::Target;

const BEGIN: &str = "<!-- bench:begin -->";
const END: &str = "<!-- bench:end -->";
/// Added latency at half load that the design allows besides durable writes, ms.
const ADDED_MS_MAX: f64 = 0.3;
/// Durable writes that an answer waits for: the open record.
const DURABLE_WAITS: f64 = 1.0;
const IDLE_MB_MAX: u32 = 100;
/// What a translated stream may take of the processor, as a multiple of one whose bytes pass.
const TRANSLATED_RATIO_MAX: f64 = 1.5;

/// Everything that one run found.
pub struct Report {
    /// As it was started.
    pub command: String,
    /// How long and how often.
    pub effort: Effort,
    /// The columns.
    pub targets: Vec<Target>,
    /// The rows.
    pub shapes: Vec<Shape>,
    /// Closed loops.
    pub full: Vec<Full>,
    /// Closed loops in TLS.
    pub encrypted: Vec<Full>,
    /// Closed loops, bytes passed and translated.
    pub translated: Vec<Full>,
    /// Open loops.
    pub paced: Vec<Paced>,
    /// Silent streams.
    pub idle: Vec<Idle>,
    /// Durable writes, sorted.
    pub durable: Vec<Duration>,
    /// Share of one processor that other processes used.
    pub foreign: f64,
    /// Share of one processor that the hypervisor took.
    pub stolen: f64,
}

/// Replaces what stands between the markers of `file`.
pub fn insert(file: &Path, text: &str) -> Result<()> {
    let old = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let (head, rest) = old.split_once(BEGIN).context("no begin marker")?;
    let (_, tail) = rest.split_once(END).context("no end marker")?;
    std::fs::write(file, format!("{head}{BEGIN}\n{text}{END}{tail}"))?;
    Ok(())
}

impl Report {
    /// The whole text.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        self.circumstances(&mut text);
        self.processor_table(&mut text);
        self.throughput_table(&mut text);
        self.encrypted_table(&mut text);
        self.translated_table(&mut text);
        self.latency_table(&mut text);
        self.memory_table(&mut text);
        text
    }

    fn circumstances(&self, text: &mut String) {
        let model = proc_field("/proc/cpuinfo", "model name");
        let cores = std::fs::read_to_string("/proc/cpuinfo")
            .unwrap_or_default()
            .matches("processor\t")
            .count();
        let _ = writeln!(
            text,
            "- Date: {}; command: `{}`; {} repetitions of {:.1} s, medians.\n\
             - Machine: {model}, {cores} processors, Linux {}.\n\
             - {}; Tollgate built from {}.\n\
             - Other processes used {:.0} % of one processor during the run, the hypervisor took {:.0} %.\n\
             - `fdatasync` of 4 KiB in the same folder: p50 {:.2} ms, p99 {:.2} ms.\n",
            said("date", &["--utc", "+%Y-%m-%d %H:%M UTC"]),
            self.command,
            self.effort.repetitions,
            self.effort.length.as_secs_f64(),
            said("uname", &["-r"]),
            said("nginx", &["-v"]),
            said("git", &["describe", "--always", "--dirty", "--abbrev=10"]),
            self.foreign * 100.0,
            self.stolen * 100.0,
            self.durable_ms(0.50),
            self.durable_ms(0.99),
        );
    }

    fn durable_ms(&self, rank: f64) -> f64 {
        quantile(&self.durable, rank).as_secs_f64() * 1e3
    }

    fn full(&self, shape: Shape, target: Target) -> Option<&Full> {
        self.full
            .iter()
            .find(|result| result.shape == shape && result.target == target)
    }

    fn paced(&self, shape: Shape, target: Target) -> Option<&Paced> {
        self.paced
            .iter()
            .find(|result| result.shape == shape && result.target == target)
    }

    fn processor_table(&self, text: &mut String) {
        text.push_str(
            "### Processor time of the target per request, µs\n\n\
             At full load, 32 connections; in brackets the lowest and the highest repetition.\n\n",
        );
        let full = |shape, target| {
            self.full(shape, target)
                .map(|result| result.cpu_micros.as_slice())
        };
        self.processor_rows(text, full, |shape| !shape.answer.streams());
        text.push_str("\nAt half load, as for the latencies below:\n\n");
        let paced = |shape, target| {
            self.paced(shape, target)
                .map(|result| result.cpu_micros.as_slice())
        };
        self.processor_rows(text, paced, |shape| shape.answer.streams());
        text.push('\n');
    }

    /// One row per shape; where `judged`, with the design's bound.
    fn processor_rows<'a>(
        &'a self,
        text: &mut String,
        micros: impl Fn(Shape, Target) -> Option<&'a [f64]>,
        judged: impl Fn(Shape) -> bool,
    ) {
        text.push_str(
            "| Request | nginx | P0 | P2 | P0 / nginx | wanted | P2 / nginx | P2 − P0 |\n\
             |---|---|---|---|---|---|---|---|\n",
        );
        for shape in self.shapes.iter().copied() {
            let of = |target| micros(shape, target).unwrap_or_default();
            let [nginx, p0, p2] = [Target::Nginx, Target::P0, Target::P2].map(|target| median(of(target)));
            let wanted = ratio_max(shape).filter(|_| judged(shape));
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} | {} |",
                shape.title,
                spread(of(Target::Nginx)),
                spread(of(Target::P0)),
                spread(of(Target::P2)),
                number(p0 / nginx, 2),
                wanted.map_or("–".to_owned(), |max| verdict(
                    p0 / nginx,
                    max,
                    &format!("≤ {max:.1}")
                )),
                number(p2 / nginx, 2),
                number(p2 - p0, 0),
            );
        }
    }

    fn throughput_table(&self, text: &mut String) {
        text.push_str(
            "### Answers per second, 32 connections, target on one processor\n\n\
             | Request | direct | nginx | P0 | P2 | P0 / nginx | P2 / nginx |\n|---|---|---|---|---|---|---|\n",
        );
        for shape in self.shapes.iter().copied() {
            let of = |target| {
                self.full(shape, target)
                    .map_or(f64::NAN, |result| median(&result.per_second))
            };
            let nginx = of(Target::Nginx);
            let cells = Target::ALL.map(|target| number(of(target), 0));
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} |",
                shape.title,
                cells.join(" | "),
                number(of(Target::P0) / nginx, 2),
                number(of(Target::P2) / nginx, 2),
            );
        }
        text.push('\n');
    }

    fn encrypted_table(&self, text: &mut String) {
        text.push_str(
            "### In TLS 1.3, HTTP/1.1 and HTTP/2 from clients\n\n\
             Processor time of the target per request, µs, at full load: 32 connections, or 4 of 8 requests\n\
             each where they share one (HTTP/2). In brackets the lowest and the highest repetition. Upstreams\n\
             are asked in plain HTTP/1.1, by nginx as well.\n\n\
             | Request | nginx | P0 | P2 | P0 / nginx | P2 / nginx |\n|---|---|---|---|---|---|\n",
        );
        for manner in [Manner::Tls, Manner::H2] {
            for shape in self.shapes.iter().copied().filter(|shape| shape.encrypted()) {
                let of = |target| {
                    self.encrypted
                        .iter()
                        .find(|one| one.manner == manner && one.shape == shape && one.target == target)
                        .map_or(&[][..], |one| one.cpu_micros.as_slice())
                };
                let [nginx, p0, p2] = [Target::Nginx, Target::P0, Target::P2].map(of);
                let _ = writeln!(
                    text,
                    "| {}, {} | {} | {} | {} | {} | {} |",
                    manner.title(),
                    shape.title,
                    spread(nginx),
                    spread(p0),
                    spread(p2),
                    number(median(p0) / median(nginx), 2),
                    number(median(p2) / median(nginx), 2),
                );
            }
        }
        text.push('\n');
    }

    fn translated_table(&self, text: &mut String) {
        text.push_str(
            "### Translated: Messages from clients, chat completions upstream\n\n\
             Processor time per request, µs, at full load; both with the settings of P0, measured in turn.\n\n\
             | Request | bytes passed | translated | ratio | wanted | difference |\n|---|---|---|---|---|---|\n",
        );
        for shape in self.shapes.iter().copied() {
            let of = |target| {
                self.translated
                    .iter()
                    .find(|one| one.shape == shape && one.target == target)
                    .map_or(&[][..], |one| one.cpu_micros.as_slice())
            };
            let (passed, translated) = (of(Target::P0), of(Target::Translated));
            let ratio = median(translated) / median(passed);
            let bound = format!("≤ {TRANSLATED_RATIO_MAX:.1}");
            let wanted = if shape.answer.streams() {
                verdict(ratio, TRANSLATED_RATIO_MAX, &bound)
            } else {
                "–".to_owned()
            };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {wanted} | {} |",
                shape.title,
                spread(passed),
                spread(translated),
                number(ratio, 2),
                number(median(translated) - median(passed), 0),
            );
        }
        text.push('\n');
    }

    fn latency_table(&self, text: &mut String) {
        text.push_str(
            "### Latency added to a direct connection at half load, ms\n\n\
             The rate is half of what the slowest target can keep up: its answers per second, or what one processor\n\
             allows by its processor time per request, if that is less. `total` is to the last byte, `first`\n\
             to the first byte of the body; the first two numbers of a row are the direct connection's own.\n\n\
             | Request, rate | target | total p50 | total p99 | first p50 | first p99 | wanted for p99 |\n\
             |---|---|---|---|---|---|---|\n",
        );
        for shape in self.shapes.iter().copied() {
            let direct = self.paced(shape, Target::Direct).map(figures);
            for target in self.targets.iter().copied() {
                let Some(paced) = self.paced(shape, target) else {
                    continue;
                };
                let base = direct.filter(|_| target != Target::Direct).unwrap_or_default();
                let added: Vec<f64> = figures(paced)
                    .iter()
                    .zip(base)
                    .map(|(own, base)| own - base)
                    .collect();
                let worst = added.get(1).copied().unwrap_or_default();
                let cells: Vec<String> = added.iter().map(|value| number(*value, 2)).collect();
                let _ = writeln!(
                    text,
                    "| {}, {:.0}/s | {} | {} | {} |",
                    shape.title,
                    paced.per_second,
                    target.title(),
                    cells.join(" | "),
                    self.latency_wanted(target, worst),
                );
            }
        }
        text.push('\n');
    }

    fn latency_wanted(&self, target: Target, added: f64) -> String {
        let waits = match target {
            Target::Direct | Target::Nginx => return "–".to_owned(),
            Target::P0 | Target::Translated => 0.0,
            Target::P2 => DURABLE_WAITS,
        };
        let max = ADDED_MS_MAX + waits * self.durable_ms(0.99);
        verdict(added, max, &format!("≤ {max:.2}"))
    }

    fn memory_table(&self, text: &mut String) {
        let _ = write!(
            text,
            "### Resident memory, MB\n\n\
             | | {} | {IDLE_STREAMS} silent streams | of it before them | wanted |\n|---|{}---|---|---|\n",
            self.shapes
                .iter()
                .map(|shape| format!("peak, {}", shape.title))
                .collect::<Vec<_>>()
                .join(" | "),
            "---|".repeat(self.shapes.len())
        );
        for idle in &self.idle {
            let peaks: Vec<String> = self
                .shapes
                .iter()
                .filter_map(|shape| self.full(*shape, idle.target))
                .map(|result| megabytes(result.peak_bytes))
                .collect();
            let mb = idle.with_streams as f64 / 1e6;
            let wanted = match idle.target {
                Target::Direct | Target::Nginx => "–".to_owned(),
                Target::P0 | Target::P2 | Target::Translated => {
                    verdict(mb, f64::from(IDLE_MB_MAX), &format!("< {IDLE_MB_MAX}"))
                }
            };
            let _ = writeln!(
                text,
                "| {} | {} | {mb:.1} | {} | {wanted} |",
                idle.target.title(),
                peaks.join(" | "),
                megabytes(idle.before),
            );
        }
        text.push('\n');
    }
}

/// The design's bound for P0 against nginx.
fn ratio_max(shape: Shape) -> Option<f64> {
    match (shape.answer, shape.body_bytes >> 10) {
        (Answer::Stream | Answer::PausedStream, _) | (Answer::Json, 2) => Some(2.0),
        (Answer::Json, 200) => Some(2.3),
        _ => None,
    }
}

fn figures(paced: &Paced) -> [f64; 4] {
    [
        &paced.total_p50,
        &paced.total_p99,
        &paced.first_p50,
        &paced.first_p99,
    ]
    .map(|values| median(values))
}

fn verdict(value: f64, max: f64, bound: &str) -> String {
    match value.partial_cmp(&max) {
        None => bound.to_owned(),
        Some(std::cmp::Ordering::Greater) => format!("{bound} **missed**"),
        Some(_) => format!("{bound} met"),
    }
}

fn number(value: f64, places: usize) -> String {
    if value.is_finite() {
        format!("{value:.places$}")
    } else {
        "–".to_owned()
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

fn spread(values: &[f64]) -> String {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(0.0, f64::max);
    if values.is_empty() {
        "–".to_owned()
    } else {
        format!("{:.1} ({low:.0}–{high:.0})", median(values))
    }
}

fn proc_field(path: &str, name: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or_default();
    line.trim_matches(|letter: char| letter == ':' || letter.is_whitespace())
        .to_owned()
}

/// What a program prints, on either of its outputs.
fn said(program: &str, words: &[&str]) -> String {
    Command::new(program)
        .args(words)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .map_or_else(
            |_| "unknown".to_owned(),
            |output| {
                let both = [output.stdout, output.stderr].concat();
                String::from_utf8_lossy(&both).trim().to_owned()
            },
        )
}
