//! From a routed request to what is decided on, and back to the candidates that are left.

use crate::pipeline::decide::facts::{self, Facts};
use crate::pipeline::decide::verdict::Permit;
use crate::pipeline::inspect::inspection::Inspection;
use crate::pipeline::route::Candidate;
use crate::types::peer::ClientCertificate;
use crate::types::principal::Principal;

/// The facts of a request that came to these candidates.
pub(super) fn facts(
    principal: &Principal,
    certificate: Option<&ClientCertificate>,
    inspection: &Inspection,
    candidates: &[Candidate],
) -> Facts {
    let index = inspection.index();
    Facts {
        principal: principal.clone(),
        certificate: certificate.cloned(),
        endpoint: index.operation(),
        requested_model: index.model().clone(),
        candidates: candidates.iter().map(as_fact).collect(),
        powers: index.powers().to_vec(),
        findings: inspection.kinds(),
        blocked: inspection.blocked().cloned(),
        stream: index.stream(),
        max_tokens: index.max_tokens(),
        tools: index.tools().count(),
    }
}

/// The routed candidates that the permit names, in its order.
pub(super) fn permitted(candidates: Vec<Candidate>, permit: &Permit) -> Vec<Candidate> {
    let named = |candidate: &Candidate| is_permitted(candidate, permit);
    candidates.into_iter().filter(named).collect()
}

/// Whether the permit names this candidate.
pub(super) fn is_permitted(candidate: &Candidate, permit: &Permit) -> bool {
    permit.candidates().contains(&as_fact(candidate))
}

fn as_fact(candidate: &Candidate) -> facts::Candidate {
    facts::Candidate {
        upstream: candidate.upstream.name.clone(),
        served_model: candidate.served_model.clone(),
    }
}
