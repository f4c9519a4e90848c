//! The house keeps itself: who may import whom, where foreign crates live, how long things may be.
//!
//! Each rule is a function from a file to its problems, so that it can be fed bad examples too.

mod map;
mod packages;
mod rooms;
mod text;

use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A source file: its path from the root of the repository, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    /// Whether this file holds unit tests and nothing else.
    fn is_unit_tests(&self) -> bool {
        self.path.starts_with("src/") && (self.path.ends_with("/tests.rs") || self.path.contains("/tests/"))
    }

    /// The lines of code with their numbers; comments are left out.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate();
        let code = lines.map(|(index, line)| (index + 1, line.split(" // ").next().unwrap_or(line)));
        code.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

/// All Rust files below these folders.
fn sources(folders: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    for folder in folders {
        let rust = |path: &PathBuf| path.extension().is_some_and(|end| end == "rs");
        for path in files(&Path::new(ROOT).join(folder)).into_iter().filter(rust) {
            let name = path
                .strip_prefix(ROOT)
                .expect("a file of ours")
                .to_string_lossy()
                .into_owned();
            found.push(Source::new(
                &name,
                &fs::read_to_string(&path).expect("source is UTF-8"),
            ));
        }
    }
    assert!(!found.is_empty(), "no source in {folders:?}");
    found
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Fails with all problems that a rule finds in the files of these folders.
fn check(folders: &[&str], rule: fn(&Source) -> Vec<String>) {
    let problems: Vec<String> = sources(folders).iter().flat_map(rule).collect();
    assert!(
        problems.is_empty(),
        "{} problems:\n{}",
        problems.len(),
        problems.join("\n")
    );
}

/// The rule finds something in the bad text and nothing in the good one.
fn bites(rule: fn(&Source) -> Vec<String>, path: &str, bad: &str, good: &str) {
    assert!(
        !rule(&Source::new(path, bad)).is_empty(),
        "unnoticed in {path}: {bad}"
    );
    let problems = rule(&Source::new(path, good));
    assert!(problems.is_empty(), "false alarm in {path}: {problems:?}");
}
