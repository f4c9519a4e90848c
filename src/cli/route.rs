//! `tollgate route`

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cli::breakers::{self, Breakers};
use crate::cli::output::Output;
use crate::cli::root::Failed;
use crate::cli::serve::runtime;
use crate::config::Config;
use crate::dialect::operation::Operation;
use crate::dialect::splice;
use crate::gateway::trial::{self, Caller, Choice, Trial};
use crate::pipeline::decide::verdict::Verdict;
use crate::pipeline::inspect::finding::SecretKind;
use crate::pipeline::inspect::index::index;
use crate::pipeline::route::guard::Guards;
use crate::server::assemble;
use crate::server::snapshot::{self, Lasting};
use crate::store::identity::{TenantRow, UserRow};
use crate::store::{Store, StoreError};
use crate::telemetry::metrics::Metrics;
use crate::tls::authorities::Authorities;
use crate::tls::identity::of_certificate;
use crate::types::clock::{Clock, SystemClock, Timestamp};
use crate::types::day::moment;
use crate::types::ids::{KeyId, ModelName, SessionId, TenantName, UserName};
use crate::types::peer::ClientCertificate;
use crate::types::principal::{Credential, Principal};

/// What may be asked about routes.
#[derive(Debug, Subcommand)]
pub enum Route {
    /// Shows what a request would come to, without sending it: the route that takes it and why those before it
    /// do not, the upstreams in order, what is rewritten for each, and what the policies say.
    ///
    /// It goes by the configuration file and the identities in the store, as a request that comes now would. What the
    /// breakers show is asked of the node that runs, if one does.
    Test(Test),
}

/// A request to be tried.
#[derive(Debug, Args)]
pub struct Test {
    /// The model to ask for; where it is left out, the one that the body asks for.
    #[arg(long, value_name = "MODEL", required_unless_present = "body")]
    model: Option<String>,
    /// The user who asks.
    #[arg(long = "as", value_name = "USER")]
    user: String,
    /// The user's tenant; may be left out while there is only one.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// A file with a request's body; without it, a short question.
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// What is asked: messages, count_tokens, chat_completions, embeddings or responses.
    #[arg(long, value_name = "OPERATION", default_value = "messages", value_parser = operation)]
    endpoint: Operation,
    /// The session as its client names it (`x-claude-code-session-id`): a balanced route keeps it at one upstream.
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// When it would come, as in 2026-11-22T18:30:00Z; now, where it is left out.
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Timestamp>,
    /// The certificate that the client would show, as a PEM file.
    #[arg(long, value_name = "FILE")]
    client_certificate: Option<PathBuf>,
}

/// A clock that stands still.
#[derive(Debug)]
struct At(Timestamp);

impl Clock for At {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// Carries the verb out.
pub fn route(route: &Route, config: &Config, output: &mut Output) -> Result<(), Failed> {
    let Route::Test(test) = route;
    // It counts and guards nothing.
    let metrics = Metrics::new().map_err(Failed::new)?;
    let guards = Guards::new(Arc::new(SystemClock));
    let lasting = Lasting {
        metrics: &metrics,
        guards: &guards,
    };
    let snapshot = snapshot::compile(config, 0, None, lasting).map_err(Failed::usage)?;
    let body = test.body()?;
    let principal = runtime()?.block_on(test.principal(config))?;
    let certificate = test.certificate()?;
    let caller = Caller {
        principal: &principal,
        certificate: certificate.as_ref(),
        client_session: test.session.as_deref(),
    };
    let clock = At(test.at.unwrap_or_else(|| SystemClock.now()));
    let trial = trial::attempt(&snapshot, caller, &body, test.endpoint, &clock)
        .map_err(|bad| Failed::usage(bad.client_text()))?;
    let breakers = breakers::shown(config.metrics.listen);
    if output.is_json() {
        return output.json(&as_json(&trial, &breakers)).map_err(Failed::new);
    }
    lines(&trial, &breakers)
        .iter()
        .try_for_each(|line| output.line(line))
        .map_err(Failed::new)
}

impl Test {
    fn body(&self) -> Result<Bytes, Failed> {
        let Some(file) = &self.body else {
            let model = self.model.as_deref().unwrap_or_default();
            return Ok(Bytes::from(short(model, self.endpoint).to_string()));
        };
        let read = std::fs::read(file);
        let body = Bytes::from(read.map_err(|error| Failed::usage(format!("{}: {error}", file.display())))?);
        let Some(model) = &self.model else {
            return Ok(body);
        };
        let index = index(&body, self.endpoint).map_err(|bad| Failed::usage(bad.client_text()))?;
        let splice = index.model_splice(&ModelName::from(model.as_str()));
        splice::apply(&body, &[splice]).map_err(Failed::new)
    }

