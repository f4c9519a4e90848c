//! The journal's file: every statement that touches it, and nothing else.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Result, Row, params};

use crate::journal::Durability;
use crate::journal::codec::Encoded;
use crate::journal::origin::{NodeIdentity, Origin};
use crate::types::clock::Timestamp;
use crate::types::digest::Sha256;
use crate::types::ids::RequestId;

/// The version of the file's tables, in `PRAGMA user_version`.
pub(super) const FILE_VERSION: i64 = 1;

/// `total` is the sum of the body bytes of all leaves up to this one, so that sizes need no scan.
/// The body comes last, so that the other columns are read without it.
const SCHEMA: &str = "
    CREATE TABLE leaf (
        seq        INTEGER PRIMARY KEY,
        at         INTEGER NOT NULL,
        kind       TEXT NOT NULL,
        request_id BLOB,
        total      INTEGER NOT NULL,
        hash       BLOB NOT NULL,
        body       TEXT
    ) STRICT;
    CREATE TABLE epoch (
        number    INTEGER PRIMARY KEY,
        host      TEXT NOT NULL,
        node      TEXT NOT NULL,
        first_seq INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE mark (
        name  TEXT PRIMARY KEY,
        value INTEGER NOT NULL
    ) STRICT;
    PRAGMA user_version = 1;
";

/// Pages of the write-ahead log that stay allocated after a burst.
const LOG_BYTES_KEPT: i64 = 64 * 1024 * 1024;

/// A boundary below which something holds for every leaf.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mark {
    /// Bodies are gone.
    Pruned,
    /// No open is without its close. It may lag behind the truth.
    Settled,
}

impl Mark {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Pruned => "pruned",
            Self::Settled => "settled",
        }
    }
}

/// One stored leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredRow {
    pub(super) seq: u64,
    pub(super) at: Timestamp,
    pub(super) hash: Sha256,
    pub(super) body: Option<String>,
}

/// An open or a close, as recovery looks at it.
#[derive(Debug)]
pub(super) struct RequestRow {
    pub(super) seq: u64,
    pub(super) is_open: bool,
    pub(super) request: RequestId,
}

/// A leaf's place in the accounting of sizes.
#[derive(Clone, Copy, Debug)]
pub(super) struct SizeRow {
    pub(super) seq: u64,
    pub(super) at: Timestamp,
    pub(super) total: u64,
}

/// One connection to the file.
#[derive(Debug)]
pub(super) struct Table {
    connection: Connection,
}

impl Table {
    /// Opens the file to write it.
    pub(super) fn open_to_write(path: &Path, durability: Durability) -> Result<Self> {
        let connection = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE
                | OpenFlags::SQLITE_OPEN_CREATE
                | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        let synchronous = match durability {
            Durability::Journal => "FULL",
            Durability::Relaxed => "OFF",
        };
        connection.pragma_update(None, "synchronous", synchronous)?;
        // The writer moves the log into the file itself, after it has answered.
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
        Ok(Self { connection })
    }

    /// Opens the file to read it beside the writer.
    pub(super) fn open_to_read(path: &Path) -> Result<Self> {
        // Not read-only to SQLite, because readers of a log take part in its locks.
        let connection = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(Self { connection })
    }

    /// The version of the file; 0 when it is new.
    pub(super) fn version(&self) -> Result<i64> {
        self.connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
    }

    /// Makes the tables of a new file, all or none.
    pub(super) fn create(&mut self) -> Result<()> {
        let transaction = self.connection.transaction()?;
        transaction.execute_batch(SCHEMA)?;
        transaction.commit()
    }

    pub(super) fn begin(&self) -> Result<()> {
        self.run("BEGIN IMMEDIATE")
    }

    pub(super) fn commit(&self) -> Result<()> {
        self.run("COMMIT")
    }

    /// Ends a failed transaction, where SQLite has not done it already.
    pub(super) fn roll_back(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.run("ROLLBACK")
        {
            tracing::error!(%error, "the journal failed to roll back");
        }
    }

    fn run(&self, sql: &'static str) -> Result<()> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    pub(super) fn insert(&self, seq: u64, total: u64, leaf: &Encoded) -> Result<()> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO leaf (seq, at, kind, request_id, total, hash, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        let request = leaf.request.map(|id| *id.as_uuid().as_bytes());
        statement.execute(params![
            signed(seq),
            leaf.at.unix_micros(),
            leaf.kind.as_str(),
            request.as_ref().map(<[u8; 16]>::as_slice),
            signed(total),
            leaf.hash.as_bytes().as_slice(),
            leaf.body,
        ])?;
        Ok(())
    }

    pub(super) fn insert_epoch(&self, origin: &Origin, first: u64) -> Result<()> {
        self.connection.execute(
            "INSERT INTO epoch (number, host, node, first_seq) VALUES (?1, ?2, ?3, ?4)",
            params![
                signed(origin.epoch),
                origin.identity.host(),
                origin.identity.node(),
                signed(first)
            ],
        )?;
        Ok(())
    }

    /// Every epoch, oldest first, with its first place.
    pub(super) fn epochs(&self) -> Result<Vec<(u64, String, String, u64)>> {
        let mut statement = self
            .connection
            .prepare("SELECT number, host, node, first_seq FROM epoch ORDER BY first_seq, number")?;
        let rows = statement.query_map([], |row| {
            Ok((unsigned(row, 0)?, row.get(1)?, row.get(2)?, unsigned(row, 3)?))
        })?;
        rows.collect()
    }

    pub(super) fn mark(&self, mark: Mark) -> Result<u64> {
        let sql = "SELECT value FROM mark WHERE name = ?1";
        let value = self
            .connection
            .query_row(sql, [mark.as_str()], |row| unsigned(row, 0))
            .optional()?;
        Ok(value.unwrap_or(0))
    }

