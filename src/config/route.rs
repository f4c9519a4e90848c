//! `[[route]]`: which requests go where.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use toml::Spanned;

use crate::config::file::Tenant;
use crate::config::mistake::Collector;
use crate::config::quantity::ByteSize;
use crate::types::feature::Feature;
use crate::types::hours::{Hours, Weekday};

/// How the upstreams of a route are put in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// As they are written.
    Ordered,
    /// By session, in proportion to `weights`.
    Weighted,
    /// By session, unless its upstream has clearly more than its share; then by what runs at them.
    LeastLoaded,
}

/// The greatest weight.
const WEIGHT_MAX: u32 = 1_000;

/// `[[route]]`: the first whose conditions all hold takes a request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// What logs and metrics call it; its `model_pattern` where absent.
    pub name: Option<Spanned<String>>,
    /// A model name in which `*` stands for any text.
    pub model_pattern: Spanned<String>,
    /// Only for callers of these tenants.
    pub tenants: Option<Vec<String>>,
    /// Only for callers whose tenant is in one of these regions.
    pub regions: Option<Vec<Spanned<String>>>,
    /// Only for callers in one of these teams.
    pub teams: Option<Vec<String>>,
    /// Only for callers with one of these roles.
    pub roles: Option<Vec<String>>,
    /// Only for requests with all of these: `tools`, `thinking`, `images`, `stream`.
    pub features: Option<Vec<Feature>>,
    /// Only for requests with at least so many bytes of text: a long context.
    pub text_bytes_min: Option<ByteSize>,
    /// Only at this time of day in UTC: `"08:00-18:00"`, `"22:00-06:00"`.
    pub hours: Option<Hours>,
    /// Only on these days in UTC: `mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`.
    pub weekdays: Option<Vec<Weekday>>,
    /// Upstreams, tried in the order that `balance` gives them.
    pub upstreams: Vec<Spanned<String>>,
    /// How they are put in order: `ordered`, `weighted`, `least_loaded`; as written where absent.
    pub balance: Option<Balance>,
    /// Shares by upstream, 1 where absent; 0 for one that is tried behind all others.
    pub weights: Option<Spanned<BTreeMap<String, u32>>>,
    /// The name to ask the upstream for; the requested name where absent.
    pub upstream_model: Option<String>,
}

impl Route {
    /// What logs and metrics call it.
    pub const fn name(&self) -> &Spanned<String> {
        match &self.name {
            Some(name) => name,
            None => &self.model_pattern,
        }
    }

    /// The weight of an upstream.
    pub fn weight(&self, upstream: &str) -> u32 {
        let weights = self.weights.as_ref().map(Spanned::get_ref);
        let weight = weights.and_then(|weights| weights.get(upstream));
        weight.copied().unwrap_or(1)
    }

    /// What is wrong with its weights, if anything.
    fn bad_weights(&self) -> Option<String> {
        let weights = self.weights.as_ref()?.get_ref();
        if self.balance.is_none_or(|balance| balance == Balance::Ordered) {
            return Some(
                "weights count for nothing here: add balance = \"weighted\" or \"least_loaded\", or remove them"
                    .to_owned(),
            );
        }
        let mut names = self.upstreams.iter().map(Spanned::get_ref);
        let stray = weights
            .keys()
            .find(|weighed| !names.clone().any(|name| name == *weighed));
        if let Some(stray) = stray {
            return Some(format!(
                "`{stray}` has a weight and is no upstream of this route: correct the name, or remove it"
            ));
        }
        if let Some((name, weight)) = weights.iter().find(|(_, weight)| **weight > WEIGHT_MAX) {
            return Some(format!(
                "the weight of `{name}` is {weight}: name at most {WEIGHT_MAX}; only proportions count"
            ));
        }
        let none = names.all(|name| self.weight(name) == 0);
        none.then(|| "every weight is 0: give one of the upstreams a share".to_owned())
    }

    /// The key of a condition that nothing can meet, if there is one.
    fn impossible(&self) -> Option<&'static str> {
        let is_empty = |list: &Option<Vec<String>>| list.as_ref().is_some_and(Vec::is_empty);
        let lists = [
            ("tenants", is_empty(&self.tenants)),
            ("regions", self.regions.as_ref().is_some_and(Vec::is_empty)),
            ("teams", is_empty(&self.teams)),
            ("roles", is_empty(&self.roles)),
            ("features", self.features.as_ref().is_some_and(Vec::is_empty)),
            ("weekdays", self.weekdays.as_ref().is_some_and(Vec::is_empty)),
        ];
        lists.into_iter().find_map(|(key, empty)| empty.then_some(key))
    }
}

/// Notes regions in which no tenant is.
pub(crate) fn unknown_regions(routes: &[Route], tenants: &[Tenant], mistakes: &mut Collector<'_>) {
    let known = |region: &str| {
        let mut regions = tenants.iter().filter_map(|tenant| tenant.region.as_deref());
        regions.any(|known| known == region)
    };
    for region in routes.iter().flat_map(|route| route.regions.iter().flatten()) {
        if !known(region.get_ref()) {
            let message = format!(
                "no [[tenant]] is in region `{}`: correct the name, or give a tenant this region",
                region.get_ref()
            );
            mistakes.add(Some(region.span()), message);
        }
    }
}

/// Notes routes that lead nowhere, take nothing, or cannot be told apart. Upstreams are not judged
/// where they could not be read.
pub(crate) fn references(routes: &[Route], upstreams: Option<&BTreeSet<&str>>, mistakes: &mut Collector<'_>) {
    let mut names = BTreeSet::new();
    for route in routes {
        let name = route.name();
        if !names.insert(name.get_ref()) {
            let message = format!(
                "two routes are called `{}`: give this one a name of its own, such as name = \"nights\"",
                name.get_ref()
            );
            mistakes.add(Some(name.span()), message);
        }
        if let Some(key) = route.impossible() {
            let message = format!("{key} is empty, so this route takes nothing: name one, or remove the key");
            mistakes.add(Some(route.model_pattern.span()), message);
        }
        if let (Some(message), Some(weights)) = (route.bad_weights(), &route.weights) {
            mistakes.add(Some(weights.span()), message);
        }
        if route.upstreams.is_empty() {
            mistakes.add(
                Some(route.model_pattern.span()),
                "this route has no upstreams: name at least one",
            );
        }
        let Some(known) = upstreams else { continue };
        for name in &route.upstreams {
            if !known.contains(name.get_ref().as_str()) {
                let message = format!(
                    "upstream `{}` is not declared: add an [[upstream]] of that name",
                    name.get_ref()
                );
                mistakes.add(Some(name.span()), message);
            }
        }
    }
}
