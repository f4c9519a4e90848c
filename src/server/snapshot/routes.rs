//! Routes as configured, with their upstreams.

use std::sync::Arc;

use crate::config::quantity::ByteSize;
use crate::config::route;
use crate::pipeline::route::balance::Balance;
use crate::pipeline::route::conditions::Conditions;
use crate::pipeline::route::upstream::Upstream;
use crate::pipeline::route::{Member, Route, Routes};
use crate::telemetry::metrics::Metrics;
use crate::types::ids::ModelName;
use crate::types::pattern::ModelPattern;

/// The routes in their order. Upstreams are known by name: the configuration has been checked.
pub(super) fn compile(routes: &[route::Route], upstreams: &[Arc<Upstream>], metrics: &Metrics) -> Routes {
    let compiled = routes.iter().map(|route| as_route(route, upstreams, metrics));
    Routes::new(compiled.collect())
}

fn as_route(route: &route::Route, upstreams: &[Arc<Upstream>], metrics: &Metrics) -> Route {
    let member = |name: &toml::Spanned<String>| {
        let mut upstreams = upstreams.iter();
        let upstream = upstreams.find(|upstream| upstream.name.as_str() == name.get_ref())?;
        Some(Member {
            upstream: Arc::clone(upstream),
            weight: route.weight(name.get_ref()),
        })
    };
    let members: Vec<Member> = route.upstreams.iter().filter_map(member).collect();
    let names: Vec<&str> = members
        .iter()
        .map(|member| member.upstream.name.as_str())
        .collect();
    Route {
        pattern: ModelPattern::new(route.model_pattern.get_ref()),
        conditions: conditions(route),
        meters: Arc::new(metrics.route(route.name().get_ref(), &names)),
        members,
        balance: match route.balance {
            None | Some(route::Balance::Ordered) => Balance::Ordered,
            Some(route::Balance::Weighted) => Balance::Weighted,
            Some(route::Balance::LeastLoaded) => Balance::LeastLoaded,
        },
        upstream_model: route.upstream_model.as_deref().map(ModelName::from),
    }
}

fn conditions(route: &route::Route) -> Conditions {
    Conditions {
        tenants: names(route.tenants.as_deref()),
        teams: names(route.teams.as_deref()),
        roles: names(route.roles.as_deref()),
        features: route.features.clone().unwrap_or_default(),
        text_bytes_min: route.text_bytes_min.map_or(0, ByteSize::as_usize),
        hours: route.hours,
        weekdays: route.weekdays.clone().unwrap_or_default(),
    }
}

fn names<'a, T: From<&'a str>>(names: Option<&'a [String]>) -> Vec<T> {
    let names = names.unwrap_or_default().iter();
    names.map(|name| T::from(name.as_str())).collect()
}
