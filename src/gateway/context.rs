//! What is known about a request from its head alone.

use std::time::Instant;

use http::HeaderMap;

use crate::gateway::snapshot::Snapshot;
use crate::gateway::trace::Trace;
use crate::types::clock::{Clock, Timestamp};
use crate::types::digest::Sha256;
use crate::types::entropy::Entropy;
use crate::types::ids::RequestId;
use crate::types::peer::Peer;

/// The context of one request, made when its head has been read.
#[derive(Clone, Debug)]
pub struct Context {
    /// Its id.
    pub id: RequestId,
    /// When its head had been read, for rows.
    pub at: Timestamp,
    /// The same moment, for durations.
    pub started: Instant,
    /// The trace that it belongs to.
    pub trace: Trace,
    /// The other end of the client's connection.
    pub peer: Peer,
    /// The configuration that it is served under.
    pub generation: u64,
    /// The policies of that configuration.
    pub policy_digest: Sha256,
}

impl Context {
    /// The context of a request that begins now.
    pub fn begin(
        headers: &HeaderMap,
        peer: Peer,
        snapshot: &Snapshot,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Self {
        let at = clock.now();
        let id = RequestId::generate(at, entropy);
        Self {
            id,
            at,
            started: Instant::now(),
            trace: Trace::begin(headers, id),
            peer,
            generation: snapshot.generation,
            policy_digest: snapshot.policies.digest(),
        }
    }
}
