//! Tests of the journal as a whole, on real files.

mod continuity;
mod crash;
mod golden;
mod limits;
mod records;

use crate::journal::leaf::Leaf;
use crate::journal::{Journal, Sequence, codec};

/// Everything in the journal, read back; pruned bodies are left out.
async fn leaves(journal: &Journal) -> Vec<Leaf> {
    let rows = journal
        .read_from(Sequence(0), u64::MAX, usize::MAX)
        .await
        .unwrap();
    let bodies = rows.into_iter().filter_map(|row| row.body);
    bodies.map(|body| codec::decode(&body).unwrap().leaf).collect()
}

/// The words for what the journal holds, in order.
async fn kinds(journal: &Journal) -> Vec<String> {
    let word = |leaf: Leaf| match leaf {
        Leaf::Epoch(epoch) => format!("epoch {:?}", epoch.reason),
        Leaf::Open(_) => "open".into(),
        Leaf::Close(close) => format!("close {}", close.outcome.as_str()),
        Leaf::Denial(_) => "denial".into(),
        Leaf::Admin(_) => "admin".into(),
    };
    leaves(journal).await.into_iter().map(word).collect()
}
