//! Floors and homes: lower never imports higher, and every foreign crate has one home.

use crate::tidy::{Source, bites, check};

/// The folders of `src/` by floor.
const FLOORS: [&[&str]; 8] = [
    &["types"],
    &["telemetry", "dialect", "tls"],
    &["store", "journal", "vault", "egress", "config"],
    &["provider"],
    &["pipeline"],
    &["gateway", "control", "jobs", "runner"],
    &["server"],
    &["cli"],
];

/// The stages of the governed path in their order; a stage may name what earlier ones made.
const STAGES: [&str; 7] = [
    "identify",
    "inspect",
    "route",
    "decide",
    "record",
    "translate",
    "forward",
];

/// Foreign crates, and all places that may name them.
const HOMES: [(&str, &[&str]); 18] = [
    (
        "pingora_",
        &["src/gateway/", "src/pipeline/forward/", "src/server/listen.rs"],
    ),
    (
        "axum::",
        &[
            "src/control/",
            "src/gateway/control_door.rs",
            "src/server/listen.rs",
            "src/server/health.rs",
            "src/server/simulated.rs",
        ],
    ),
    ("rustls::", &["src/tls/"]),
    ("x509_parser::", &["src/tls/"]),
    ("rustls_native_certs::", &["src/tls/"]),
    ("tokio_rustls::", &["src/egress/"]),
    ("hyper::", &["src/egress/"]),
    ("hyper_util::", &["src/egress/"]),
    ("sqlx::", &["src/store/"]),
    ("rusqlite::", &["src/journal/"]),
    ("aws_", &["src/provider/bedrock/"]),
    ("clap::", &["src/cli/"]),
    ("tiktoken_rs::", &["src/pipeline/translate/count/"]),
    ("cedar_policy::", &["src/pipeline/decide/"]),
    ("inventory::", &["src/provider/"]),
    ("sd_notify::", &["src/server/service.rs"]),
    ("listenfd::", &["src/server/service.rs"]),
    ("process::Command", &["src/runner/"]),
];

fn floor_of(folder: &str) -> Option<usize> {
    FLOORS.iter().position(|folders| folders.contains(&folder))
}

/// The first two names of every `crate::…` path in a line.
fn imports(line: &str) -> Vec<(&str, &str)> {
    let word_end = |text: &str| {
        text.find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(text.len())
    };
    let mut found = Vec::new();
    for rest in line.split("crate::").skip(1) {
        let (first, rest) = rest.split_at(word_end(rest));
        let second = rest.strip_prefix("::").map_or("", |rest| &rest[..word_end(rest)]);
        found.push((first, second));
    }
    found
}

fn floors(source: &Source) -> Vec<String> {
    let mut names = source.path.trim_start_matches("src/").split('/');
    let own = names.next().unwrap_or_default();
    if own.ends_with(".rs") {
        return Vec::new();
    }
    let Some(own_floor) = floor_of(own) else {
        return vec![format!(
            "{}: {own}/ stands on no floor; name one in tests/it/tidy/rooms.rs",
            source.path
        )];
    };
    let own_stage = names.next().and_then(|name| {
        STAGES
            .iter()
            .position(|stage| name.trim_end_matches(".rs") == *stage)
    });
    let mut problems = Vec::new();
    for (number, line) in source.code() {
        for (other, inner) in imports(line) {
            let place = format!("{}:{number}", source.path);
            match floor_of(other) {
                Some(floor) if other != own && floor == own_floor => {
                    problems.push(format!("{place}: {own} reaches sideways for {other}"));
                }
                Some(floor) if floor > own_floor => {
                    problems.push(format!("{place}: {own} reaches up for {other}"));
                }
                _ => {}
            }
            let inner_stage = STAGES.iter().position(|stage| *stage == inner);
            if own == "pipeline" && other == "pipeline" && own_stage.is_some() && inner_stage > own_stage {
                problems.push(format!("{place}: a stage names the later stage {inner}"));
            }
            if other == "config" && !["config", "server", "cli"].contains(&own) {
                problems.push(format!("{place}: only server and cli read config"));
            }
        }
    }
    problems
}

fn homes(source: &Source) -> Vec<String> {
    // Unit tests may start processes and open databases to see what their subject left there.
    if source.is_unit_tests() {
        return Vec::new();
    }
    let mut problems = Vec::new();
    for (name, places) in HOMES {
        if places.iter().any(|place| source.path.starts_with(place)) {
            continue;
        }
        for (number, line) in source.code() {
            let named = line.match_indices(name).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '"')
            });
            if named {
                problems.push(format!(
                    "{}:{number}: {name} is at home in {places:?} only",
                    source.path
                ));
            }
        }
    }
    problems
}

#[test]
fn lower_floors_never_import_higher_ones() {
    check(&["src"], floors);
}

#[test]
fn foreign_crates_have_one_home() {
    check(&["src"], homes);
}

#[test]
fn these_rules_bite() {
    bites(
        floors,
        "src/types/ids.rs",
        "use crate::dialect::sse;",
        "use crate::types::clock::Clock;",
    );
    bites(
        floors,
        "src/store/mod.rs",
        "use crate::journal::Leaf;",
        "use crate::types::ids::UserId;",
    );
    bites(
        floors,
        "src/gateway/proxy.rs",
        "    crate::control::router()",
        "    crate::pipeline::admit()",
    );
    bites(
        floors,
        "src/pipeline/route/mod.rs",
        "use crate::pipeline::decide::Permit;",
        "use crate::pipeline::inspect::Inspection;",
    );
    bites(
        floors,
        "src/gateway/mod.rs",
        "use crate::config::Config;",
        "use crate::egress::Destination; // not crate::cli",
    );
    assert!(
        !floors(&Source::new("src/attic/mod.rs", "")).is_empty(),
        "an unknown folder"
    );
    bites(homes, "src/types/ids.rs", "use sqlx::Row;", "use uuid::Uuid;");
    bites(
        homes,
        "src/control/mod.rs",
        "use pingora_http::RequestHeader;",
        "use axum::Router;",
    );
    bites(
        homes,
        "src/server/start.rs",
        "std::process::Command::new(\"sh\")",
        "// std::process::Command is not for us",
    );
}
