//! What inspecting and deciding cost: `cargo bench --bench decide`.
//!
//! Prints the best and the median of many rounds; the best is the figure to trust on a machine that
//! others use. Targets: a decision below 25 µs with two candidates, an index of 200 KB well below
//! 100 µs, new text scanned at 300 MB/s.
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

mod support;

use std::hint::black_box;

use anyhow::{Context, Result, anyhow};
use tollgate::dialect::operation::Operation;
use tollgate::pipeline::admit::{RateLimit, Settings};
use tollgate::pipeline::decide::facts::{Candidate, Facts};
use tollgate::pipeline::decide::policies::Policies;
use tollgate::pipeline::decide::{decide, may_invoke};
use tollgate::pipeline::inspect::index::index;
use tollgate::pipeline::inspect::inspection::{Actions, FingerprintKey, inspect};
use tollgate::pipeline::inspect::secrets::Detectors;
use tollgate::types::clock::{Clock, SystemClock};
use tollgate::types::ids::{KeyId, TenantId, UserId};
use tollgate::types::principal::{Credential, Principal};
use tollgate::types::secret::Secret;

use crate::support::{conversation, rounds};

fn main() -> Result<()> {
    for kilobytes in [2, 32, 200] {
        bodies(kilobytes)?;
    }
    scanning()?;
    decisions()
}

/// Runs `work` in rounds of `times`, and prints microseconds for one.
fn measure(name: &str, times: u32, bytes: usize, mut work: impl FnMut()) {
    let (best, median) = rounds(times, &mut work);
    let rate = match u32::try_from(bytes) {
        Ok(bytes) if bytes > 0 => format!("  {:7.0} MB/s", f64::from(bytes) / best),
        _ => String::new(),
    };
    println!("{name:<28} best {best:9.2} µs  median {median:9.2} µs{rate}");
}

fn bodies(kilobytes: usize) -> Result<()> {
    let body = conversation(kilobytes);
    let detectors = Detectors::shipped()?;
    let key = FingerprintKey::new(&Secret::new([1; 32]));
    let indexed = || index(&body, Operation::Messages);
    let clean = inspect(indexed()?, &detectors, &Actions::SHIPPED, &key)
        .findings()
        .is_empty();
    anyhow::ensure!(clean, "the conversation should be clean");
    measure(&format!("index {kilobytes} KB"), 50, body.len(), || {
        black_box(indexed().ok());
    });
    measure(
        &format!("index and inspect {kilobytes} KB"),
        20,
        body.len(),
        || {
            black_box(
                indexed()
                    .ok()
                    .map(|index| inspect(index, &detectors, &Actions::SHIPPED, &key)),
            );
        },
    );
    Ok(())
}

fn scanning() -> Result<()> {
    let detectors = Detectors::shipped()?;
    let text =
        "The lease expired twice today, at https://status.example.com/asia; nobody noticed. ".repeat(50_000);
    measure("scan clean text", 1, text.len(), || {
        black_box(detectors.scan().text(text.as_bytes()).ok());
    });
    Ok(())
}

fn decisions() -> Result<()> {
    let mistakes = |mistakes: Vec<_>| anyhow!("{mistakes:?}");
    let policies = Policies::shipped()
        .map_err(mistakes)
        .context("shipped policies")?;
    let mut facts = facts();
    measure("decide, 2 candidates", 500, 0, || {
        black_box(decide(&facts, &policies, &SystemClock));
    });
    facts.powers = vec!["server_tool/web_search".into()];
    measure("decide, with a power", 500, 0, || {
        black_box(decide(&facts, &policies, &SystemClock));
    });
    measure("may_invoke", 500, 0, || {
        black_box(may_invoke(
            &facts.principal,
            None,
            &facts.requested_model,
            &policies,
        ));
    });
    let limit = RateLimit::new(&Settings {
        requests_per_minute: 300,
        role_multiplier: vec![("user".into(), 1.0), ("admin".into(), 10.0)],
    });
    measure("admit", 5_000, 0, || {
        black_box(limit.admit(&facts.principal, SystemClock.now()));
    });
    Ok(())
}

fn facts() -> Facts {
    let id = uuid::Uuid::from_u128(7);
    let candidate = |upstream: &str, model: &str| Candidate {
        upstream: upstream.into(),
        served_model: model.into(),
    };
    Facts {
        principal: Principal {
            tenant: TenantId::from_uuid(id),
            tenant_name: "acme".into(),
            user: UserId::from_uuid(id),
            user_name: "ann@example.com".into(),
            roles: vec!["user".into()],
            teams: vec!["research".into()],
            credential: Credential::ApiKey(KeyId::from_uuid(id)),
            session: "s".into(),
        },
        certificate: None,
        endpoint: Operation::Messages,
        requested_model: "claude-sonnet-4-6".into(),
        candidates: vec![
            candidate("anthropic", "claude-sonnet-4-6"),
            candidate("bedrock-eu", "eu.anthropic.claude-sonnet-4-6"),
        ],
        powers: Vec::new(),
        findings: Vec::new(),
        blocked: None,
        stream: true,
        max_tokens: Some(4096),
        tools: 12,
    }
}
