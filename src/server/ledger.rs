//! The ledger of a node: its journal, what ships it into the store, and what requests wait for.

use std::sync::Arc;

use crate::config::file::{self, Config};
use crate::jobs::shipper::{self, Shipper};
use crate::journal::origin::{NodeIdentity, StoreKnows};
use crate::journal::{self, Journal, Sources};
use crate::pipeline::record::ledger::{InStore, Ledger};
use crate::server::assemble::StartError;
use crate::store::Store;
use crate::types::clock::Clock;
use crate::types::entropy::Entropy;

/// The journal of this data directory, continued or begun anew.
pub(super) async fn open_journal(
    config: &Config,
    store: &Store,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Result<Journal, StartError> {
    let settings = journal::Settings {
        durability: match config.ledger.durability.get_ref() {
            file::Durability::Journal | file::Durability::Store => journal::Durability::Journal,
            file::Durability::Relaxed => journal::Durability::Relaxed,
        },
        #[cfg(feature = "test-support")]
        acknowledge_early: config.ledger.acknowledge_early,
        ..journal::Settings::new(config.server.data_dir.join("journal"), config.ledger.max_bytes.0)
    };
    let sources = Sources {
        clock: Arc::clone(clock),
        entropy: Arc::clone(entropy),
    };
    let identity = node_identity(&config.server.node)?;
    let known = store_knows(store, &identity).await;
    let (journal, recovery) = Journal::open(&settings, &identity, &known, sources)?;
    tracing::info!(
        origin = %recovery.origin,
        begun = ?recovery.begun,
        interrupted = recovery.interrupted,
        leaves = recovery.leaves,
        "journal open"
    );
    Ok(journal)
}

/// How far the store has seen this node's ledger; a journal that does not reach as far begins anew.
async fn store_knows(store: &Store, identity: &NodeIdentity) -> StoreKnows {
    shipper::store_knows(store, identity)
        .await
        .unwrap_or_else(|error| {
            tracing::warn!(%error, "the store does not say how far this node's ledger reached");
            StoreKnows::Unreachable
        })
}

/// The name of this node: the host's own, and the configured one on it.
fn node_identity(node: &str) -> Result<NodeIdentity, StartError> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() {
        "localhost"
    } else {
        host.trim()
    };
    NodeIdentity::new(host, node).map_err(StartError::Node)
}

/// What brings the journal into the store, at the pace that its waiters need.
pub(super) fn shipper(
    settings: &file::Ledger,
    journal: &Arc<Journal>,
    store: &Arc<Store>,
    clock: &Arc<dyn Clock>,
) -> Shipper {
    let keep = settings.keep.0;
    let pace = match settings.durability.get_ref() {
        file::Durability::Store => shipper::Settings::awaited(keep),
        file::Durability::Journal | file::Durability::Relaxed => shipper::Settings::keeping(keep),
    };
    Shipper::new(Arc::clone(journal), Arc::clone(store), Arc::clone(clock), pace)
}

/// Where requests are written down, and what they wait for.
pub(super) fn ledger(settings: &file::Ledger, journal: &Arc<Journal>, shipper: &Shipper) -> Ledger {
    let progress = shipper.progress();
    let in_store = (*settings.durability.get_ref() == file::Durability::Store).then(|| InStore {
        shipped: progress.watch(),
        failing: progress.watch_failing(),
        within: settings.store_timeout.0,
    });
    Ledger::new(Arc::clone(journal), in_store)
}
