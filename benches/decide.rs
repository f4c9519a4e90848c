//! What inspecting and deciding cost: `cargo bench --bench decide`.
//!
//! Prints the best and the median of many rounds; the best is the figure to trust on a machine that
//! others use. Targets: a decision below 25 µs with two candidates, an index of 200 KB well below
//! 100 µs, new text scanned at 300 MB/s.
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

mod support;

use std::hint::black_box;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use serde_json::{Value, json};
use tollgate::dialect::operation::Operation;
use tollgate::pipeline::admit::{RateLimit, Settings};
use tollgate::pipeline::decide::facts::{Candidate, Facts};
use tollgate::pipeline::decide::policies::Policies;
use tollgate::pipeline::decide::{decide, may_invoke};
use tollgate::pipeline::inspect::index::index;
use tollgate::pipeline::inspect::inspection::{Actions, inspect};
use tollgate::pipeline::inspect::memory::Memory;
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
    println!("{name:<32} best {best:9.2} µs  median {median:9.2} µs{rate}");
}

/// The conversation with one more turn.
fn with_turn(body: &Bytes, turn: usize) -> Result<Bytes> {
    let mut body: Value = serde_json::from_slice(body)?;
    let result = format!("    let turn = {turn};\n    open(path)?.read_to_end(&mut buffer)\n").repeat(20);
    let messages = body
        .get_mut("messages")
        .and_then(Value::as_array_mut)
        .context("messages")?;
    messages.push(json!({ "role": "user", "content": [
        { "type": "tool_result", "tool_use_id": "toolu_01", "content": result },
    ] }));
    Ok(Bytes::from(body.to_string()))
}

fn bodies(kilobytes: usize) -> Result<()> {
    let body = conversation(kilobytes);
    let detectors = Detectors::shipped()?;
    let memory = || Memory::new(&Secret::new([1; 32]));
    let indexed = || index(&body, Operation::Messages);
    let clean = inspect(indexed()?, &detectors, &Actions::SHIPPED, &memory())
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
                    .map(|index| inspect(index, &detectors, &Actions::SHIPPED, &memory())),
            );
        },
    );
    // As agents send it: all but the last turn was there before.
    let known = memory();
    inspect(indexed()?, &detectors, &Actions::SHIPPED, &known);
    let turns: Vec<Bytes> = (0..64)
        .map(|turn| with_turn(&body, turn))
        .collect::<Result<_>>()?;
    let mut next = turns.iter().cycle();
    measure(
        &format!("the same, last turn new {kilobytes} KB"),
        20,
        body.len(),
        || {
            let index = next.next().and_then(|body| index(body, Operation::Messages).ok());
            black_box(index.map(|index| inspect(index, &detectors, &Actions::SHIPPED, &known)));
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
