//! What came out: verdicts of the stages, and a permit or a denial.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::journal::leaf::decision::Json;
use crate::pipeline::decide::facts::Candidate;
use crate::types::digest::Sha256;

/// The stages of a decision, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// May this principal use this model name at all?
    Scope,
    /// Does the request carry secrets that refuse it?
    Secrets,
    /// May it go to the candidates, with all that it asks for?
    Policy,
}

impl Stage {
    /// The name in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scope => "scope",
            Self::Secrets => "secrets",
            Self::Policy => "policy",
        }
    }
}

/// What a stage said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Go on.
    Pass,
    /// Stop here.
    Deny,
}

/// The word of one stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// Which stage.
    pub stage: Stage,
    /// What it said.
    pub outcome: Outcome,
    /// The `@id`s of the policies, or the secret rule, that made it say so; sorted.
    pub rule: Vec<Box<str>>,
    /// Why, for people who read records.
    pub reason: Box<str>,
    /// What the stage looked at.
    pub facts: Option<Json>,
    /// How long it took.
    pub duration: Duration,
}

/// The two ways in which a decision ends.
#[derive(Debug)]
pub enum Decision {
    /// The request may go on.
    Permit(Permit),
    /// It may not.
    Deny(Denial),
}

/// The proof that policies permit this request to go to these candidates.
///
/// Only [`decide`](super::decide) makes one.
#[derive(Debug)]
pub struct Permit {
    granted: Arc<Granted>,
    /// How long it took to remember it; none where the policies were evaluated.
    remembered_in: Option<Duration>,
    policy_digest: Sha256,
}

/// What the policies permitted on certain facts.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) candidates: Vec<Candidate>,
    pub(super) verdicts: Vec<Verdict>,
}

impl Permit {
    pub(super) const fn new(
        granted: Arc<Granted>,
        remembered_in: Option<Duration>,
        policy_digest: Sha256,
    ) -> Self {
        Self {
            granted,
            remembered_in,
            policy_digest,
        }
    }

    /// The candidates that are left, best first; never empty.
    pub fn candidates(&self) -> &[Candidate] {
        &self.granted.candidates
    }

    /// What each stage said.
    pub fn verdicts(&self) -> &[Verdict] {
        &self.granted.verdicts
    }

    /// How long it took to remember what the policies had said on the same facts, where it was not worked
    /// out again: then the verdicts' own durations are of that earlier time.
    pub const fn remembered_in(&self) -> Option<Duration> {
        self.remembered_in
    }

    /// The policies that were asked.
    pub const fn policy_digest(&self) -> Sha256 {
        self.policy_digest
    }
}

/// How a denial is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DenialKind {
    /// As if the model did not exist, whether it does or not.
    UnknownModel,
    /// As forbidden by policy.
    Policy,
    /// As refused for a secret.
    Secret,
}

/// A refusal, with its reasons.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Denial {
    /// The stage that refused.
    pub stage: Stage,
    /// How it is answered.
    pub kind: DenialKind,
    /// The `@id`s of the policies, or the secret rule; empty where no policy permits.
    pub rule: Vec<Box<str>>,
    /// Why, for people who read records. Clients see [`Denial::client_text`].
    pub reason: Box<str>,
    /// What each stage said, the refusing one last.
    pub verdicts: Vec<Verdict>,
    /// The policies that were asked.
    pub policy_digest: Sha256,
    pub(super) client_text: Box<str>,
}

impl Denial {
    /// The text for the client: the rule and what to do, never a secret.
    ///
    /// For [`DenialKind::UnknownModel`] it depends on the model name alone, so that nobody can tell
    /// a model that does not exist from one that is kept from him.
    pub fn client_text(&self) -> &str {
        &self.client_text
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}
