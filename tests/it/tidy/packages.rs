//! What we depend on: no second TLS library, no git sources, no licence that binds our users.

use std::collections::BTreeSet;
use std::process::Command;

use toml::Table;

use crate::tidy::{ROOT, read};

const BANNED: [&str; 6] = [
    "openssl",
    "openssl-sys",
    "native-tls",
    "aws-lc-rs",
    "aws-lc-sys",
    "figment",
];

fn bad_packages(lock: &str) -> Vec<String> {
    let lock: Table = lock.parse().expect("Cargo.lock is TOML");
    let packages = lock["package"].as_array().expect("a lock file has packages");
    let mut problems = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let source = package
            .get("source")
            .and_then(toml::Value::as_str)
            .unwrap_or("registry+");
        if BANNED.contains(&name) {
            problems.push(format!("{name} is not wanted in the tree (cargo tree -i {name})"));
        }
        if !source.starts_with("registry+") {
            problems.push(format!("{name} comes from {source}"));
        }
    }
    problems
}

/// Whether one alternative of this licence expression consists of allowed licences only.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let plain = expression.replace(['(', ')'], "").replace('/', " OR ");
    let is_one = |licence: &str| allowed.iter().any(|one| one == licence.trim());
    // "A AND (B OR C)" is read as "A AND B OR C": each group between ORs must hold, the strict way round.
    match expression.contains(") AND") || expression.contains("AND (") {
        true => plain.split(" AND ").all(|part| part.split(" OR ").any(is_one)),
        false => plain.split(" OR ").any(|part| part.split(" AND ").all(is_one)),
    }
}

#[test]
fn the_lock_file_holds_nothing_unwanted() {
    let problems = bad_packages(&read("Cargo.lock"));
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_licence_is_allowed_by_deny_toml() {
    let deny: Table = read("deny.toml").parse().expect("deny.toml is TOML");
    let allowed = deny["licenses"]["allow"]
        .as_array()
        .expect("licenses.allow is a list");
    let allowed: Vec<String> = allowed
        .iter()
        .filter_map(|one| one.as_str().map(str::to_owned))
        .collect();
    // What is built for this machine; `cargo deny` looks at all platforms.
    let tree = [
        "tree",
        "--workspace",
        "--locked",
        "--offline",
        "--prefix",
        "none",
        "--format",
        "{p}|{l}",
    ];
    let output = Command::new(env!("CARGO"))
        .args(tree)
        .current_dir(ROOT)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let packages: BTreeSet<&str> = printed
        .lines()
        .filter(|line| line.contains('|') && !line.ends_with(" (*)"))
        .collect();
    assert!(packages.len() > 100, "{packages:?}");
    let is_refused =
        |line: &&&str| !is_allowed(line.split_once('|').map_or("", |(_, licence)| licence), &allowed);
    let refused: Vec<_> = packages.iter().filter(is_refused).collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn these_rules_bite() {
    let package = |name: &str, source: &str| {
        format!("[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\nsource = \"{source}\"\n")
    };
    assert_eq!(
        bad_packages(&package("openssl-probe", "registry+https://x")).len(),
        0
    );
    assert_eq!(
        bad_packages(&package("openssl-sys", "registry+https://x")).len(),
        1
    );
    assert_eq!(bad_packages(&package("fine", "git+https://x")).len(), 1);
    let allowed = ["MIT", "Apache-2.0", "Unicode-3.0"].map(str::to_owned);
    for good in [
        "MIT",
        "GPL-3.0 OR MIT",
        "MIT/Apache-2.0",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        "MIT AND Apache-2.0",
    ] {
        assert!(is_allowed(good, &allowed), "{good}");
    }
    for bad in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(MIT OR Apache-2.0) AND GPL-3.0",
        "AGPL-3.0-only",
    ] {
        assert!(!is_allowed(bad, &allowed), "{bad}");
    }
}
