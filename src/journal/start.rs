//! Opening a journal: lock, file, continuity, and the closes that a crash left out.
//!
//! All that opening adds is one transaction: the epoch's leaf, if a new one begins, then a close for every
//! open without one. Nothing else is served before it is durable.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::sync::Arc;

use crate::journal::codec::{self, Decoded, Encoded};
use crate::journal::error::{OpenError, StorageError};
use crate::journal::leaf::act::Act;
use crate::journal::leaf::close::{Close, Outcome};
use crate::journal::leaf::epoch::{Epoch, EpochReason};
use crate::journal::leaf::{Leaf, LeafKind};
use crate::journal::origin::{Head, Held, NodeIdentity, Origin, StoreKnows, continuity, next_epoch};
use crate::journal::room::Room;
use crate::journal::shared::{Shared, Sources};
use crate::journal::table::{self, FILE_VERSION, Mark, Table};
use crate::journal::{Recovery, Settings};
use crate::types::digest::Sha256;
use crate::types::ids::RequestId;

/// The journal's file in its directory.
pub(super) const FILE_NAME: &str = "journal.db";

/// Locked by whoever may write. A file of its own, because SQLite's locks are per transaction.
const LOCK_NAME: &str = "journal.lock";

/// One epoch, as this journal holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochSpan {
    /// Its origin.
    pub origin: Origin,
    /// The place of its first leaf in this journal.
    pub first: u64,
    /// The place after its last leaf; none while it goes on.
    pub end: Option<u64>,
}

/// A journal that may be written, with everything that its writer needs to know.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) table: Table,
    pub(super) lock: File,
    pub(super) shared: Arc<Shared>,
    pub(super) epochs: Vec<EpochSpan>,
    pub(super) next: u64,
    pub(super) total: u64,
    pub(super) recovery: Recovery,
}

/// Opens the directory's journal and brings it into order.
pub(super) fn start(
    settings: &Settings,
    identity: &NodeIdentity,
    store: &StoreKnows,
    sources: Sources,
) -> Result<Started, OpenError> {
    let lock = lock(&settings.directory)?;
    let table = open_table(settings)?;
    sync_names(&settings.directory).map_err(in_directory(&settings.directory))?;

    let reading = StorageError::of("read");
    let last = table.last().map_err(&reading)?;
    let (next, total) = last.map_or((0, 0), |row| (row.seq.saturating_add(1), row.total));
    let pruned = table.mark(Mark::Pruned).map_err(&reading)?;
    let pruned_bytes = table.total_below(pruned).map_err(&reading)?;
    let room = Room::new(settings.max_bytes, total.saturating_sub(pruned_bytes));
    let now = sources.clock.now();
    let shared = Shared::new(settings.queue_max, room, next, sources);

    let mut mending = Mending {
        epochs: epochs_of(&table, next)?,
        table,
        shared,
        next,
        total,
        leaves: Vec::new(),
    };
    mending.check_last()?;
    let (origin, begun) = match continuity(&mending, identity, store)? {
        Ok(origin) => (origin, None),
        Err(reason) => {
            let newest = mending.epochs.last().map(|span| span.origin.epoch);
            let epoch = next_epoch(now, newest, store);
            let identity = identity.clone();
            let origin = Origin { identity, epoch };
            mending.begin_epoch(&origin, reason, store)?;
            (origin, Some(reason))
        }
    };
    let interrupted = mending.close_interrupted()?;
    let new_epoch = begun.map(|_| origin.clone());
    mending.commit(new_epoch.as_ref())?;
    let recovery = Recovery {
        origin,
        begun,
        interrupted,
        leaves: mending.next,
    };
    Ok(mending.started(lock, recovery))
}

fn in_directory(directory: &Path) -> impl Fn(std::io::Error) -> OpenError {
    move |source| OpenError::Directory {
        directory: directory.into(),
        source,
    }
}

