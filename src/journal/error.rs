//! Why the journal refused or failed.

use std::path::PathBuf;
use std::sync::Arc;

use crate::journal::codec::CodecError;

/// Why a leaf was not appended. Nothing of it is stored.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// The journal has reached its size limit.
    #[error("the journal is full: {claimed} of {max} bytes are stored or reserved, {wanted} more are wanted")]
    Full {
        /// Bytes stored or reserved.
        claimed: u64,
        /// The limit.
        max: u64,
        /// Bytes wanted.
        wanted: u64,
    },
    /// Too many leaves wait to be written.
    #[error("the journal is busy: {queued} leaves wait to be written")]
    Busy {
        /// How many wait, which is the limit.
        queued: usize,
    },
    /// One leaf is too large.
    #[error("the leaf has {bytes} bytes, {max} are allowed")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// The leaf has no stored form.
    #[error("the leaf cannot be encoded")]
    Encode(#[source] Arc<CodecError>),
    /// The disk or the database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The journal is being closed.
    #[error("the journal is closed")]
    Closed,
}

impl AppendError {
    /// What a client may read; the answer is 503 in every case.
    pub const fn client_text(&self) -> &'static str {
        match self {
            Self::Full { .. } => {
                "The audit journal is full, so no request can be accepted. An operator must restore the store or make room."
            }
            Self::Busy { .. } => "The audit journal cannot keep up, so no request can be accepted now.",
            Self::TooLarge { .. } | Self::Encode(_) => {
                "The audit record of this request cannot be written, so it was not forwarded."
            }
            Self::Storage(_) => "The audit journal cannot be written, so no request can be accepted now.",
            Self::Closed => "The gateway is shutting down.",
        }
    }
}

/// The database of the journal failed. It can be copied, because one failed commit fails many leaves.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the journal failed to {operation}{}", if *.disk_full { ": no space is left" } else { "" })]
pub struct StorageError {
    /// What was being done, as a verb phrase.
    pub operation: &'static str,
    /// Whether it was for want of space.
    pub disk_full: bool,
    /// The driver's reason.
    #[source]
    pub source: Arc<rusqlite::Error>,
}

impl StorageError {
    /// Names the operation of a driver's error.
    pub(super) fn of(operation: &'static str) -> impl Fn(rusqlite::Error) -> Self {
        move |source| Self {
            operation,
            disk_full: source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull),
            source: Arc::new(source),
        }
    }
}

/// Why a journal could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be made or entered.
    #[error("the journal directory {} cannot be used", .directory.display())]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// Another process has the journal.
    #[error("the journal in {} is in use by another process", .directory.display())]
    Locked {
        /// The directory.
        directory: PathBuf,
    },
    /// The file was written by a newer version.
    #[error("the journal has file version {found}, this version reads up to {known}")]
    Newer {
        /// The version of the file.
        found: i64,
        /// The newest that this binary reads.
        known: i64,
    },
    /// The file contradicts itself.
    #[error("the journal is damaged: {what}")]
    Damaged {
        /// What is wrong.
        what: &'static str,
    },
    /// The disk or the database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A leaf that opening must write has no stored form.
    #[error("a leaf cannot be encoded")]
    Encode(#[source] CodecError),
    /// The writer thread could not be started.
    #[error("the journal's writer thread cannot be started")]
    Thread(#[source] std::io::Error),
}
