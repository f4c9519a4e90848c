//! Which keys a reload really puts in force: every key of `conf/default.toml` is gone over.

use std::collections::BTreeSet;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::config::effective::Effective;
use crate::config::read;
use crate::pipeline::record::prices::{Cost, Served};
use crate::server::reload::restart::waiting;
use crate::types::money::MicroDollars;
use crate::types::usage::Usage;

/// A configuration with something to govern.
const BASE: &str = "[[upstream]]\nname = \"a\"\nprovider = \"openai\"\nendpoint = \"http://192.0.2.1\"\n\
                    [[route]]\nmodel_pattern = \"*\"\nupstreams = [\"a\"]\n";

/// Keys that a reload puts in force elsewhere than in the snapshot; `tests/it/reload.rs` shows it.
const ELSEWHERE: [&str; 1] = ["log.filter"];

/// What a key takes effect in, as text.
type Shown = fn(&Snapshot, &Guards) -> String;

/// What upstream `a` can bear.
fn borne(_: &Snapshot, guards: &Guards) -> String {
    let unknown = guard::Settings {
        gate: guard::gate::Settings {
            max_concurrent: 0,
            queue: 0,
        },
        queue_timeout: std::time::Duration::ZERO,
        breaker: guard::breaker::Settings {
            failures: 0,
            failure_percent: 0,
            window: std::time::Duration::ZERO,
            open_for: std::time::Duration::ZERO,
            open_for_max: std::time::Duration::ZERO,
        },
        retries: guard::budget::Settings {
            percent: 0,
            per_second: 0,
        },
        rest_max: std::time::Duration::ZERO,
    };
    format!("{:?}", guards.of(&UpstreamName::from("a"), unknown).settings())
}

fn limited(snapshot: &Snapshot, _: &Guards) -> String {
    format!("{:?}", snapshot.limits)
}

fn reached(snapshot: &Snapshot, _: &Guards) -> String {
    format!("{:?}", snapshot.lines.to(&UpstreamName::from("a")))
}

/// Keys, another value, and where it takes effect. `FILE` stands for a file or folder that the test writes.
const TAKES_EFFECT: [(&str, &str, Shown); 40] = [
    ("server.body_bytes_max", "\"1 MiB\"", |s, _| {
        format!("{:?}", s.intake)
    }),
    ("server.answer_bytes_max", "\"1 MiB\"", |s, _| {
        s.answer_bytes_max.to_string()
    }),
    ("server.requests_in_flight_max", "7", |s, _| {
        s.requests_in_flight_max.to_string()
    }),
    ("server.connections_max", "7", |s, _| {
        s.connections_max.to_string()
    }),
    ("server.trusted_proxies", "[\"10.0.0.0/8\"]", |s, _| {
        format!("{:?}", s.trusted)
    }),
    ("policy.directory", "\"FILE\"", |s, _| {
        s.policies.digest().to_string()
    }),
    ("prices.file", "\"FILE/prices.toml\"", |s, _| {
        format!("{:?}", s.prices).len().to_string()
    }),
    ("secret_rules.file", "\"FILE/rules.toml\"", |s, _| {
        s.detectors.version().to_string()
    }),
    ("secret_rules.shipped", "false", |s, _| {
        s.detectors.version().to_string()
    }),
    ("secret_rules.off", "[\"jwt\"]", |s, _| {
        s.detectors.version().to_string()
    }),
    ("timeouts.connect", "\"77s\"", |s, _| format!("{:?}", s.deadlines)),
    ("timeouts.first_byte", "\"77s\"", |s, _| {
        format!("{:?}", s.deadlines)
    }),
    ("timeouts.idle", "\"77s\"", |s, _| {
        format!("{:?} {:?}", s.idle, s.deadlines)
    }),
    ("timeouts.total", "\"77s\"", |s, _| format!("{:?}", s.total)),
    ("timeouts.body", "\"77s\"", |s, _| format!("{:?}", s.intake)),
    ("timeouts.client_idle", "\"77s\"", |s, _| {
        format!("{:?}", s.client_idle)
    }),
    ("timeouts.client_write", "\"77s\"", |s, _| {
        format!("{:?}", s.client_write)
    }),
    ("timeouts.ping", "\"77s\"", |s, _| format!("{:?}", s.ping)),
    ("timeouts.drain_delay", "\"77s\"", |s, _| {
        format!("{:?}", s.drain_delay)
    }),
    ("timeouts.drain", "\"77s\"", |s, _| format!("{:?}", s.drain)),
    ("limits.requests_per_minute", "7", limited),
    ("limits.role_multiplier.admin", "7.5", limited),
    ("limits.role_multiplier.service", "7.5", limited),
    ("limits.role_multiplier.a2a", "7.5", limited),
    ("limits.role_multiplier.mcp", "7.5", limited),
    ("limits.role_multiplier.user", "7.5", limited),
    ("limits.role_multiplier.anonymous", "7.5", limited),
    ("resilience.max_concurrent", "7", borne),
    ("resilience.queue", "7", borne),
    ("resilience.queue_timeout", "\"77s\"", borne),
    ("resilience.rest_max", "\"77s\"", borne),
    ("resilience.retry_percent", "7", borne),
    ("resilience.retries_per_second", "7", borne),
    ("resilience.breaker.failures", "7", borne),
    ("resilience.breaker.failure_percent", "77", borne),
    ("resilience.breaker.window", "\"77s\"", borne),
    ("resilience.breaker.open_for", "\"7s\"", borne),
    ("resilience.breaker.open_for_max", "\"77s\"", borne),
    ("egress.proxy", "\"http://192.0.2.2:3128\"", reached),
    ("egress.no_proxy", "[\"192.0.2.0/24\"]", reached),
];

