//! From a requested model to ordered candidates.
//!
//! Input: the model name that the client asked for. Output: candidates in the order in which they
//! are tried. Never: a look at the network, a decision about who may do what.

pub mod guard;
pub mod pattern;
pub mod provider;
pub mod upstream;

use std::sync::Arc;

use crate::pipeline::route::pattern::ModelPattern;
use crate::pipeline::route::upstream::Upstream;
use crate::telemetry::metrics::meters::RouteMeters;
use crate::types::ids::ModelName;

/// The suffix by which some clients ask for a long context; it is no part of the model's name.
const LONG_CONTEXT_SUFFIXES: [&str; 2] = ["[1m]", "[1M]"];

/// One upstream and the model name that it would be asked for.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Where to.
    pub upstream: Arc<Upstream>,
    /// The name to ask for.
    pub served_model: ModelName,
    /// The route that it comes from, as metrics count it.
    pub meters: Arc<RouteMeters>,
    /// Its place among the upstreams of that route.
    pub position: usize,
}

/// One route, compiled.
#[derive(Debug)]
pub struct Route {
    /// Which requested models it takes.
    pub pattern: ModelPattern,
    /// Upstreams in order.
    pub upstreams: Vec<Arc<Upstream>>,
    /// The name to ask for instead of the requested one.
    pub upstream_model: Option<ModelName>,
    /// What is counted about it.
    pub meters: Arc<RouteMeters>,
}

/// All routes; the first whose pattern matches is used.
#[derive(Debug, Default)]
pub struct Routes(Vec<Route>);

impl Routes {
    /// Routes in this order.
    pub const fn new(routes: Vec<Route>) -> Self {
        Self(routes)
    }

    /// The candidates for a model, in order; none where no route takes it.
    pub fn candidates(&self, requested: &ModelName) -> Vec<Candidate> {
        let name = LONG_CONTEXT_SUFFIXES
            .iter()
            .find_map(|suffix| requested.as_str().strip_suffix(suffix))
            .unwrap_or(requested.as_str());
        let Some(route) = self.0.iter().find(|route| route.pattern.matches(name)) else {
            return Vec::new();
        };
        let served = route
            .upstream_model
            .clone()
            .unwrap_or_else(|| ModelName::from(name));
        let candidate = |(position, upstream): (usize, &Arc<Upstream>)| Candidate {
            upstream: Arc::clone(upstream),
            served_model: served.clone(),
            meters: Arc::clone(&route.meters),
            position,
        };
        route.upstreams.iter().enumerate().map(candidate).collect()
    }
}
