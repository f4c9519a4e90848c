//! The one line that the log has about each request, written at its end. Never a credential, a
//! prompt, an answer or a person's name: callers are ids, whose names the store knows.

use http::StatusCode;

use crate::gateway::context::Context;
use crate::journal::leaf::close::Close;
use crate::pipeline::envelope::Envelope;
use crate::pipeline::record::micros;
use crate::pipeline::refusal::Kind;
use crate::telemetry::metrics::words::{Endpoint, Outcome};
use crate::types::ids::UpstreamName;
use crate::types::principal::Principal;

/// The log's name for these lines, to filter by: `log.filter = "info,tollgate::requests=off"`.
macro_rules! line {
    ($context:expr, $endpoint:expr, $outcome:expr, $status:expr, $($field:tt)*) => {
        tracing::info!(
            target: "tollgate::requests",
            request = %$context.id.wire(),
            trace = %$context.trace.id,
            span = %$context.trace.span(),
            endpoint = $endpoint.as_str(),
            outcome = $outcome,
            status = $status,
            took_us = micros($context.started.elapsed()),
            generation = $context.generation,
            policies = %$context.policy_digest,
            $($field)*
            "request"
        )
    };
}

/// A request that was answered without being governed: models, control plane, probes.
pub(super) fn served_here(
    context: &Context,
    endpoint: Endpoint,
    principal: Option<&Principal>,
    outcome: Outcome,
) {
    line!(
        context,
        endpoint,
        outcome.as_str(),
        None::<u16>,
        tenant = principal.map(|principal| principal.tenant_name.as_str()),
        user = principal.map(|principal| display(principal.user)),
    );
}

/// A request that we declined.
pub(super) fn refused(
    context: &Context,
    endpoint: Endpoint,
    principal: Option<&Principal>,
    kind: Kind,
    status: StatusCode,
) {
    line!(
        context,
        endpoint,
        Outcome::Refused.as_str(),
        status.as_u16(),
        tenant = principal.map(|principal| principal.tenant_name.as_str()),
        user = principal.map(|principal| display(principal.user)),
        kind = kind.as_str(),
    );
}

/// A request that was forwarded, with its route and what is recorded about its end.
pub(super) fn forwarded(
    context: &Context,
    endpoint: Endpoint,
    envelope: &Envelope,
    route: Option<&str>,
    close: &Close,
) {
    let principal = &envelope.principal;
    line!(
        context,
        endpoint,
        close.outcome.as_str(),
        close.status,
        tenant = principal.tenant_name.as_str(),
        user = %principal.user,
        route,
        upstream = close.upstream.as_ref().map(UpstreamName::as_str),
        attempts = close.attempts.len(),
        stream = envelope.stream,
        first_byte_us = close.ttfb_us,
        kind = close.error_kind.as_deref(),
    );
}
