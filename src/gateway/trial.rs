//! What a request would come to: every stage of the governed path up to the sending, which it leaves out.
//!
//! Nothing is recorded and nothing is counted. What upstreams can bear at the moment is not looked at.

use bytes::Bytes;
use http::HeaderMap;

use crate::dialect::operation::Operation;
use crate::gateway::facts::{facts, is_permitted};
use crate::gateway::snapshot::Snapshot;
use crate::pipeline::decide::decide;
use crate::pipeline::decide::verdict::{Decision, Verdict};
use crate::pipeline::inspect::bad::BadBody;
use crate::pipeline::inspect::finding::SecretKind;
use crate::pipeline::inspect::index::index;
use crate::pipeline::inspect::inspection::{Actions, Inspection, inspect};
use crate::pipeline::inspect::memory::Memory;
use crate::pipeline::route::{Asked, Candidate, Explained, Passed};
use crate::pipeline::translate::Dropped;
use crate::pipeline::translate::prepare::prepare;
use crate::types::clock::Clock;
use crate::types::ids::ModelName;
use crate::types::peer::ClientCertificate;
use crate::types::principal::Principal;
use crate::types::secret::Secret;

/// What a request would come to.
#[derive(Debug)]
pub struct Trial {
    /// The model asked for.
    pub model: ModelName,
    /// The routes that were looked at and do not take it, in their order.
    pub passed: Vec<Passed>,
    /// The name of the route that takes it.
    pub route: Option<Box<str>>,
    /// Its upstreams, in the order in which they would be tried.
    pub choices: Vec<Choice>,
    /// The secrets found in it, by kind.
    pub findings: Vec<SecretKind>,
    /// What each stage of the decision says.
    pub verdicts: Vec<Verdict>,
    /// What the client would be told, where it is refused.
    pub refused: Option<Box<str>>,
}

/// One upstream of the route.
#[derive(Debug)]
pub struct Choice {
    /// The upstream, and what it would be asked for.
    pub candidate: Candidate,
    /// Whether the policies let the request go there.
    pub permitted: bool,
    /// What would be done to the body, or why it cannot be put in the upstream's words.
    pub rewrite: Result<Rewrite, Box<str>>,
}

/// What would be done to a body on its way.
#[derive(Debug)]
pub struct Rewrite {
    /// Whether it is translated; else its bytes pass.
    pub translated: bool,
    /// The edits in bytes that pass: the model's name, secrets taken out, what is forced.
    pub edits: usize,
    /// What translation loses.
    pub dropped: Vec<Dropped>,
}

/// Who asks, and how.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// Who.
    pub principal: &'a Principal,
    /// The certificate that the connection proves.
    pub certificate: Option<&'a ClientCertificate>,
    /// The session, as its client names it.
    pub client_session: Option<&'a str>,
}

/// Tries a request of this caller at this clock's time.
///
/// # Errors
/// The body is none that this operation takes.
pub fn attempt(
    snapshot: &Snapshot,
    caller: Caller<'_>,
    body: &Bytes,
    operation: Operation,
    clock: &dyn Clock,
) -> Result<Trial, BadBody> {
    // Fingerprints are not shown, so it does not matter by which key they are made.
    let memory = Memory::new(&Secret::new([0; 32]));
    let inspection = inspect(
        index(body, operation)?,
        &snapshot.detectors,
        &Actions::SHIPPED,
        &memory,
    );
    let Explained { passed, taken } = snapshot.routes.explain(&Asked {
        principal: caller.principal,
        index: inspection.index(),
        at: clock.now(),
        client_session: caller.client_session,
    });
    let (route, candidates) = taken.unzip();
    let candidates = candidates.unwrap_or_default();
    let decision = decide(
        &facts(caller.principal, caller.certificate, &inspection, &candidates),
        &snapshot.policies,
        clock,
    );
    let choices = candidates
        .into_iter()
        .map(|candidate| choice(candidate, &inspection, &decision));
    Ok(Trial {
        model: inspection.index().model().clone(),
        passed,
        route,
        choices: choices.collect(),
        findings: inspection.kinds(),
        refused: match &decision {
            Decision::Permit(_) => None,
            Decision::Deny(denial) => Some(denial.client_text().into()),
        },
        verdicts: match decision {
            Decision::Permit(permit) => permit.verdicts().to_vec(),
            Decision::Deny(denial) => denial.verdicts,
        },
    })
}

fn choice(candidate: Candidate, inspection: &Inspection, decision: &Decision) -> Choice {
    let rewrite = match prepare(inspection, &candidate, &HeaderMap::new()) {
        Ok(prepared) => Ok(Rewrite {
            translated: !prepared.same_dialect,
            edits: prepared.splices,
            dropped: prepared.dropped,
        }),
        Err(unprepared) => Err(unprepared.to_string().into()),
    };
    Choice {
        permitted: match decision {
            Decision::Permit(permit) => is_permitted(&candidate, permit),
            Decision::Deny(_) => false,
        },
        candidate,
        rewrite,
    }
}
