//! What tests of the journal and of its readers share: a directory, a clock that stands, example leaves.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::journal::leaf::act::{Act, Labels, RequestFacts};
use crate::journal::leaf::admin::{Actor, Admin};
use crate::journal::leaf::close::{Attempt, Close, Cost, Outcome};
use crate::journal::leaf::decision::{DecisionRow, Json, Verdict};
use crate::journal::leaf::denial::Denial;
use crate::journal::leaf::open::{Candidate, Open};
use crate::journal::origin::{NodeIdentity, StoreKnows};
use crate::journal::{Journal, Recovery, Settings, Sources};
use crate::types::clock::{Clock, Timestamp};
use crate::types::digest::Sha256;
use crate::types::entropy::Entropy;
use crate::types::ids::{KeyId, ModelName, RequestId, SessionId, TenantId, UpstreamName, UserId};
use crate::types::money::MicroDollars;
use crate::types::principal::Credential;
use crate::types::usage::Usage;

/// 2026-11-21T12:00:00Z.
pub(crate) const NOON: i64 = 1_795_262_400_000_000;

/// A clock that moves only when told to.
#[derive(Debug)]
pub(crate) struct StandingClock(AtomicI64);

impl StandingClock {
    pub(crate) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }
}

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_micros(self.0.load(Ordering::Relaxed))
    }
}

/// Randomness that repeats from run to run and never within one.
#[derive(Debug, Default)]
pub(crate) struct CountingEntropy(AtomicU64);

impl Entropy for CountingEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        let count = self.0.fetch_add(1, Ordering::Relaxed);
        let digest = Sha256::of(&count.to_be_bytes());
        for (to, from) in buffer.iter_mut().zip(digest.as_bytes().iter().cycle()) {
            *to = *from;
        }
    }
}

/// A directory with a journal.
pub(crate) struct House {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) clock: Arc<StandingClock>,
    pub(crate) settings: Settings,
    pub(crate) sources: Sources,
}

impl House {
    pub(crate) fn new() -> Self {
        Self::of_size(1 << 30)
    }

    pub(crate) fn of_size(max_bytes: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(StandingClock(AtomicI64::new(NOON)));
        Self {
            settings: Settings::new(directory.path().join("journal"), max_bytes),
            sources: Sources {
                clock: clock.clone(),
                entropy: Arc::new(CountingEntropy::default()),
            },
            clock,
            directory,
        }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.settings.directory.join("journal.db")
    }

    pub(crate) fn open(&self) -> (Journal, Recovery) {
        self.open_knowing(&StoreKnows::Nothing)
    }

    pub(crate) fn open_knowing(&self, store: &StoreKnows) -> (Journal, Recovery) {
        Journal::open(&self.settings, &identity(), store, self.sources.clone()).unwrap()
    }
}

pub(crate) fn identity() -> NodeIdentity {
    NodeIdentity::new("gw-1", "a").unwrap()
}

fn uuid(kind: u8, number: u64) -> uuid::Uuid {
    uuid::Uuid::from_u64_pair(
        0x0193_4e1c_0000_7000 | u64::from(kind),
        0x8000_0000_0000_0000 | number,
    )
}

pub(crate) fn request(number: u64) -> RequestId {
    RequestId::from_uuid(uuid(1, number))
}

pub(crate) fn tenant() -> TenantId {
    TenantId::from_uuid(uuid(2, 1))
}

pub(crate) fn user() -> UserId {
    UserId::from_uuid(uuid(3, 1))
}

pub(crate) fn facts(number: u64) -> RequestFacts {
    let key = KeyId::from_uuid(uuid(4, 1));
    RequestFacts {
        act: Act {
            tenant: Some(tenant()),
            user: Some(user()),
            credential: Some(Credential::ApiKey(key)),
            session: Some(SessionId::new(key.to_string())),
            labels: Labels {
                trace: Some("4bf92f3577b34da6a3ce929d0e0e4736".into()),
                session: Some("laptop \"7\" é".into()),
                ..Labels::default()
            },
            action: "invoke".into(),
            resource: Some("model:claude-sonnet-4-6".into()),
            ..Act::of_request(request(number))
        },
        started_at: Timestamp::from_unix_micros(NOON - 1_500),
        requested_model: Some(ModelName::from("claude-sonnet-4-6")),
        client_dialect: Some("anthropic-messages".into()),
        stream: true,
        request_digest: Some(Sha256::of(b"as received")),
        policy_digest: Some(Sha256::of(b"policies")),
        config_generation: 3,
    }
}

pub(crate) fn decision(stage: &str, outcome: Verdict) -> DecisionRow {
    DecisionRow {
        stage: stage.into(),
        outcome,
        rule: Some("users-may-invoke".into()),
        reason: None,
        facts: Some(Json::of(&[("model", "claude-sonnet-4-6")]).unwrap()),
        duration_us: 41,
    }
}

pub(crate) fn open(number: u64) -> Open {
    Open {
        facts: facts(number),
        reason: None,
        candidates: vec![Candidate {
            upstream: UpstreamName::from("anthropic"),
            model: ModelName::from("claude-sonnet-4-6"),
        }],
        reserved: Some(MicroDollars::new(61_440)),
        decisions: vec![
            decision("scope", Verdict::Allow),
            decision("policy", Verdict::Allow),
        ],
    }
}

pub(crate) fn close(number: u64) -> Close {
    Close {
        status: Some(200),
        served_model: Some(ModelName::from("claude-sonnet-4-6-20260101")),
        upstream: Some(UpstreamName::from("anthropic")),
        upstream_dialect: Some("anthropic-messages".into()),
        upstream_request_id: Some("req_011CSHoEeqs5C35K2UUqR7Fy".into()),
        attempts: vec![Attempt {
            upstream: UpstreamName::from("anthropic"),
            outcome: "ok".into(),
            status: Some(200),
            duration_us: 812_000,
        }],
        usage: Usage {
            input: 12,
            output: 340,
            cache_read: 9_000,
            cache_write_5m: 100,
            thinking: 20,
            ..Usage::default()
        },
        cost: Cost::Priced(MicroDollars::new(8_211)),
        latency_us: Some(815_000),
        ttfb_us: Some(402_000),
        stop_reason: Some("end_turn".into()),
        sent_digest: Some(Sha256::of(b"as sent")),
        splices: 2,
        redactions: 1,
        dropped: vec!["top_k".into()],
        ..Close::bare(facts(number).act, Outcome::Complete)
    }
}

pub(crate) fn denial(number: u64) -> Denial {
    Denial {
        facts: facts(number),
        status: 403,
        error_kind: "permission_error".into(),
        reason: "a secret was found in messages.0".into(),
        count: 1,
        last_at: None,
        latency_us: 900,
        decisions: vec![decision("secrets", Verdict::Deny)],
    }
}

pub(crate) fn admin() -> Admin {
    Admin {
        actor: Actor {
            uid: Some(1_000),
            ..Actor::default()
        },
        tenant: Some(tenant()),
        request: None,
        action: "key.create".into(),
        resource: Some("key:laptop".into()),
        outcome: Verdict::Allow,
        reason: None,
        policy_digest: None,
        detail: Some(Json::of(&[("user", "jo@example.com")]).unwrap()),
    }
}
