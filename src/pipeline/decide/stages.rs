//! The stages of a decision: scope, secrets, policy.

use std::sync::Arc;

use cedar_policy::{Context, Entities, EntityUid};
use serde_json::json;

use crate::journal::leaf::decision::Json;
use crate::pipeline::decide::entities::{Action, context_of, entities_of};
use crate::pipeline::decide::facts::{Candidate, Facts};
use crate::pipeline::decide::policies::{Answer, Policies};
use crate::pipeline::decide::verdict::{
    Decision, Denial, DenialKind, Granted, Outcome, Permit, Stage, Verdict,
};
use crate::pipeline::inspect::finding::Blocked;
use crate::types::clock::{Clock, Timestamp};
use crate::types::ids::ModelName;
use crate::types::peer::ClientCertificate;
use crate::types::principal::Principal;

/// Decides a request. The clock only measures how long each stage took.
pub fn decide(facts: &Facts, policies: &Policies, clock: &dyn Clock) -> Decision {
    let started = clock.now();
    if let Some(granted) = policies.memory.recall(facts) {
        let took = clock.now().since(started);
        return Decision::Permit(Permit::new(granted, Some(took), policies.digest()));
    }
    let mut deciding = Deciding {
        verdicts: Vec::with_capacity(3),
        started,
        clock,
    };
    match deciding.run(facts, policies) {
        Ok(candidates) => {
            let verdicts = deciding.verdicts;
            let granted = Arc::new(Granted { candidates, verdicts });
            policies.memory.keep(facts, &granted);
            Decision::Permit(Permit::new(granted, None, policies.digest()))
        }
        Err(stop) => Decision::Deny(Denial {
            stage: stop.stage,
            kind: stop.kind,
            rule: stop.rule,
            reason: stop.reason,
            client_text: stop.client_text,
            verdicts: deciding.verdicts,
            policy_digest: policies.digest(),
        }),
    }
}

/// Whether a principal may use a model at all: what the list of models shows.
///
/// Asked as for a plain streamed message without tools.
pub fn may_invoke(
    principal: &Principal,
    certificate: Option<&ClientCertificate>,
    model: &ModelName,
    policies: &Policies,
) -> bool {
    let facts = Facts {
        principal: principal.clone(),
        certificate: certificate.cloned(),
        endpoint: crate::dialect::operation::Operation::Messages,
        requested_model: model.clone(),
        candidates: Vec::new(),
        powers: Vec::new(),
        findings: Vec::new(),
        blocked: None,
        stream: true,
        max_tokens: None,
        tools: 0,
    };
    let question = Question::new(&facts, policies);
    question.is_some_and(|question| matches!(question.invoke(model), Answer::Permitted(_)))
}

/// A stage that ends the decision.
struct Stop {
    stage: Stage,
    kind: DenialKind,
    rule: Vec<Box<str>>,
    reason: Box<str>,
    client_text: Box<str>,
}

/// A decision in progress.
struct Deciding<'a> {
    verdicts: Vec<Verdict>,
    started: Timestamp,
    clock: &'a dyn Clock,
}

