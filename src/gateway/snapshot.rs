//! Everything that a request is governed by, fixed at its start.

use std::sync::Arc;
use std::time::Duration;

use crate::gateway::intake::Intake;
use crate::gateway::models::DeclaredModel;
use crate::gateway::trusted::TrustedProxies;
use crate::pipeline::admit::RateLimit;
use crate::pipeline::decide::policies::Policies;
use crate::pipeline::forward::engine::Deadlines;
use crate::pipeline::forward::line::Lines;
use crate::pipeline::inspect::secrets::Detectors;
use crate::pipeline::record::prices::PriceTable;
use crate::pipeline::route::Routes;
use crate::provider::lending::cache::Loans;

/// One compiled configuration. A request takes hold of one and keeps it to its end.
pub struct Snapshot {
    /// Counts configurations since the start, from 1.
    pub generation: u64,
    /// From models to candidates.
    pub routes: Routes,
    /// How upstreams are reached.
    pub lines: Lines,
    /// What clouds have lent to upstreams.
    pub loans: Loans,
    /// What `/v1/models` lists.
    pub models: Vec<DeclaredModel>,
    /// The policies.
    pub policies: Policies,
    /// What secrets look like.
    pub detectors: Arc<Detectors>,
    /// What tokens cost.
    pub prices: PriceTable,
    /// Rate limits.
    pub limits: Arc<RateLimit>,
    /// Whose word about a client's address counts.
    pub trusted: TrustedProxies,
    /// Bounds of request bodies.
    pub intake: Arc<Intake>,
    /// Requests of model APIs that are handled at once.
    pub requests_in_flight_max: usize,
    /// Connections of clients that are open at once.
    pub connections_max: usize,
    /// The longest wait for the head of a request, that of an idle connection included.
    pub client_idle: Duration,
    /// The largest JSON answer, in bytes.
    pub answer_bytes_max: usize,
    /// What upstreams are waited for.
    pub deadlines: Deadlines,
    /// The longest silence of an upstream inside an answer.
    pub idle: Duration,
    /// Silence towards a client after which a ping is sent.
    pub ping: Duration,
    /// The longest exchange.
    pub total: Duration,
    /// A client that reads nothing for so long is given up.
    pub client_write: Duration,
    /// How long listeners stay open at shutdown after readiness went off; not at all where absent.
    pub drain_delay: Option<Duration>,
    /// How long running requests may finish at shutdown.
    pub drain: Duration,
}
