//! The maps tell the truth: `lib.rs`, `mod.rs` and `docs/architecture.md` name what is there.

use std::collections::BTreeSet;
use std::path::Path;

use crate::tidy::{ROOT, read, sources};

/// The folders of `src/`, and the modules that a `lib.rs` declares.
fn unmapped(folders: &BTreeSet<String>, lib: &str, architecture: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for folder in folders {
        if !lib.lines().any(|line| line == format!("pub mod {folder};")) {
            problems.push(format!("src/lib.rs does not declare {folder}"));
        }
        if ![format!("`{folder}`"), format!("`{folder}/`")]
            .iter()
            .any(|name| architecture.contains(name.as_str()))
        {
            problems.push(format!("docs/architecture.md does not speak of `{folder}/`"));
        }
    }
    for declared in lib
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
    {
        if !folders.contains(declared) {
            problems.push(format!("src/lib.rs declares {declared}, which is no folder"));
        }
    }
    problems
}

#[test]
fn the_maps_are_complete() {
    let all = sources(&["src"]);
    let folders = all.iter().filter_map(|source| {
        let mut names = source.path.trim_start_matches("src/").split('/');
        let first = names.next()?.to_owned();
        names.next().map(|_| first)
    });
    let problems = unmapped(
        &folders.collect(),
        &read("src/lib.rs"),
        &read("docs/architecture.md"),
    );
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_folder_has_a_mod_that_says_what_it_holds() {
    let all = sources(&["src", "tests/it"]);
    let mut problems = BTreeSet::new();
    for source in &all {
        let folder = Path::new(&source.path).parent().unwrap();
        let is_root = folder == Path::new("src") || folder == Path::new("tests/it");
        if is_root || source.is_unit_tests() {
            continue;
        }
        let module = folder.join("mod.rs").to_string_lossy().into_owned();
        match all.iter().find(|source| source.path == module) {
            None => {
                problems.insert(format!("{module} is missing"));
            }
            Some(module) if !module.text.starts_with("//! ") => {
                problems.insert(format!("{}: no docs", module.path));
            }
            Some(_) => {}
        }
    }
    assert!(problems.is_empty(), "{problems:?}");
}

#[test]
fn documents_that_readers_are_sent_to_exist() {
    for name in [
        "README.md",
        "docs/architecture.md",
        "docs/walkthroughs.md",
        "docs/changelog.md",
        "conf/default.toml",
    ] {
        assert!(Path::new(ROOT).join(name).exists(), "{name}");
    }
    let decisions = std::fs::read_dir(Path::new(ROOT).join("docs/decisions"))
        .unwrap()
        .flatten();
    assert!(
        decisions
            .into_iter()
            .any(|entry| entry.file_name().to_string_lossy().starts_with("0001-"))
    );
}

#[test]
fn this_rule_bites() {
    let folders = BTreeSet::from(["types".to_owned(), "attic".to_owned()]);
    assert_eq!(
        unmapped(
            &folders,
            "pub mod types;\npub mod attic;\n",
            "| `types` | words |\n| `attic/` | old things |"
        )
        .len(),
        0
    );
    assert_eq!(
        unmapped(&folders, "pub mod types;\npub mod cellar;\n", "- `types/`: words").len(),
        3
    );
}