impl Deciding<'_> {
    fn run(&mut self, facts: &Facts, policies: &Policies) -> Result<Vec<Candidate>, Stop> {
        let Some(question) = Question::new(facts, policies) else {
            let stop = policy_stop(
                Vec::new(),
                "the facts of the request cannot be put to the policies".into(),
            );
            return Err(self.stop(stop, &json!({})));
        };
        self.scope(facts, &question)?;
        self.secrets(facts)?;
        self.policy(facts, &question)
    }

    fn scope(&mut self, facts: &Facts, question: &Question) -> Result<(), Stop> {
        let model = &facts.requested_model;
        let looked_at =
            json!({ "model": model, "endpoint": facts.endpoint, "candidates": facts.candidates.len() });
        let stop = match question.invoke(model) {
            Answer::Permitted(rule) if !facts.candidates.is_empty() => {
                self.pass(Stage::Scope, rule, "the model may be used".into(), &looked_at);
                return Ok(());
            }
            Answer::Permitted(_) => unknown_model(model, "no route leads to this model"),
            Answer::NotPermitted => unknown_model(model, "no policy permits this model to the caller"),
            denied => Stop {
                stage: Stage::Scope,
                ..policy_stop_of(denied, &format!("model {model}"))
            },
        };
        Err(self.stop(stop, &looked_at))
    }

    fn secrets(&mut self, facts: &Facts) -> Result<(), Stop> {
        let looked_at = json!({ "findings": facts.findings, "blocked": facts.blocked });
        let Some(blocked) = &facts.blocked else {
            let reason = if facts.findings.is_empty() {
                "no secrets found"
            } else {
                "secrets found where they are taken out"
            };
            self.pass(Stage::Secrets, Vec::new(), reason.into(), &looked_at);
            return Ok(());
        };
        let advice = match blocked {
            Blocked::Secret { .. } => {
                "Remove it and send the request again; replace the secret if it was real."
            }
            Blocked::TooMuch { .. } => "Send less of it at once.",
        };
        let stop = Stop {
            stage: Stage::Secrets,
            kind: DenialKind::Secret,
            rule: vec![blocked.kind().as_str().into()],
            reason: blocked.to_string().into(),
            client_text: format!("The request was not sent: {blocked}. {advice}").into(),
        };
        Err(self.stop(stop, &looked_at))
    }

    fn policy(&mut self, facts: &Facts, question: &Question) -> Result<Vec<Candidate>, Stop> {
        let mut rules: Vec<Box<str>> = Vec::new();
        let mut left = Vec::with_capacity(facts.candidates.len());
        let mut refused = Vec::new();
        for candidate in &facts.candidates {
            match question.candidate(candidate, &facts.requested_model) {
                Ok(mut permitting) => {
                    rules.append(&mut permitting);
                    left.push(candidate.clone());
                }
                Err(stop) => refused.push((candidate, stop)),
            }
        }
        let removed: Vec<_> = refused
            .iter()
            .map(|(candidate, stop)| json!({ "candidate": candidate, "rule": stop.rule, "reason": stop.reason }))
            .collect();
        let looked_at = json!({ "left": left, "removed": removed, "powers": facts.powers });
        if left.is_empty() {
            let stop = refused.into_iter().next().map(|(_, stop)| stop);
            let stop = stop.unwrap_or_else(|| policy_stop(Vec::new(), "no candidate is left".into()));
            return Err(self.stop(stop, &looked_at));
        }
        for power in &facts.powers {
            match question.ask(Action::Call, question.policies.names.tool(power.as_str())) {
                Answer::Permitted(mut permitting) => rules.append(&mut permitting),
                denied => return Err(self.stop(policy_stop_of(denied, power.as_str()), &looked_at)),
            }
        }
        rules.sort_unstable();
        rules.dedup();
        self.pass(Stage::Policy, rules, "the policies permit it".into(), &looked_at);
        Ok(left)
    }

    fn pass(&mut self, stage: Stage, rule: Vec<Box<str>>, reason: Box<str>, facts: &serde_json::Value) {
        self.verdict(stage, Outcome::Pass, rule, reason, facts);
    }

    fn stop(&mut self, stop: Stop, facts: &serde_json::Value) -> Stop {
        self.verdict(
            stop.stage,
            Outcome::Deny,
            stop.rule.clone(),
            stop.reason.clone(),
            facts,
        );
        stop
    }

    fn verdict(
        &mut self,
        stage: Stage,
        outcome: Outcome,
        rule: Vec<Box<str>>,
        reason: Box<str>,
        facts: &serde_json::Value,
    ) {
        let now = self.clock.now();
        self.verdicts.push(Verdict {
            stage,
            outcome,
            rule,
            reason,
            facts: Json::of(facts).ok(),
            duration: now.since(self.started),
        });
        self.started = now;
    }
}

/// The questions of one request to the policies.
struct Question<'a> {
    policies: &'a Policies,
    user: EntityUid,
    context: Context,
    entities: Entities,
}

impl<'a> Question<'a> {
    fn new(facts: &Facts, policies: &'a Policies) -> Option<Self> {
        let (user, entity) = policies.names.principal(&facts.principal);
        Some(Self {
            user,
            context: context_of(facts)?,
            entities: entities_of(&policies.names, entity, &facts.powers)?,
            policies,
        })
    }

    fn ask(&self, action: Action, resource: EntityUid) -> Answer {
        self.policies
            .ask(&self.user, action, resource, &self.context, &self.entities)
    }

    fn invoke(&self, model: &ModelName) -> Answer {
        self.ask(Action::Invoke, self.policies.names.model(model.as_str()))
    }

    /// The policies that permit a candidate, or why it falls away.
    fn candidate(&self, candidate: &Candidate, requested: &ModelName) -> Result<Vec<Box<str>>, Stop> {
        let Candidate {
            upstream,
            served_model,
        } = candidate;
        let mut rules = Vec::new();
        // The scope stage has asked for the requested name already; the answer would be the same.
        if served_model != requested {
            match self.invoke(served_model) {
                Answer::Permitted(permitting) => rules.extend(permitting),
                denied => return Err(policy_stop_of(denied, &format!("model {served_model}"))),
            }
        }
        match self.ask(Action::Connect, self.policies.names.upstream(upstream.as_str())) {
            Answer::Permitted(permitting) => rules.extend(permitting),
            denied => return Err(policy_stop_of(denied, &format!("upstream {upstream}"))),
        }
        Ok(rules)
    }
}

fn unknown_model(model: &ModelName, reason: &str) -> Stop {
    Stop {
        stage: Stage::Scope,
        kind: DenialKind::UnknownModel,
        rule: Vec::new(),
        reason: reason.into(),
        client_text: format!("model: {model}").into(),
    }
}

/// The stop for an answer that is no permission; `what` was asked for.
fn policy_stop_of(denied: Answer, what: &str) -> Stop {
    match denied {
        Answer::Forbidden(rule) => {
            let text = format!("policy {} forbids {what}", rule.join(", "));
            policy_stop(rule, text)
        }
        Answer::Failed(rule) => {
            let text = format!("policy {} could not be evaluated for {what}", rule.join(", "));
            policy_stop(rule, text)
        }
        Answer::NotPermitted | Answer::Permitted(_) => {
            policy_stop(Vec::new(), format!("no policy permits {what}"))
        }
    }
}

fn policy_stop(rule: Vec<Box<str>>, reason: String) -> Stop {
    let advice = "Ask the administrator of this gateway, or send the request without it.";
    Stop {
        stage: Stage::Policy,
        kind: DenialKind::Policy,
        rule,
        client_text: format!("The request was not sent: {reason}. {advice}").into(),
        reason: reason.into(),
    }
}
