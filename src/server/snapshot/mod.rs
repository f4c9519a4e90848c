//! From a configuration to what requests are governed by.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::file::{self, Config, Upstream};
use crate::config::mistake::{Mistake, Mistakes};
use crate::gateway::intake::Intake;
use crate::gateway::models::DeclaredModel;
use crate::gateway::snapshot::Snapshot;
use crate::gateway::trusted::TrustedProxies;
use crate::pipeline::admit::{self, RateLimit};
use crate::pipeline::forward::engine::Deadlines;
use crate::pipeline::inspect::secrets::Detectors;
use crate::pipeline::record::prices::PriceTable;
use crate::pipeline::route::guard::{self, Guards};
use crate::pipeline::route::upstream;
use crate::provider::lending::cache::Loans;
use crate::server::lines::{self, NoLine};
use crate::server::vendors::{NoVendor, Vendor, Vendors};
use crate::telemetry::logs::{Filter, LogError};
use crate::telemetry::metrics::Metrics;
use crate::types::clock::{Clock as _, SystemClock};
use crate::types::ids::{ModelName, RoleName, UpstreamName};

mod governing;
mod routes;
#[cfg(test)]
mod tests;

/// Why a part of a configuration cannot be put to use.
#[derive(Debug, thiserror::Error)]
enum CompileError {
    /// A folder or file cannot be read.
    #[error("cannot be read: {source}; correct the path at `{key}`, or the file's permissions")]
    Read {
        key: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    /// A file has mistakes.
    #[error("{} mistakes in files", .0.len())]
    Files(Vec<Mistake>),
    /// An upstream cannot be reached as configured.
    #[error("{0}")]
    Line(#[from] NoLine),
    /// The log's filter is none.
    #[error("{0}")]
    Log(#[from] LogError),
    /// An upstream's provider is none, or cannot use its settings.
    #[error("{0}")]
    Vendor(#[from] NoVendor),
}

impl CompileError {
    /// The same with file and line.
    fn into_mistakes(self, config: &Config) -> Vec<Mistake> {
        let message = self.to_string();
        match self {
            Self::Files(mistakes) => mistakes,
            Self::Read { path, .. } => vec![Mistake {
                file: path,
                line: 1,
                message,
            }],
            Self::Log(_) => vec![config.mistake("log.filter", message)],
            Self::Line(no) => vec![config.mistake(&no.key(), message)],
            Self::Vendor(no) => vec![config.mistake(&no.key(), message)],
        }
    }
}

/// What outlives configurations: counters go on, and what is known about an upstream stays known.
#[derive(Clone, Copy)]
pub struct Lasting<'a> {
    /// Counters.
    pub metrics: &'a Metrics,
    /// The state of upstreams.
    pub guards: &'a Guards,
}

/// Compiles a configuration whole, or says everything that stands against it. What is counted over
/// requests (rates, room for bodies) goes on from the snapshot before.
///
/// # Errors
/// Every mistake, with file and line.
pub fn compile(
    config: &Config,
    generation: u64,
    before: Option<&Snapshot>,
    lasting: Lasting<'_>,
) -> Result<Snapshot, Mistakes> {
    let mut errors = Vec::new();
    let vendors = kept(Vendors::collect().map_err(CompileError::from), &mut errors);
    let mut opened: Vec<(&Upstream, Vendor<'_>)> = Vec::new();
    for upstream in &config.upstreams {
        let Some(vendors) = &vendors else { break };
        let vendor = vendors.of(upstream).map_err(CompileError::from);
        opened.extend(kept(vendor, &mut errors).map(|vendor| (upstream, vendor)));
    }
    let loans = before.map_or_else(Loans::default, |before| before.loans.clone());
    let upstreams = opened.iter();
    let upstreams = upstreams.filter_map(|(upstream, vendor)| {
        kept(
            compile_upstream(config, upstream, vendor, lasting, &loans),
            &mut errors,
        )
    });
    let upstreams: Vec<Arc<upstream::Upstream>> = upstreams.map(Arc::new).collect();
    let policies = kept(governing::policies(&config.policy.directory), &mut errors);
    let detectors = kept(governing::detectors(&config.secret_rules), &mut errors);
    let prices = kept(governing::prices(config), &mut errors);
    let lines = kept(
        lines::compile(config, &opened, SystemClock.now()).map_err(CompileError::from),
        &mut errors,
    );
    kept(
        Filter::check(&config.log.filter).map_err(CompileError::from),
        &mut errors,
    );
    let (Some(policies), Some(detectors), Some(prices), Some(lines), true) =
        (policies, detectors, prices, lines, errors.is_empty())
    else {
        let mistakes = errors.into_iter().flat_map(|error| error.into_mistakes(config));
        return Err(Mistakes(mistakes.collect()));
    };
    Ok(Snapshot {
        generation,
        routes: routes::compile(config, &upstreams, lasting.metrics),
        trusted: TrustedProxies::new(config.server.trusted_proxies.clone()),
        lines,
        loans,
        models: config.models.iter().map(declared).collect(),
        policies,
        detectors: Arc::new(detectors),
        prices,
        limits: Arc::new(limits(config, before)),
        intake: Arc::new(intake(config, before)),
        requests_in_flight_max: config.server.requests_in_flight_max,
        connections_max: config.server.connections_max,
        client_idle: config.timeouts.client_idle.0,
        answer_bytes_max: config.server.answer_bytes_max.as_usize(),
        deadlines: Deadlines {
            connect: config.timeouts.connect.0,
            first_byte: config.timeouts.first_byte.0,
            write: config.timeouts.idle.0,
        },
        idle: config.timeouts.idle.0,
        ping: config.timeouts.ping.0,
        total: config.timeouts.total.0,
        client_write: config.timeouts.client_write.0,
        drain_delay: config.timeouts.drain_delay.map(|delay| delay.0),
        drain: config.timeouts.drain.0,
    })
}

/// What a configuration says that answers cost.
///
/// # Errors
/// Every mistake in the price table.
pub fn prices(config: &Config) -> Result<PriceTable, Mistakes> {
    governing::prices(config).map_err(|error| Mistakes(error.into_mistakes(config)))
}

/// What looks for secrets, for those who have no use for a whole snapshot.
///
/// # Errors
/// What is wrong with the rules.
pub fn detectors(config: &Config) -> Result<Detectors, Mistakes> {
    governing::detectors(&config.secret_rules).map_err(|error| Mistakes(error.into_mistakes(config)))
}

fn kept<T>(made: Result<T, CompileError>, errors: &mut Vec<CompileError>) -> Option<T> {
    made.map_err(|error| errors.push(error)).ok()
}

/// The rate limit; sessions keep what they have used.
fn limits(config: &Config, before: Option<&Snapshot>) -> RateLimit {
    let factors = config.limits.role_multiplier.iter();
    let settings = admit::Settings {
        requests_per_minute: config.limits.requests_per_minute,
        role_multiplier: factors
            .map(|(role, factor)| (RoleName::from(role.as_str()), *factor))
            .collect(),
    };
    match before {
        Some(before) => before.limits.with_settings(&settings),
        None => RateLimit::new(&settings),
    }
}

/// The bounds of bodies; those that are held go on taking room.
fn intake(config: &Config, before: Option<&Snapshot>) -> Intake {
    let body_bytes_max = config.server.body_bytes_max.as_usize();
    let deadline = config.timeouts.body.0;
    match before {
        Some(before) => before.intake.with_bounds(body_bytes_max, deadline),
        None => Intake::new(
            body_bytes_max,
            config.server.buffered_bytes_max.as_usize(),
            deadline,
        ),
    }
}

fn declared(model: &file::Model) -> DeclaredModel {
    let id = model.id.get_ref().as_str();
    DeclaredModel {
        id: ModelName::from(id),
        display_name: model.display_name.clone().unwrap_or_else(|| id.to_owned()),
        created_at: model
            .created_at
            .clone()
            .unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned()),
        description: model.description.clone(),
        max_input_tokens: model.max_input_tokens,
        max_tokens: model.max_tokens,
        supports_1m: model.supports_1m,
        anthropic_family_tier: model.anthropic_family_tier.clone(),
        is_family_default: model.is_family_default,
    }
}

fn compile_upstream(
    config: &Config,
    upstream: &Upstream,
    vendor: &Vendor<'_>,
    lasting: Lasting<'_>,
    loans: &Loans,
) -> Result<upstream::Upstream, CompileError> {
    let name = upstream.name.get_ref().as_str();
    let declaration = vendor.declaration;
    Ok(upstream::Upstream {
        name: UpstreamName::from(name),
        label: declaration.label.clone(),
        destination: vendor.endpoint.clone(),
        dialect: declaration.dialect,
        provider: vendor.open(config, upstream, loans)?,
        signed_thinking: declaration.signed_thinking,
        chat: declaration.chat.clone().with(&upstream.chat),
        trace_context: upstream.trace_context.unwrap_or(false),
        guard: lasting
            .guards
            .of(&UpstreamName::from(name), bearable(config, upstream)),
        meters: lasting.metrics.upstream(name),
    })
}

/// Puts in force what upstreams can bear. Their state outlives configurations, so this is not done while one is
/// compiled that may yet be refused.
pub fn bear(config: &Config, guards: &Guards) {
    for upstream in &config.upstreams {
        let name = UpstreamName::from(upstream.name.get_ref().as_str());
        guards.set(&name, bearable(config, upstream));
    }
}

/// What an upstream can bear.
fn bearable(config: &Config, upstream: &Upstream) -> guard::Settings {
    let shared = &config.resilience;
    let breaker = shared.breaker.overridden(&upstream.breaker);
    let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    guard::Settings {
        gate: guard::gate::Settings {
            max_concurrent: count(upstream.max_concurrent.unwrap_or(shared.max_concurrent)),
            queue: count(upstream.queue.unwrap_or(shared.queue)),
        },
        queue_timeout: upstream.queue_timeout.unwrap_or(shared.queue_timeout).0,
        breaker: guard::breaker::Settings {
            failures: breaker.failures,
            failure_percent: breaker.failure_percent,
            window: breaker.window.0,
            open_for: breaker.open_for.0,
            open_for_max: breaker.open_for_max.0,
        },
        retries: guard::budget::Settings {
            percent: shared.retry_percent,
            per_second: shared.retries_per_second,
        },
        rest_max: shared.rest_max.0,
    }
}
