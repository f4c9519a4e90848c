//! Writes the rows of refusals that were counted and not yet written.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::journal::Journal;
use crate::journal::leaf::act::{Act, RequestFacts};
use crate::journal::leaf::denial::Denial;
use crate::pipeline::coalesce::{Coalescer, Refused};
use crate::types::clock::Clock;
use crate::types::entropy::Entropy;
use crate::types::ids::RequestId;

/// How often ended windows are looked for.
const EVERY: Duration = Duration::from_secs(5);

/// What the job works with.
pub struct Job {
    /// Where refusals are gathered.
    pub coalescer: Arc<Coalescer>,
    /// Where rows go.
    pub journal: Arc<Journal>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl Job {
    /// Writes until `stopped` resolves, then writes what is left.
    pub async fn run(self, stopped: impl Future<Output = ()>) {
        let mut stopped = std::pin::pin!(stopped);
        loop {
            tokio::select! {
                () = &mut stopped => break,
                () = tokio::time::sleep(EVERY) => self.write(self.coalescer.drain(self.clock.now())).await,
            }
        }
        self.write(self.coalescer.drain_all()).await;
    }

    async fn write(&self, ended: Vec<(Refused, u64)>) {
        for (refused, count) in ended {
            if let Err(error) = self.journal.append_denial(&self.denial(&refused, count)).await {
                tracing::warn!(%error, count, "a row of counted refusals could not be written");
            }
        }
    }

    fn denial(&self, refused: &Refused, count: u64) -> Denial {
        let now = self.clock.now();
        let act = Act {
            tenant: Some(refused.tenant),
            user: Some(refused.user),
            action: "invoke".into(),
            ..Act::of_request(RequestId::generate(now, &*self.entropy))
        };
        let facts = RequestFacts {
            act,
            started_at: now,
            requested_model: None,
            client_dialect: None,
            stream: false,
            request_digest: None,
            policy_digest: None,
            config_generation: 0,
        };
        Denial {
            facts,
            status: 429,
            error_kind: "rate".into(),
            reason: format!("counted refusals of {}", refused.rule).into(),
            count: u32::try_from(count).unwrap_or(u32::MAX),
            last_at: None,
            latency_us: 0,
            decisions: Vec::new(),
        }
    }
}
