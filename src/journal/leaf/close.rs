//! The leaf that ends an opened request.

use serde::{Deserialize, Serialize};

use crate::journal::leaf::act::Act;
use crate::journal::leaf::decision::DecisionRow;
use crate::types::digest::Sha256;
use crate::types::ids::{ModelName, UpstreamName};
use crate::types::money::MicroDollars;
use crate::types::usage::Usage;

/// How long a text may be that stays in a trimmed close. Ten of them, escaped at worst, leave room enough.
const SHORT_BYTES_MAX: usize = 64;

/// An opened request ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Close {
    /// Who did what.
    pub act: Act,
    /// How it ended.
    pub outcome: Outcome,
    /// The HTTP status that the client got, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The model that answered, as the upstream names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_model: Option<ModelName>,
    /// The upstream that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<UpstreamName>,
    /// Its wire format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_dialect: Option<Box<str>>,
    /// Its own id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_request_id: Option<Box<str>>,
    /// Every upstream that was tried, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// Tokens.
    pub usage: Usage,
    /// Whether the tokens are our estimate.
    pub usage_estimated: bool,
    /// Money.
    pub cost: Cost,
    /// From the first byte of the request to the end, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_us: Option<u64>,
    /// From the first byte of the request to the first of the answer, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttfb_us: Option<u64>,
    /// Why the model stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<Box<str>>,
    /// The kind of error, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_kind: Option<Box<str>>,
    /// The digest of the body as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_digest: Option<Sha256>,
    /// How many edits lie between received and sent.
    pub splices: u32,
    /// How many of them were redactions.
    pub redactions: u32,
    /// What translation lost, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<Box<str>>,
    /// The digest of the policies that decided on the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_digest: Option<Sha256>,
    /// The configuration in force for `decisions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_generation: Option<u64>,
    /// Decisions on the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<DecisionRow>,
    /// Whether lists and labels were left out, to fit the room that was reserved.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trimmed: bool,
}

impl Close {
    /// A close that says nothing but how it ended.
    pub fn bare(act: Act, outcome: Outcome) -> Self {
        Self {
            act,
            outcome,
            status: None,
            served_model: None,
            upstream: None,
            upstream_dialect: None,
            upstream_request_id: None,
            attempts: Vec::new(),
            usage: Usage::default(),
            usage_estimated: false,
            cost: match outcome {
                Outcome::Complete | Outcome::Error | Outcome::ClientGone => Cost::None,
                // The upstream may have worked, and bill for it.
                Outcome::Interrupted | Outcome::Abandoned => Cost::Unknown,
            },
            latency_us: None,
            ttfb_us: None,
            stop_reason: None,
            error_kind: None,
            sent_digest: None,
            splices: 0,
            redactions: 0,
            dropped: Vec::new(),
            policy_digest: None,
            config_generation: None,
            decisions: Vec::new(),
            trimmed: false,
        }
    }

    /// The same close without lists, labels and long texts; what is counted and paid for stays.
    pub(in crate::journal) fn trimmed(&self) -> Self {
        let Act {
            action,
            resource,
            session,
            ..
        } = &self.act;
        let short = |text: &Option<Box<str>>| text.clone().filter(|text| text.len() <= SHORT_BYTES_MAX);
        let act = Act {
            tenant: self.act.tenant,
            user: self.act.user,
            credential: self.act.credential,
            session: session
                .clone()
                .filter(|session| session.as_str().len() <= SHORT_BYTES_MAX),
            action: short(&Some(action.clone())).unwrap_or_default(),
            resource: short(resource),
            ..Act::of_request(self.act.request)
        };
        Self {
            act,
            served_model: self
                .served_model
                .clone()
                .filter(|model| model.as_str().len() <= SHORT_BYTES_MAX),
            upstream: self
                .upstream
                .clone()
                .filter(|upstream| upstream.as_str().len() <= SHORT_BYTES_MAX),
            upstream_dialect: short(&self.upstream_dialect),
            upstream_request_id: short(&self.upstream_request_id),
            attempts: Vec::new(),
            stop_reason: short(&self.stop_reason),
            error_kind: short(&self.error_kind),
            dropped: Vec::new(),
            decisions: Vec::new(),
            trimmed: true,
            ..self.clone()
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The client got the whole answer.
    Complete,
    /// The client got an error.
    Error,
    /// The client went away.
    ClientGone,
    /// The process ended before the request did; written at the next start.
    Interrupted,
    /// The request's owner forgot it; written when the reservation was dropped.
    Abandoned,
}

impl Outcome {
    /// The stored word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Error => "error",
            Self::ClientGone => "client_gone",
            Self::Interrupted => "interrupted",
            Self::Abandoned => "abandoned",
        }
    }
}

/// One try at one upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The upstream.
    pub upstream: UpstreamName,
    /// How it went (`ok`, `connect_failed`, `status_529` …).
    pub outcome: Box<str>,
    /// Its HTTP status, if it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How long it took, in microseconds.
    pub duration_us: u64,
}

/// What a request cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "microdollars")]
pub enum Cost {
    /// Nothing was used.
    None,
    /// Something was used, and its price is not known.
    Unknown,
    /// From the upstream's own counts.
    Priced(MicroDollars),
    /// From estimated counts.
    Estimated(MicroDollars),
}

impl Cost {
    /// The stored word.
    pub const fn state(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Unknown => "unknown",
            Self::Priced(_) => "priced",
            Self::Estimated(_) => "estimated",
        }
    }

    /// The amount; none when it is unknown, zero when nothing was used.
    pub const fn amount(self) -> Option<MicroDollars> {
        match self {
            Self::None => Some(MicroDollars::new(0)),
            Self::Unknown => None,
            Self::Priced(amount) | Self::Estimated(amount) => Some(amount),
        }
    }
}
