//! Leaves as rows of the audit, one each.

use serde::Serialize;

use crate::jobs::shipper::column::{json, text, word};
use crate::journal::codec::Decoded;
use crate::journal::leaf::act::Act;
use crate::journal::leaf::admin::Admin;
use crate::journal::leaf::close::{Close, Outcome};
use crate::journal::leaf::decision::Json;
use crate::journal::leaf::denial::Denial;
use crate::journal::leaf::epoch::Epoch;
use crate::journal::leaf::open::{Candidate, Open};
use crate::store::ledger::AuditRow;
use crate::types::clock::Timestamp;
use crate::types::ids::{ModelName, UpstreamName};
use crate::types::money::MicroDollars;

/// The audit row of an act, without what is particular to its leaf.
fn of_act(decoded: &Decoded, kind: &str, act: &Act) -> AuditRow {
    AuditRow {
        id: decoded.id.to_string(),
        occurred_at: decoded.at.unix_micros(),
        kind: kind.into(),
        request_id: Some(act.request.to_string()),
        tenant_id: text(act.tenant.as_ref()),
        user_id: text(act.user.as_ref()),
        session_id: text(act.session.as_ref()),
        task_id: text(act.labels.task.as_ref()),
        trace_id: text(act.labels.trace.as_ref()),
        context_id: text(act.labels.context.as_ref()),
        client_id: text(act.labels.client.as_ref()),
        action: act.action.to_string(),
        resource: text(act.resource.as_ref()),
        ..AuditRow::default()
    }
}

/// The row of an epoch's begin.
pub(super) fn of_epoch(decoded: &Decoded, epoch: &Epoch) -> AuditRow {
    AuditRow {
        id: decoded.id.to_string(),
        occurred_at: decoded.at.unix_micros(),
        kind: "epoch".into(),
        action: "begin".into(),
        resource: Some(epoch.origin.to_string()),
        reason: word(&epoch.reason),
        detail: json(epoch),
        ..AuditRow::default()
    }
}

/// The row of what was let through.
pub(super) fn of_open(decoded: &Decoded, open: &Open) -> AuditRow {
    #[derive(Serialize)]
    struct Detail<'a> {
        requested_model: Option<&'a ModelName>,
        stream: bool,
        candidates: &'a [Candidate],
        reserved_microdollars: Option<i64>,
        config_generation: u64,
    }
    AuditRow {
        decision: Some("allow".into()),
        reason: text(open.reason.as_ref()),
        policy_digest: text(open.facts.policy_digest.as_ref()),
        detail: json(&Detail {
            requested_model: open.facts.requested_model.as_ref(),
            stream: open.facts.stream,
            candidates: &open.candidates,
            reserved_microdollars: open.reserved.map(MicroDollars::get),
            config_generation: open.facts.config_generation,
        }),
        ..of_act(decoded, "open", &open.facts.act)
    }
}

/// The row of how a request ended.
pub(super) fn of_close(decoded: &Decoded, close: &Close) -> AuditRow {
    #[derive(Serialize)]
    struct Detail<'a> {
        outcome: Outcome,
        status: Option<u16>,
        upstream: Option<&'a UpstreamName>,
        served_model: Option<&'a ModelName>,
        stop_reason: Option<&'a str>,
        cost_state: &'static str,
        trimmed: bool,
    }
    let reason = close.error_kind.as_deref().unwrap_or(close.outcome.as_str());
    AuditRow {
        reason: Some(reason.into()),
        policy_digest: text(close.policy_digest.as_ref()),
        cost_microdollars: close.cost.amount().map(MicroDollars::get),
        detail: json(&Detail {
            outcome: close.outcome,
            status: close.status,
            upstream: close.upstream.as_ref(),
            served_model: close.served_model.as_ref(),
            stop_reason: close.stop_reason.as_deref(),
            cost_state: close.cost.state(),
            trimmed: close.trimmed,
        }),
        ..of_act(decoded, "close", &close.act)
    }
}

/// The row of what was refused.
pub(super) fn of_denial(decoded: &Decoded, denial: &Denial) -> AuditRow {
    #[derive(Serialize)]
    struct Detail<'a> {
        status: u16,
        error_kind: &'a str,
        count: u32,
        last_at: Option<Timestamp>,
        requested_model: Option<&'a ModelName>,
        config_generation: u64,
    }
    AuditRow {
        decision: Some("deny".into()),
        reason: Some(denial.reason.to_string()),
        policy_digest: text(denial.facts.policy_digest.as_ref()),
        detail: json(&Detail {
            status: denial.status,
            error_kind: &denial.error_kind,
            count: denial.count,
            last_at: denial.last_at,
            requested_model: denial.facts.requested_model.as_ref(),
            config_generation: denial.facts.config_generation,
        }),
        ..of_act(decoded, "denial", &denial.facts.act)
    }
}

/// The row of a change by an administrator.
pub(super) fn of_admin(decoded: &Decoded, admin: &Admin) -> AuditRow {
    #[derive(Serialize)]
    struct Detail<'a> {
        actor_uid: Option<u32>,
        change: Option<&'a Json>,
    }
    AuditRow {
        id: decoded.id.to_string(),
        occurred_at: decoded.at.unix_micros(),
        kind: "admin".into(),
        request_id: text(admin.request.as_ref()),
        tenant_id: text(admin.tenant.as_ref()),
        user_id: text(admin.actor.user.as_ref()),
        session_id: text(admin.actor.session.as_ref()),
        action: admin.action.to_string(),
        resource: text(admin.resource.as_ref()),
        decision: Some(admin.outcome.as_str().into()),
        reason: text(admin.reason.as_ref()),
        policy_digest: text(admin.policy_digest.as_ref()),
        detail: json(&Detail {
            actor_uid: admin.actor.uid,
            change: admin.detail.as_ref(),
        }),
        ..AuditRow::default()
    }
}