/// Keys whose value counts only beside another one.
const BESIDE: [(&str, &str); 1] = [("egress.no_proxy", "[egress]\nproxy = \"http://192.0.2.2:3128\"\n")];

fn config(text: &str) -> Config {
    read::from_text(text, Path::new("t.toml"), None).unwrap()
}

/// What belongs to a key, as a file says it.
fn written(key: &str, value: &str, more: &str) -> String {
    match key.rsplit_once('.') {
        Some((section, name)) if more.starts_with(&format!("[{section}]")) => {
            format!("{more}{name} = {value}\n{BASE}")
        }
        Some((section, name)) => format!("{more}[{section}]\n{name} = {value}\n{BASE}"),
        None => panic!("{key} has no section"),
    }
}

/// A process with one configuration in force.
struct Running {
    metrics: Metrics,
    guards: Guards,
    snapshot: Snapshot,
    config: Config,
}

impl Running {
    fn on(text: &str) -> Self {
        let config = config(text);
        let (metrics, guards) = (Metrics::new().unwrap(), Guards::new(Arc::new(SystemClock)));
        let lasting = Lasting {
            metrics: &metrics,
            guards: &guards,
        };
        let snapshot = compile(&config, 1, None, lasting).unwrap();
        Self {
            metrics,
            guards,
            snapshot,
            config,
        }
    }

    /// As a reload does it.
    fn reload(&mut self, text: &str) -> Result<(), Mistakes> {
        let config = config(text);
        let lasting = Lasting {
            metrics: &self.metrics,
            guards: &self.guards,
        };
        self.snapshot = compile(&config, 2, Some(&self.snapshot), lasting)?;
        bear(&config, &self.guards);
        self.config = config;
        Ok(())
    }
}

#[test]
fn every_key_takes_effect_at_a_reload_or_waits_for_a_restart() {
    let folder = TempDir::new().unwrap();
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    put("all.cedar", "@id(\"all\") permit (principal, action, resource);");
    put("prices.toml", "[model.x]\ninput = \"1\"\noutput = \"1\"\n");
    let rule = "[[rule]]\nid = \"x\"\nkeywords = [\"XKEY\"]\nregex = '(XKEY[A-Z]{8})'\nreach = 24\n";
    put("rules.toml", &format!("examples = []\n{rule}"));
    let mut over = BTreeSet::new();
    for (key, value, shown) in TAKES_EFFECT {
        let more = BESIDE
            .iter()
            .find(|(name, _)| *name == key)
            .map_or("", |(_, more)| *more);
        let value = value.replace("FILE", &folder.path().display().to_string());
        let mut running = Running::on(&format!("{more}{BASE}"));
        let before = shown(&running.snapshot, &running.guards);
        let started_with = running.config.effective.clone();
        running.reload(&written(key, &value, more)).unwrap();
        assert_ne!(
            shown(&running.snapshot, &running.guards),
            before,
            "{key} is not in force"
        );
        let waits = waiting(&running.config.effective, &started_with);
        assert!(waits.is_empty(), "{key} is in force and said to wait: {waits:?}");
        over.insert(key);
    }
    over.extend(ELSEWHERE);
    let defaults = config("").effective;
    for key in defaults.differing(&Effective::default(), "") {
        let waits = !waiting(&defaults.without(key), &defaults).is_empty();
        assert_ne!(
            waits,
            over.contains(key),
            "{key}: said to wait for a restart is {waits}"
        );
    }
}

#[test]
fn an_agreement_is_in_force_after_a_reload() {
    let mut running = Running::on(BASE);
    let used = Usage {
        input: 1_000,
        ..Usage::default()
    };
    let served = Served {
        provider: "openai",
        upstream: "a",
        model: "gpt-5",
    };
    let known = |micros| Cost::Known(MicroDollars::new(micros));
    assert_eq!(running.snapshot.prices.cost(&served, &used), known(1_250));
    let agreed = "[[price]]\nmodel_pattern = \"gpt-*\"\nupstream = \"a\"\nmultiplier = \"0.8\"\n";
    running.reload(&format!("{agreed}{BASE}")).unwrap();
    assert_eq!(running.snapshot.prices.cost(&served, &used), known(1_000));
    let waits = waiting(&running.config.effective, &config(BASE).effective);
    assert!(waits.is_empty(), "{waits:?}");
}

#[test]
fn a_configuration_that_is_refused_changes_nothing_that_outlives_it() {
    let mut running = Running::on(BASE);
    let before = borne(&running.snapshot, &running.guards);
    let refused =
        format!("[resilience]\nmax_concurrent = 7\n[prices]\nfile = \"/nowhere/prices.toml\"\n{BASE}");
    assert!(running.reload(&refused).is_err());
    assert_eq!(borne(&running.snapshot, &running.guards), before);
}

#[test]
fn a_filter_that_is_none_is_a_mistake_at_its_line() {
    let mut running = Running::on(BASE);
    let refused = running
        .reload(&format!("[log]\nfilter = \"info,,=loud\"\n{BASE}"))
        .unwrap_err();
    assert!(
        matches!(&refused.0[..], [mistake] if mistake.line == 2),
        "{refused}"
    );
}
