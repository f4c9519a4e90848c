//! From a configuration to what requests are governed by.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::file::{Chat, Config, MaxTokensField, ReasoningIn, SystemMessages, Upstream};
use crate::config::secret_source::SecretMissing;
use crate::dialect::openai::profile::{self, ChatProfile};
use crate::gateway::intake::Intake;
use crate::gateway::models::DeclaredModel;
use crate::gateway::snapshot::Snapshot;
use crate::gateway::trusted::TrustedProxies;
use crate::pipeline::admit::{self, RateLimit};
use crate::pipeline::decide::policies::{Policies, PolicyMistake};
use crate::pipeline::inspect::secrets::Detectors;
use crate::pipeline::record::prices::PriceTable;
use crate::pipeline::route::guard::{self, Guards};
use crate::pipeline::route::pattern::ModelPattern;
use crate::pipeline::route::provider::{self, LABELS};
use crate::pipeline::route::upstream;
use crate::pipeline::route::{Route, Routes};
use crate::server::lines::{self, NoLine};
use crate::telemetry::metrics::Metrics;
use crate::types::clock::{Clock as _, SystemClock};
use crate::types::ids::{ModelName, RoleName, UpstreamName};

/// The configuration cannot be put to use.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// A folder or file cannot be read.
    #[error("{path}: cannot be read: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Policies have mistakes.
    #[error("{}", join(.0))]
    Policies(Vec<PolicyMistake>),
    /// The price table has mistakes.
    #[error("{0}")]
    Prices(String),
    /// The secret rules do not compile.
    #[error("{0}")]
    Detectors(String),
    /// A secret is missing.
    #[error("secret `{name}` of upstream `{upstream}`: {source}")]
    Secret {
        /// Whose.
        upstream: String,
        /// Which.
        name: String,
        /// Why.
        source: SecretMissing,
    },
    /// An upstream cannot be reached as configured.
    #[error("{0}")]
    Line(#[from] NoLine),
    /// No such provider.
    #[error("upstream `{upstream}`: provider `{label}` is not known: use one of {}", LABELS.join(", "))]
    Provider {
        /// Whose.
        upstream: String,
        /// Which.
        label: String,
    },
}

fn join(mistakes: &[PolicyMistake]) -> String {
    mistakes
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

/// What outlives configurations: counters go on, and what is known about an upstream stays known.
#[derive(Clone, Copy)]
pub struct Lasting<'a> {
    /// Counters.
    pub metrics: &'a Metrics,
    /// The state of upstreams.
    pub guards: &'a Guards,
}

/// Compiles a configuration whole, or says why it cannot be.
///
/// # Errors
/// [`CompileError`]
pub fn compile(config: &Config, generation: u64, lasting: Lasting<'_>) -> Result<Snapshot, CompileError> {
    let mut upstreams = Vec::new();
    for upstream in &config.upstreams {
        upstreams.push(Arc::new(compile_upstream(config, upstream, lasting)?));
    }
    let routes = config.routes.iter().map(|route| {
        let named = |name: &toml::Spanned<String>| {
            upstreams
                .iter()
                .find(|upstream| upstream.name.as_str() == name.get_ref())
                .map(Arc::clone)
        };
        let pattern = route.model_pattern.get_ref();
        let upstreams: Vec<Arc<upstream::Upstream>> = route.upstreams.iter().filter_map(named).collect();
        let names: Vec<&str> = upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
        Route {
            pattern: ModelPattern::new(pattern),
            meters: Arc::new(lasting.metrics.route(pattern, &names)),
            upstreams,
            upstream_model: route.upstream_model.as_deref().map(ModelName::from),
        }
    });
    let factors = config.limits.role_multiplier.iter();
    let limits = admit::Settings {
        requests_per_minute: config.limits.requests_per_minute,
        role_multiplier: factors
            .map(|(role, factor)| (RoleName::from(role.as_str()), *factor))
            .collect(),
    };
    Ok(Snapshot {
        generation,
        routes: Routes::new(routes.collect()),
        trusted: TrustedProxies::new(config.server.trusted_proxies.clone()),
        lines: lines::compile(config, SystemClock.now())?,
        models: config.models.iter().map(declared).collect(),
        policies: policies(&config.policy.directory)?,
        detectors: Arc::new(
            Detectors::shipped().map_err(|error| CompileError::Detectors(error.to_string()))?,
        ),
        prices: prices(&config.prices.file)?,
        limits: Arc::new(RateLimit::new(&limits)),
        intake: Arc::new(Intake::new(
            config.server.body_bytes_max.as_usize(),
            config.server.buffered_bytes_max.as_usize(),
            config.timeouts.body.0,
        )),
        requests_in_flight_max: config.server.requests_in_flight_max,
        connections_max: config.server.connections_max,
        answer_bytes_max: config.server.answer_bytes_max.as_usize(),
        idle: config.timeouts.idle.0,
        ping: config.timeouts.ping.0,
        total: config.timeouts.total.0,
        client_write: config.timeouts.client_write.0,
    })
}

