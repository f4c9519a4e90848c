//! `tollgate scan`

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::output::Output;
use crate::cli::root::Failed;
use crate::config::Config;
use crate::pipeline::inspect::secrets::{Detectors, Match};
use crate::server::snapshot;

/// The exit code where secrets were found.
const FOUND: u8 = 9;
/// Bytes of one file at most.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// The folder of a repository's history, which is no text.
const HISTORY: &str = ".git";

/// Looks for secrets in files, with the rules that requests are searched with. Nothing is sent anywhere, and no
/// secret is printed.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 nothing found, 9 secrets found, 1 a file could not be read, 2 wrong usage or \
                        configuration. With --jsonl 0, whatever was found."
)]
pub struct Scan {
    /// Files and folders; - for standard input, which is also read where nothing is named.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Reads texts from lines of JSON, {"id", "text"} or {"id", "parts": […]} to be joined, and prints for each line
    /// {"id", "findings": [{"type", "start", "end"}]}: offsets in bytes of the UTF-8 text.
    #[arg(long, value_name = "FILE", conflicts_with = "paths")]
    jsonl: Option<PathBuf>,
}

/// A line of `--jsonl`.
#[derive(Debug, Deserialize)]
struct Row {
    id: Value,
    text: Option<String>,
    parts: Option<Vec<String>>,
}

/// Carries the verb out; gives the exit code.
///
/// # Errors
/// [`Failed`] names the file that cannot be read, or the line that is none.
pub fn scan(scan: &Scan, config: &Config, output: &mut Output) -> Result<u8, Failed> {
    let detectors = snapshot::detectors(config).map_err(Failed::usage)?;
    if let Some(file) = &scan.jsonl {
        return rows(file, &detectors, output).map(|()| 0);
    }
    let mut paths = scan.paths.clone();
    if paths.is_empty() {
        paths.push(PathBuf::from("-"));
    }
    let mut found = 0;
    while let Some(path) = paths.pop() {
        let failed = |error: io::Error| Failed::new(format!("{}: {error}", path.display()));
        if path.is_dir() {
            paths.extend(entries(&path).map_err(failed)?);
        } else {
            let text = read(&path).map_err(failed)?;
            found += show(&path, &text, &detectors, output)?;
        }
    }
    Ok(if found > 0 { FOUND } else { 0 })
}

/// The entries of a folder, the last first; links are not followed, so that no folder is met twice.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name() != HISTORY && !entry.file_type()?.is_symlink() {
            entries.push(entry.path());
        }
    }
    entries.sort_unstable_by(|one, other| other.cmp(one));
    Ok(entries)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path)?)
    };
    source.take(FILE_BYTES_MAX + 1).read_to_end(&mut text)?;
    if u64::try_from(text.len()).is_ok_and(|length| length <= FILE_BYTES_MAX) {
        return Ok(text);
    }
    Err(io::Error::other(format!(
        "more than {FILE_BYTES_MAX} bytes are not searched; split the file"
    )))
}

fn search<'d>(text: &[u8], detectors: &'d Detectors) -> Result<Vec<Match<'d>>, String> {
    let found = detectors.scan().text(text);
    found.map_err(|overrun| {
        format!(
            "too much of it looks like secrets ({}) to examine all of it",
            overrun.kind
        )
    })
}

/// Prints what a file holds; gives the number of findings.
fn show(path: &Path, text: &[u8], detectors: &Detectors, output: &mut Output) -> Result<usize, Failed> {
    let found = search(text, detectors).map_err(|why| Failed::new(format!("{}: {why}", path.display())))?;
    let mut line = Line {
        number: 1,
        start: 0,
        at: 0,
    };
    for secret in &found {
        line.go_to(text, secret.range.start);
        let column = secret.range.start - line.start + 1;
        let (number, kind) = (line.number, secret.kind);
        let printed = if output.is_json() {
            output.json(
                &json!({"file": path, "line": number, "column": column, "type": kind,
                "start": secret.range.start, "end": secret.range.end}),
            )
        } else {
            output.line(&format!("{}:{number}:{column}: {kind}", path.display()))
        };
        printed.map_err(Failed::new)?;
    }
    Ok(found.len())
}

/// A place that walks a text from front to back.
struct Line {
    number: usize,
    start: usize,
    at: usize,
}

impl Line {
    fn go_to(&mut self, text: &[u8], offset: usize) {
        let passed = text.get(self.at..offset).unwrap_or_default();
        for end in memchr::memchr_iter(b'\n', passed) {
            self.number += 1;
            self.start = self.at + end + 1;
        }
        self.at = offset;
    }
}

fn rows(file: &Path, detectors: &Detectors, output: &mut Output) -> Result<(), Failed> {
    let failed = |what: String| Failed::new(format!("{}: {what}", file.display()));
    let source: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(BufReader::new(
            File::open(file).map_err(|error| failed(error.to_string()))?,
        ))
    };
    for (number, line) in (1..).zip(source.lines()) {
        let wrong = |what: String| failed(format!("line {number}: {what}"));
        let line = line.map_err(|error| wrong(error.to_string()))?;
        if line.trim().is_empty() {
            continue;
        }
        // The parser's own words could quote the line.
        let row: Row = serde_json::from_str(&line)
            .map_err(|_| wrong("is no JSON object with id and text or parts".to_owned()))?;
        let text = match (row.text, row.parts) {
            (Some(text), None) => text,
            (None, Some(parts)) => parts.concat(),
            _ => return Err(wrong("has not one of text and parts".to_owned())),
        };
        let found = search(text.as_bytes(), detectors).map_err(wrong)?;
        let findings: Vec<Value> = found
            .iter()
            .map(|secret| json!({"type": secret.kind, "start": secret.range.start, "end": secret.range.end}))
            .collect();
        output
            .json(&json!({"id": row.id, "findings": findings}))
            .map_err(Failed::new)?;
    }
    Ok(())
}
