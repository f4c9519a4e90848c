//! Routes as configured, with their upstreams.

use std::sync::Arc;

use crate::config::Config;
use crate::config::file::Tenant;
use crate::config::quantity::ByteSize;
use crate::config::route;
use crate::pipeline::route::balance::Balance;
use crate::pipeline::route::conditions::Conditions;
use crate::pipeline::route::upstream::Upstream;
use crate::pipeline::route::{Member, Route, Routes};
use crate::telemetry::metrics::Metrics;
use crate::types::ids::{ModelName, TenantName};
use crate::types::pattern::ModelPattern;

/// The routes in their order. Upstreams are known by name: the configuration has been checked.
pub(super) fn compile(config: &Config, upstreams: &[Arc<Upstream>], metrics: &Metrics) -> Routes {
    let as_route = |route| as_route(route, &config.tenants, upstreams, metrics);
    let compiled = config.routes.iter().map(as_route);
    Routes::new(compiled.collect())
}

fn as_route(
    route: &route::Route,
    tenants: &[Tenant],
    upstreams: &[Arc<Upstream>],
    metrics: &Metrics,
) -> Route {
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
        conditions: conditions(route, tenants),
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

fn conditions(route: &route::Route, tenants: &[Tenant]) -> Conditions {
    let tenants_of = |regions: &Vec<toml::Spanned<String>>| {
        let is_in = |tenant: &&Tenant| {
            let mut regions = regions.iter().map(toml::Spanned::get_ref);
            regions.any(|region| tenant.region.as_ref() == Some(region))
        };
        let found = tenants.iter().filter(is_in);
        found
            .map(|tenant| TenantName::from(tenant.name.as_str()))
            .collect()
    };
    Conditions {
        tenants: names(route.tenants.as_deref()),
        tenants_of_regions: route.regions.as_ref().map(tenants_of),
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