fn declared(model: &crate::config::file::Model) -> DeclaredModel {
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
    lasting: Lasting<'_>,
) -> Result<upstream::Upstream, CompileError> {
    let name = upstream.name.get_ref().as_str();
    let label = upstream.provider.get_ref().as_str();
    let provider = provider::provider(label).ok_or_else(|| CompileError::Provider {
        upstream: name.to_owned(),
        label: label.to_owned(),
    })?;
    let credential = match &upstream.api_key_secret {
        None => None,
        Some(secret) => {
            let source = config.secrets.get(secret.get_ref());
            let read = source.map(|source| source.read(&config.folder)).transpose();
            read.map_err(|source| CompileError::Secret {
                upstream: name.to_owned(),
                name: secret.get_ref().clone(),
                source,
            })?
        }
    };
    Ok(upstream::Upstream {
        name: UpstreamName::from(name),
        provider: label.into(),
        destination: upstream.endpoint.clone(),
        dialect: provider.dialect,
        scheme: provider.scheme,
        credential,
        chat: overridden(provider.chat, &upstream.chat),
        trace_context: upstream.trace_context.unwrap_or(false),
        guard: lasting
            .guards
            .of(&UpstreamName::from(name), bearable(config, upstream)),
        meters: lasting.metrics.upstream(name),
    })
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

/// The provider's usual chat dialect with what the operator says differs.
fn overridden(usual: ChatProfile, differs: &Chat) -> ChatProfile {
    let max_tokens_field = differs.max_tokens_field.map(|field| match field {
        MaxTokensField::MaxTokens => profile::MaxTokensField::MaxTokens,
        MaxTokensField::MaxCompletionTokens => profile::MaxTokensField::MaxCompletionTokens,
    });
    let reasoning_in = differs.reasoning_in.map(|place| match place {
        ReasoningIn::ReasoningContent => profile::ReasoningIn::ReasoningContent,
        ReasoningIn::Reasoning => profile::ReasoningIn::Reasoning,
        ReasoningIn::ThinkTags => profile::ReasoningIn::ThinkTags,
    });
    let system_messages = differs.system_messages.map(|place| match place {
        SystemMessages::Anywhere => profile::SystemMessages::Anywhere,
        SystemMessages::SingleLeading => profile::SystemMessages::SingleLeading,
    });
    ChatProfile {
        max_tokens_field: max_tokens_field.unwrap_or(usual.max_tokens_field),
        reasoning_in: reasoning_in.or(usual.reasoning_in),
        reasoning_out: differs.reasoning_out.clone().or(usual.reasoning_out),
        system_messages: system_messages.unwrap_or(usual.system_messages),
        drop_params: differs.drop_params.clone().unwrap_or(usual.drop_params),
        effort: differs.effort.unwrap_or(usual.effort),
        max_tool_id_bytes: differs.max_tool_id_bytes.unwrap_or(usual.max_tool_id_bytes),
        include_usage: differs.include_usage.unwrap_or(usual.include_usage),
    }
}

/// The policies of a folder, or the shipped ones.
fn policies(folder: &Path) -> Result<Policies, CompileError> {
    if folder.as_os_str().is_empty() {
        return Policies::shipped().map_err(CompileError::Policies);
    }
    let unreadable = |source| CompileError::Read {
        path: folder.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "cedar") {
            // The digest of the policies must not depend on where their folder lies.
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            files.push((name, read(&path)?));
        }
    }
    files.sort();
    Policies::load(&files).map_err(CompileError::Policies)
}

fn prices(file: &Path) -> Result<PriceTable, CompileError> {
    if file.as_os_str().is_empty() {
        return PriceTable::shipped().map_err(|error| CompileError::Prices(error.to_string()));
    }
    let text = read(file)?;
    PriceTable::parse(&text).map_err(|error| CompileError::Prices(format!("{}: {error}", file.display())))
}

fn read(path: &Path) -> Result<String, CompileError> {
    std::fs::read_to_string(path).map_err(|source| CompileError::Read {
        path: path.to_owned(),
        source,
    })
}
