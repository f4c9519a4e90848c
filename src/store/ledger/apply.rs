//! Batches: one transaction each.

use crate::store::ledger::{Batch, Cursor, postgres, sqlite};
use crate::store::session::{Mode, Raw, in_time};
use crate::store::statement::Statement;
use crate::store::{Store, StoreError};
use crate::types::clock::Timestamp;

const OPERATION: &str = "apply a batch of the ledger";

const CURSOR: &str = "
    INSERT INTO ledger_cursors (origin, host, node, epoch, size, leaf_hash, shipped_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (origin) DO UPDATE SET
        size = excluded.size, leaf_hash = excluded.leaf_hash, shipped_at = excluded.shipped_at
    WHERE excluded.size > ledger_cursors.size";

impl Store {
    /// Applies a batch and moves its cursor, together or not at all.
    pub async fn apply_ledger(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut session = self.session(Mode::Writing, OPERATION).await?;
        match session.raw()? {
            Raw::Sqlite(connection) => in_time(OPERATION, sqlite::write(connection, batch)).await?,
            Raw::Postgres(connection) => in_time(OPERATION, postgres::write(connection, batch)).await?,
        }
        if let Some(cursor) = &batch.cursor {
            session.execute(advance(cursor)).await?;
        }
        session.end().await
    }
}

fn advance(cursor: &Cursor) -> Statement {
    Statement::of(CURSOR)
        .bind(cursor.origin.as_str())
        .bind(cursor.host.as_str())
        .bind(cursor.node.as_str())
        .bind(cursor.epoch)
        .bind(cursor.size)
        .bind(cursor.leaf_hash.as_str())
        .bind(Timestamp::from_unix_micros(cursor.shipped_at))
}
