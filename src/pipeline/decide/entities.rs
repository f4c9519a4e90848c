//! Principals and resources in Cedar's terms, built without parsing text.

use std::collections::HashSet;

use cedar_policy::{Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression};

use crate::pipeline::decide::facts::Facts;
use crate::pipeline::inspect::power::Power;
use crate::types::peer::ClientCertificate;
use crate::types::principal::Principal;

/// The actions of the schema that requests ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Invoke,
    Connect,
    Call,
}

/// The schema's names, parsed once.
pub(super) struct Names {
    user: EntityTypeName,
    role: EntityTypeName,
    team: EntityTypeName,
    tenant: EntityTypeName,
    model: EntityTypeName,
    upstream: EntityTypeName,
    tool: EntityTypeName,
    invoke: EntityUid,
    connect: EntityUid,
    call: EntityUid,
}

impl Names {
    pub(super) fn new() -> Result<Self, String> {
        let name = |text: &str| text.parse().map_err(|error| format!("{text}: {error}"));
        let action_type: EntityTypeName = name("Action")?;
        let action = |id: &str| uid(&action_type, id);
        Ok(Self {
            user: name("User")?,
            role: name("Role")?,
            team: name("Team")?,
            tenant: name("Tenant")?,
            model: name("Model")?,
            upstream: name("Upstream")?,
            tool: name("Tool")?,
            invoke: action("invoke"),
            connect: action("connect"),
            call: action("call"),
        })
    }

    pub(super) const fn action(&self, action: Action) -> &EntityUid {
        match action {
            Action::Invoke => &self.invoke,
            Action::Connect => &self.connect,
            Action::Call => &self.call,
        }
    }

    pub(super) fn model(&self, name: &str) -> EntityUid {
        uid(&self.model, name)
    }

    pub(super) fn upstream(&self, name: &str) -> EntityUid {
        uid(&self.upstream, name)
    }

    pub(super) fn tool(&self, name: &str) -> EntityUid {
        uid(&self.tool, name)
    }

    /// The principal: `User::"tenant/user"`, below its roles, teams and tenant.
    ///
    /// Names of users and teams are unique in their tenant only, so the tenant stands before them.
    pub(super) fn principal(&self, principal: &Principal) -> (EntityUid, Entity) {
        let tenant = principal.tenant_name.as_str();
        let of_tenant = |name: &str| [tenant, "/", name].concat();
        let user = uid(&self.user, &of_tenant(principal.user_name.as_str()));
        let mut parents = HashSet::with_capacity(1 + principal.roles.len() + principal.teams.len());
        parents.insert(uid(&self.tenant, tenant));
        parents.extend(principal.roles.iter().map(|role| uid(&self.role, role.as_str())));
        parents.extend(
            principal
                .teams
                .iter()
                .map(|team| uid(&self.team, &of_tenant(team.as_str()))),
        );
        (user.clone(), Entity::new_no_attrs(user, parents))
    }

    /// A power, below its class.
    pub(super) fn power(&self, power: &Power) -> Entity {
        let class = self.tool(power.class());
        Entity::new_no_attrs(self.tool(power.as_str()), HashSet::from([class]))
    }
}

/// The entities of one request; `None` if Cedar does not take them.
pub(super) fn entities_of(names: &Names, user: Entity, powers: &[Power]) -> Option<Entities> {
    let powers = powers.iter().map(|power| names.power(power));
    Entities::from_entities(std::iter::once(user).chain(powers), None).ok()
}

/// The facts that policies may look at; `None` if Cedar does not take them.
pub(super) fn context_of(facts: &Facts) -> Option<Context> {
    let long = |number: u64| RestrictedExpression::new_long(i64::try_from(number).unwrap_or(i64::MAX));
    let findings = facts.findings.iter();
    let findings = findings.map(|kind| RestrictedExpression::new_string(kind.as_str().into()));
    let endpoint = RestrictedExpression::new_string(facts.endpoint.as_str().into());
    let pairs = [
        ("endpoint", endpoint),
        ("stream", RestrictedExpression::new_bool(facts.stream)),
        ("tools", long(facts.tools.into())),
        ("findings", RestrictedExpression::new_set(findings)),
    ];
    let max_tokens = facts.max_tokens.map(|tokens| ("max_tokens", long(tokens)));
    let certificate = match &facts.certificate {
        Some(certificate) => Some(("client_certificate", certificate_of(certificate)?)),
        None => None,
    };
    let pairs = pairs.into_iter().chain(max_tokens).chain(certificate);
    Context::from_pairs(pairs.map(|(key, value)| (key.to_owned(), value))).ok()
}

/// A client's certificate as a record; `None` if Cedar does not take it.
fn certificate_of(certificate: &ClientCertificate) -> Option<RestrictedExpression> {
    let text = |text: &str| RestrictedExpression::new_string(text.into());
    let set = |names: &[Box<str>]| RestrictedExpression::new_set(names.iter().map(|name| text(name)));
    let pairs = [
        ("subject", text(&certificate.subject)),
        ("dns_names", set(&certificate.dns_names)),
        ("uris", set(&certificate.uris)),
        ("emails", set(&certificate.emails)),
        ("sha256", text(&certificate.sha256.to_string())),
    ];
    let common_name = certificate
        .common_name
        .iter()
        .map(|name| ("common_name", text(name)));
    let fields = pairs.into_iter().chain(common_name);
    RestrictedExpression::new_record(fields.map(|(key, value)| (key.to_owned(), value))).ok()
}

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}
