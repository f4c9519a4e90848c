//! Reading a journal beside its writer.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::journal::Sequence;
use crate::journal::error::StorageError;
use crate::journal::table::Table;
use crate::types::clock::Timestamp;
use crate::types::digest::Sha256;

/// One stored leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLeaf {
    /// Its place in this journal.
    pub sequence: Sequence,
    /// When it was recorded.
    pub at: Timestamp,
    /// Its leaf hash.
    pub hash: Sha256,
    /// Its bytes; none once they were pruned.
    pub body: Option<String>,
}

/// A reading connection. One read at a time; they are short.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    table: Arc<Mutex<Table>>,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Self, StorageError> {
        let table = Table::open_to_read(path).map_err(StorageError::of("open"))?;
        Ok(Self {
            table: Arc::new(Mutex::new(table)),
        })
    }

    /// Reads off the runtime's threads, which must not wait for a disk.
    async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Table) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StorageError> {
        let table = Arc::clone(&self.table);
        let read = tokio::task::spawn_blocking(move || look(&table.lock())).await;
        let read = read.unwrap_or(Err(rusqlite::Error::InvalidQuery));
        read.map_err(StorageError::of("read"))
    }

    pub(super) async fn leaves(
        &self,
        first: Sequence,
        rows_max: u64,
        bytes_max: usize,
    ) -> Result<Vec<StoredLeaf>, StorageError> {
        let rows = self
            .read(move |table| table.read(first.0, rows_max, bytes_max))
            .await?;
        let leaf = |row: crate::journal::table::StoredRow| StoredLeaf {
            sequence: Sequence(row.seq),
            at: row.at,
            hash: row.hash,
            body: row.body,
        };
        Ok(rows.into_iter().map(leaf).collect())
    }

    pub(super) async fn hash_at(&self, place: Sequence) -> Result<Option<Sha256>, StorageError> {
        self.read(move |table| table.hash_at(place.0)).await
    }
}