    fn certificate(&self) -> Result<Option<ClientCertificate>, Failed> {
        let Some(file) = &self.client_certificate else {
            return Ok(None);
        };
        let certificates = Authorities::from_file(file).map_err(|bad| Failed::usage(bad.to_string()))?;
        // The client's own comes first in a chain.
        let own = certificates.der().first().and_then(|der| of_certificate(der));
        let own =
            own.ok_or_else(|| Failed::usage(format!("{}: no certificate that can be read", file.display())))?;
        Ok(Some(own))
    }

    async fn principal(&self, config: &Config) -> Result<Principal, Failed> {
        let store = assemble::open_store(config).await.map_err(Failed::new)?;
        let found = self.find(&store).await;
        store.close().await;
        let (tenant, user) = found?;
        if tenant.disabled_at.is_some() || user.disabled_at.is_some() {
            let message = format!("{} is disabled: every request is refused with 401", user.name);
            return Err(Failed { code: 3, message });
        }
        Ok(Principal {
            tenant: tenant.id,
            tenant_name: tenant.name,
            user: user.id,
            user_name: user.name,
            roles: user.roles,
            teams: user.teams,
            credential: Credential::ApiKey(KeyId::from_uuid(Uuid::nil())),
            session: SessionId::from("test"),
        })
    }