fn lock(directory: &Path) -> Result<File, OpenError> {
    let failed = in_directory(directory);
    fs::create_dir_all(directory).map_err(&failed)?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(directory.join(LOCK_NAME))
        .map_err(&failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked {
            directory: directory.into(),
        }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Makes the names of the journal's directory and files durable, not only their contents.
fn sync_names(directory: &Path) -> std::io::Result<()> {
    for place in directory.ancestors().take(2) {
        // The parent of a relative name is the empty one.
        if !place.as_os_str().is_empty() {
            File::open(place)?.sync_all()?;
        }
    }
    Ok(())
}

fn open_table(settings: &Settings) -> Result<Table, OpenError> {
    let path = settings.directory.join(FILE_NAME);
    let opening = StorageError::of("open");
    let mut table = Table::open_to_write(&path, settings.durability).map_err(&opening)?;
    match table.version().map_err(&opening)? {
        0 => table.create().map_err(&opening)?,
        FILE_VERSION => {}
        found => {
            return Err(OpenError::Newer {
                found,
                known: FILE_VERSION,
            });
        }
    }
    Ok(table)
}

fn epochs_of(table: &Table, next: u64) -> Result<Vec<EpochSpan>, OpenError> {
    let rows = table.epochs().map_err(StorageError::of("read"))?;
    let mut ends = rows
        .iter()
        .skip(1)
        .map(|row| row.3)
        .collect::<Vec<_>>()
        .into_iter();
    let mut spans = Vec::with_capacity(rows.len().saturating_add(1));
    for (epoch, host, node, first) in &rows {
        let identity = table::identity_of(host, node).ok_or(OpenError::Damaged {
            what: "an epoch names no node",
        })?;
        let origin = Origin {
            identity,
            epoch: *epoch,
        };
        spans.push(EpochSpan {
            origin,
            first: *first,
            end: ends.next(),
        });
    }
    if spans.is_empty() != (next == 0) {
        return Err(OpenError::Damaged {
            what: "its leaves belong to no epoch",
        });
    }
    Ok(spans)
}

/// A journal on its way to being in order.
struct Mending {
    table: Table,
    shared: Arc<Shared>,
    epochs: Vec<EpochSpan>,
    next: u64,
    total: u64,
    /// What is added at the end.
    leaves: Vec<Encoded>,
}

impl Mending {
    fn span_of(&self, origin: &Origin) -> Option<&EpochSpan> {
        self.epochs.iter().find(|span| span.origin == *origin)
    }

    /// The last leaf must be what its hash says: the cheapest sign of a torn or foreign file.
    fn check_last(&self) -> Result<(), OpenError> {
        let Some(last) = self.next.checked_sub(1) else {
            return Ok(());
        };
        let reading = StorageError::of("read");
        let hash = self.table.hash_at(last).map_err(&reading)?;
        let body = self.table.body_at(last).map_err(&reading)?;
        match (hash, body) {
            (Some(hash), Some(body)) if codec::leaf_hash(body.as_bytes()) != hash => {
                Err(OpenError::Damaged {
                    what: "its last leaf does not match its hash",
                })
            }
            (Some(_), _) => Ok(()),
            (None, _) => Err(OpenError::Damaged {
                what: "its last leaf is missing",
            }),
        }
    }

    fn begin_epoch(
        &mut self,
        origin: &Origin,
        reason: EpochReason,
        store: &StoreKnows,
    ) -> Result<(), OpenError> {
        let held = match self.epochs.last() {
            None => None,
            Some(span) => {
                let size = self.next.saturating_sub(span.first);
                let last = size.saturating_sub(1);
                Some(Head {
                    origin: span.origin.clone(),
                    size,
                    leaf_hash: self.hash_at(&span.origin, last)?,
                })
            }
        };
        let known = match store {
            StoreKnows::Head(head) => Some(head.clone()),
            StoreKnows::Nothing | StoreKnows::Unreachable => None,
        };
        let leaf = Epoch {
            origin: origin.clone(),
            reason,
            known,
            held,
        };
        let encoded = self.shared.stamp(LeafKind::Epoch, None, &leaf);
        self.leaves.push(encoded.map_err(OpenError::Encode)?);
        if let Some(span) = self.epochs.last_mut() {
            span.end = Some(self.next);
        }
        self.epochs.push(EpochSpan {
            origin: origin.clone(),
            first: self.next,
            end: None,
        });
        Ok(())
    }

    /// Adds a close for every open without one.
    fn close_interrupted(&mut self) -> Result<u64, OpenError> {
        let reading = StorageError::of("read");
        let settled = self.table.mark(Mark::Settled).map_err(&reading)?;
        let mut pending: BTreeMap<RequestId, u64> = BTreeMap::new();
        self.table
            .visit_requests(settled, |row| {
                if row.is_open {
                    pending.insert(row.request, row.seq);
                } else {
                    pending.remove(&row.request);
                }
            })
            .map_err(&reading)?;
        let mut count = 0u64;
        for (request, seq) in pending {
            let body = self.table.body_at(seq).map_err(&reading)?;
            let act = body.and_then(|body| act_of(&body));
            let act = act.unwrap_or_else(|| Act::of_request(request));
            let close = Close::bare(act, Outcome::Interrupted);
            let encoded = self.shared.stamp(LeafKind::Close, Some(request), &close);
            self.leaves.push(encoded.map_err(OpenError::Encode)?);
            count = count.saturating_add(1);
        }
        Ok(count)
    }

    /// Stores what was added, and that every request up to here is settled.
    fn commit(&mut self, new_epoch: Option<&Origin>) -> Result<(), OpenError> {
        let (mut seq, mut total) = (self.next, self.total);
        let stored = self.table.begin().and_then(|()| {
            if let Some(origin) = new_epoch {
                self.table.insert_epoch(origin, seq)?;
            }
            for leaf in &self.leaves {
                total = total.saturating_add(leaf.bytes());
                self.table.insert(seq, total, leaf)?;
                seq = seq.saturating_add(1);
            }
            self.table.set_mark(Mark::Settled, seq)?;
            self.table.commit()
        });
        if let Err(error) = stored {
            self.table.roll_back();
            return Err(StorageError::of("write")(error).into());
        }
        // Their room was reserved by the process that died, so it is taken without asking.
        self.shared.room.force(total.saturating_sub(self.total));
        self.shared.stored.send_replace(seq);
        (self.next, self.total) = (seq, total);
        Ok(())
    }

    fn started(self, lock: File, recovery: Recovery) -> Started {
        Started {
            table: self.table,
            lock,
            shared: self.shared,
            epochs: self.epochs,
            next: self.next,
            total: self.total,
            recovery,
        }
    }
}

/// Who did what, by the body of an open leaf; none where a newer version wrote it.
fn act_of(body: &str) -> Option<Act> {
    match codec::decode(body) {
        Ok(Decoded {
            leaf: Leaf::Open(open),
            ..
        }) => Some(open.facts.act),
        _ => None,
    }
}

impl Held for Mending {
    type Error = OpenError;

    fn newest(&self) -> Option<Origin> {
        self.epochs.last().map(|span| span.origin.clone())
    }

    fn size_of(&self, origin: &Origin) -> Option<u64> {
        let span = self.span_of(origin)?;
        Some(span.end.unwrap_or(self.next).saturating_sub(span.first))
    }

    fn hash_at(&self, origin: &Origin, index: u64) -> Result<Sha256, OpenError> {
        let missing = OpenError::Damaged {
            what: "one of its leaves is missing",
        };
        let Some(span) = self.span_of(origin) else {
            return Err(missing);
        };
        let hash = self.table.hash_at(span.first.saturating_add(index));
        hash.map_err(StorageError::of("read"))?.ok_or(missing)
    }
}
