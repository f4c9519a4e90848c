//! From a request to ordered candidates.
//!
//! Input: who asks for what, and when. Output: candidates in the order in which they are tried. Never: a
//! look at the network, a decision about who may do what: a route that takes a request permits nothing.

pub mod balance;
pub mod conditions;
pub mod guard;
pub mod session;
pub mod upstream;

use std::sync::Arc;

use crate::dialect::Dialect;
use crate::pipeline::inspect::index::Index;
use crate::pipeline::route::balance::{Balance, Share};
use crate::pipeline::route::conditions::{Conditions, Miss};
use crate::pipeline::route::session::Session;
use crate::pipeline::route::upstream::Upstream;
use crate::telemetry::metrics::meters::RouteMeters;
use crate::types::clock::Timestamp;
use crate::types::ids::ModelName;
use crate::types::pattern::ModelPattern;
use crate::types::principal::Principal;

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

impl Candidate {
    /// What it speaks: one upstream may speak otherwise for other models.
    pub fn dialect(&self) -> Dialect {
        let upstream = &self.upstream;
        upstream.provider.dialect(upstream.dialect, &self.served_model)
    }
}

/// One upstream of a route.
#[derive(Debug)]
pub struct Member {
    /// The upstream.
    pub upstream: Arc<Upstream>,
    /// Its share compared with the others', where the route balances.
    pub weight: u32,
}

/// One route, compiled.
#[derive(Debug)]
pub struct Route {
    /// Which requested models it takes.
    pub pattern: ModelPattern,
    /// What else it demands.
    pub conditions: Conditions,
    /// Its upstreams as written.
    pub members: Vec<Member>,
    /// How they are put in order for a request.
    pub balance: Balance,
    /// The name to ask for instead of the requested one.
    pub upstream_model: Option<ModelName>,
    /// What is counted about it.
    pub meters: Arc<RouteMeters>,
}

/// What routes look at.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// What for.
    pub index: &'a Index,
    /// When.
    pub at: Timestamp,
    /// The session as the client names it, if it does.
    pub client_session: Option<&'a str>,
}

/// A route that does not take a request.
#[derive(Debug)]
pub struct Passed {
    /// Its name.
    pub route: Box<str>,
    /// Why not.
    pub miss: Miss,
}

/// How a request comes to its route.
#[derive(Debug, Default)]
pub struct Explained {
    /// The routes before it, in their order.
    pub passed: Vec<Passed>,
    /// Its name, and the candidates in order; none where no route takes it.
    pub taken: Option<(Box<str>, Vec<Candidate>)>,
}

/// All routes; the first that takes a request is used.
#[derive(Debug, Default)]
pub struct Routes(Vec<Route>);

impl Routes {
    /// Routes in this order.
    pub const fn new(routes: Vec<Route>) -> Self {
        Self(routes)
    }

    /// The candidates for a request, in order; none where no route takes it.
    pub fn candidates(&self, asked: &Asked<'_>) -> Vec<Candidate> {
        let route = self.0.iter().find(|route| route.miss(asked).is_none());
        route.map_or_else(Vec::new, |route| route.candidates(asked))
    }

    /// The same as [`Self::candidates`], with reasons.
    pub fn explain(&self, asked: &Asked<'_>) -> Explained {
        let mut explained = Explained::default();
        for route in &self.0 {
            let name = route.meters.name().into();
            match route.miss(asked) {
                Some(miss) => explained.passed.push(Passed { route: name, miss }),
                None => {
                    explained.taken = Some((name, route.candidates(asked)));
                    break;
                }
            }
        }
        explained
    }

    /// Whether some route takes some request of this caller for a model.
    pub fn could_serve(&self, principal: &Principal, model: &ModelName) -> bool {
        let name = bare(model);
        let takes =
            |route: &Route| route.pattern.matches(name) && route.conditions.caller_miss(principal).is_none();
        self.0.iter().any(takes)
    }
}

impl Route {
    /// Why it does not take a request; `None` where it does.
    fn miss(&self, asked: &Asked<'_>) -> Option<Miss> {
        if !self.pattern.matches(bare(asked.index.model())) {
            return Some(Miss::Model);
        }
        let of_caller = self.conditions.caller_miss(asked.principal);
        of_caller.or_else(|| self.conditions.request_miss(asked.index, asked.at))
    }

    fn candidates(&self, asked: &Asked<'_>) -> Vec<Candidate> {
        let served = self.upstream_model.clone();
        let served = served.unwrap_or_else(|| ModelName::from(bare(asked.index.model())));
        let candidate = |position: usize| {
            self.members.get(position).map(|member| Candidate {
                upstream: Arc::clone(&member.upstream),
                served_model: served.clone(),
                meters: Arc::clone(&self.meters),
                position,
            })
        };
        self.order(asked).into_iter().filter_map(candidate).collect()
    }

    /// The places of its upstreams in the order for a request.
    fn order(&self, asked: &Asked<'_>) -> Vec<usize> {
        let session = Session {
            tenant: asked.principal.tenant,
            user: asked.principal.user,
            own: &asked.principal.session,
            client: asked.client_session,
        };
        let shares = self.members.iter().map(|member| Share {
            name: &member.upstream.name,
            weight: member.weight,
            load: match self.balance {
                Balance::LeastLoaded => member.upstream.guard.load(),
                Balance::Ordered | Balance::Weighted => 0,
            },
        });
        self.balance.order(&session, &shares.collect::<Vec<_>>())
    }
}

/// A model's name without what asks for a long context.
fn bare(requested: &ModelName) -> &str {
    let name = requested.as_str();
    let stripped = LONG_CONTEXT_SUFFIXES
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix));
    stripped.unwrap_or(name)
}