    async fn find(&self, store: &Store) -> Result<(TenantRow, UserRow), Failed> {
        let broken = |error: StoreError| Failed::new(error);
        let missing = |message: String| Failed { code: 3, message };
        let tenant = match &self.tenant {
            Some(name) => store
                .tenant_named(&TenantName::from(name.as_str()))
                .await
                .map_err(broken)?,
            None => {
                let mut tenants = store.first_two_tenants().await.map_err(broken)?;
                if tenants.len() > 1 {
                    return Err(Failed::usage("there are several tenants; name one with --tenant"));
                }
                tenants.pop()
            }
        };
        let tenant = tenant.ok_or_else(|| missing("there is no such tenant".to_owned()))?;
        let name = UserName::from(self.user.as_str());
        let user = store.user_named(tenant.id, &name).await.map_err(broken)?;
        let user =
            user.ok_or_else(|| missing(format!("there is no user {name} in tenant {}", tenant.name)))?;
        Ok((tenant, user))
    }
}

/// The shortest request that an operation takes.
fn short(model: &str, operation: Operation) -> Value {
    let messages = json!([{"role": "user", "content": "hello"}]);
    match operation {
        Operation::Messages => json!({"model": model, "max_tokens": 16, "messages": messages}),
        Operation::CountTokens | Operation::ChatCompletions => json!({"model": model, "messages": messages}),
        Operation::Embeddings | Operation::Responses => json!({"model": model, "input": "hello"}),
    }
}

fn time(text: &str) -> Result<Timestamp, String> {
    moment(text).ok_or_else(|| "write it in UTC, as in 2026-11-22T18:30:00Z".to_owned())
}

fn operation(name: &str) -> Result<Operation, String> {
    let found = Operation::ALL
        .into_iter()
        .find(|operation| operation.as_str() == name);
    found.ok_or_else(|| {
        let names = Operation::ALL.map(Operation::as_str);
        format!("use one of {}", names.join(", "))
    })
}

fn lines(trial: &Trial, breakers: &Breakers) -> Vec<String> {
    let mut lines = vec![format!("model     {}", trial.model)];
    let passed = trial.passed.iter();
    lines.extend(passed.map(|passed| format!("not       {}: {}", passed.route, passed.miss)));
    lines.push(match &trial.route {
        Some(route) => format!("route     {route}"),
        None => "route     none takes it".to_owned(),
    });
    for (place, choice) in (1..).zip(&trial.choices) {
        let candidate = &choice.candidate;
        let judged = if choice.permitted { "" } else { "  (not permitted)" };
        lines.push(format!(
            "{place:>6}    {} as {}: {}; breaker {}{judged}",
            candidate.upstream.name,
            candidate.served_model,
            rewritten(choice),
            breakers.of(&candidate.upstream.name)
        ));
    }
    if !trial.findings.is_empty() {
        let kinds: Vec<&str> = trial.findings.iter().map(SecretKind::as_str).collect();
        lines.push(format!("secrets   {}", kinds.join(", ")));
    }
    lines.extend(trial.verdicts.iter().map(judgement));
    lines.push(match &trial.refused {
        Some(text) => format!("refused   {text}"),
        None => "permitted".to_owned(),
    });
    lines
}

fn rewritten(choice: &Choice) -> String {
    let rewrite = match &choice.rewrite {
        Ok(rewrite) => rewrite,
        Err(why) => return format!("cannot be asked this: {why}"),
    };
    let dropped: Vec<&str> = rewrite
        .dropped
        .iter()
        .map(|dropped| dropped.path.as_str())
        .collect();
    match (rewrite.translated, rewrite.edits, dropped.is_empty()) {
        (true, _, true) => "translated".to_owned(),
        (true, _, false) => format!("translated without {}", dropped.join(", ")),
        (false, 0, _) => "byte for byte".to_owned(),
        (false, edits, _) => format!("byte for byte but for {edits} edits"),
    }
}

fn judgement(verdict: &Verdict) -> String {
    let rules = match verdict.rule.len() {
        0 => String::new(),
        _ => format!(" [{}]", verdict.rule.join(", ")),
    };
    format!("{:<10}{}{rules}", verdict.stage.as_str(), verdict.reason)
}

fn as_json(trial: &Trial, breakers: &Breakers) -> Value {
    let passed = trial.passed.iter();
    let passed: Vec<Value> = passed
        .map(|passed| json!({"route": passed.route, "reason": passed.miss.to_string()}))
        .collect();
    let candidates: Vec<Value> = trial
        .choices
        .iter()
        .map(|choice| choice_json(choice, breakers))
        .collect();
    let verdicts = trial.verdicts.iter();
    let decision: Vec<Value> = verdicts
        .map(|verdict| {
            json!({"stage": verdict.stage, "outcome": verdict.outcome, "rule": verdict.rule, "reason": verdict.reason})
        })
        .collect();
    let findings: Vec<&str> = trial.findings.iter().map(SecretKind::as_str).collect();
    json!({
        "model": trial.model,
        "passed": passed,
        "route": trial.route,
        "candidates": candidates,
        "findings": findings,
        "decision": decision,
        "permitted": trial.refused.is_none(),
        "refused": trial.refused,
    })
}

fn choice_json(choice: &Choice, breakers: &Breakers) -> Value {
    let upstream = &choice.candidate.upstream;
    let mut value = json!({
        "upstream": upstream.name,
        "provider": upstream.label,
        "dialect": choice.candidate.dialect().as_str(),
        "served_model": choice.candidate.served_model,
        "permitted": choice.permitted,
        "breaker": breakers.of(&upstream.name),
    });
    let more = match &choice.rewrite {
        Ok(rewrite) => {
            let dropped: Vec<Value> = rewrite
                .dropped
                .iter()
                .map(|dropped| json!({"path": dropped.path, "kind": dropped.kind.as_str(), "reason": dropped.reason}))
                .collect();
            json!({"translated": rewrite.translated, "edits": rewrite.edits, "dropped": dropped})
        }
        Err(why) => json!({"impossible": why}),
    };
    if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
        value.extend(more);
    }
    value
}