    pub(super) fn set_mark(&self, mark: Mark, value: u64) -> Result<()> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO mark (name, value) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )?;
        statement.execute(params![mark.as_str(), signed(value)])?;
        Ok(())
    }

    /// The last leaf.
    pub(super) fn last(&self) -> Result<Option<SizeRow>> {
        self.connection
            .query_row(
                "SELECT seq, at, total FROM leaf ORDER BY seq DESC LIMIT 1",
                [],
                size_row,
            )
            .optional()
    }

    /// The leaves from `first` up to but without `end`.
    pub(super) fn sizes(&self, first: u64, end: u64, rows_max: u64) -> Result<Vec<SizeRow>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT seq, at, total FROM leaf WHERE seq >= ?1 AND seq < ?2 ORDER BY seq LIMIT ?3",
        )?;
        let rows = statement.query_map([signed(first), signed(end), signed(rows_max)], size_row)?;
        rows.collect()
    }

    /// The sum of the body bytes of all leaves below `end`.
    pub(super) fn total_below(&self, end: u64) -> Result<u64> {
        let sql = "SELECT total FROM leaf WHERE seq < ?1 ORDER BY seq DESC LIMIT 1";
        let total = self
            .connection
            .query_row(sql, [signed(end)], |row| unsigned(row, 0))
            .optional()?;
        Ok(total.unwrap_or(0))
    }

    /// Drops the bodies from `first` up to but without `end`.
    pub(super) fn drop_bodies(&self, first: u64, end: u64) -> Result<()> {
        let mut statement = self
            .connection
            .prepare_cached("UPDATE leaf SET body = NULL WHERE seq >= ?1 AND seq < ?2")?;
        statement.execute([signed(first), signed(end)])?;
        Ok(())
    }

    pub(super) fn hash_at(&self, seq: u64) -> Result<Option<Sha256>> {
        let sql = "SELECT hash FROM leaf WHERE seq = ?1";
        self.connection
            .query_row(sql, [signed(seq)], |row| digest(row, 0))
            .optional()
    }

    pub(super) fn body_at(&self, seq: u64) -> Result<Option<String>> {
        let sql = "SELECT body FROM leaf WHERE seq = ?1";
        let found = self
            .connection
            .query_row(sql, [signed(seq)], |row| row.get(0))
            .optional()?;
        Ok(found.flatten())
    }

    /// Calls `visit` for every open and close from `first` on.
    pub(super) fn visit_requests(&self, first: u64, mut visit: impl FnMut(RequestRow)) -> Result<()> {
        let mut statement = self.connection.prepare(
            "SELECT seq, kind = 'open', request_id FROM leaf
             WHERE seq >= ?1 AND kind IN ('open', 'close') ORDER BY seq",
        )?;
        let mut rows = statement.query([signed(first)])?;
        while let Some(row) = rows.next()? {
            let id: [u8; 16] = row.get(2)?;
            visit(RequestRow {
                seq: unsigned(row, 0)?,
                is_open: row.get(1)?,
                request: RequestId::from_uuid(uuid::Uuid::from_bytes(id)),
            });
        }
        Ok(())
    }

    /// The leaves from `first` on: at most `rows_max`, and no further one once `bytes_max` are reached.
    pub(super) fn read(&self, first: u64, rows_max: u64, bytes_max: usize) -> Result<Vec<StoredRow>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT seq, at, hash, body FROM leaf WHERE seq >= ?1 ORDER BY seq LIMIT ?2")?;
        let mut rows = statement.query([signed(first), signed(rows_max)])?;
        let (mut found, mut bytes) = (Vec::new(), 0usize);
        while bytes < bytes_max
            && let Some(row) = rows.next()?
        {
            let stored = stored_row(row)?;
            bytes = bytes.saturating_add(stored.body.as_ref().map_or(0, String::len));
            found.push(stored);
        }
        Ok(found)
    }

    /// Moves the log into the file, as far as readers allow. Gives the pages that stay behind.
    pub(super) fn checkpoint(&self) -> Result<u64> {
        let mut statement = self.connection.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?;
        let (log, moved): (i64, i64) = statement.query_row([], |row| Ok((row.get(1)?, row.get(2)?)))?;
        Ok(u64::try_from(log.saturating_sub(moved)).unwrap_or(0))
    }

    /// Limits the file to this many pages: a full disk without a disk.
    #[cfg(any(test, feature = "test-support"))]
    pub(super) fn limit_pages(&self, pages: u32) -> Result<()> {
        self.connection.pragma_update(None, "max_page_count", pages)
    }
}

fn stored_row(row: &Row<'_>) -> Result<StoredRow> {
    Ok(StoredRow {
        seq: unsigned(row, 0)?,
        at: Timestamp::from_unix_micros(row.get(1)?),
        hash: digest(row, 2)?,
        body: row.get(3)?,
    })
}

fn size_row(row: &Row<'_>) -> Result<SizeRow> {
    Ok(SizeRow {
        seq: unsigned(row, 0)?,
        at: Timestamp::from_unix_micros(row.get(1)?),
        total: unsigned(row, 2)?,
    })
}

fn digest(row: &Row<'_>, column: usize) -> Result<Sha256> {
    row.get(column).map(Sha256::from_bytes)
}

fn unsigned(row: &Row<'_>, column: usize) -> Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

/// SQLite's integers are signed; no count here comes near the difference.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The identity of an epoch's row.
pub(super) fn identity_of(host: &str, node: &str) -> Option<NodeIdentity> {
    NodeIdentity::new(host, node).ok()
}
