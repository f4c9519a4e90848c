//! Leaves as bytes: what is stored, and what is hashed.
//!
//! A body is JSON without spaces, in the field order of [`crate::journal::leaf`], stored and shipped
//! verbatim and never written again from parsed values. Its hash is the leaf hash of RFC 6962 section
//! 2.1: SHA-256 of a zero byte and the body.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::journal::leaf::{Leaf, LeafKind};
use crate::types::clock::Timestamp;
use crate::types::digest::Sha256;
use crate::types::ids::{LeafId, RequestId};

/// The version of the leaf format that this binary writes.
pub const LEAF_VERSION: u32 = 1;

/// How many bytes a body may have, except a close's, whose limit is reserved beforehand.
pub const BODY_BYTES_MAX: u64 = 256 * 1024;

/// Set in front of a body before hashing, so that no leaf can pass for a node of the tree.
const LEAF_PREFIX: &[u8] = &[0];

/// What most leaves fit into without growing the buffer.
const BODY_BYTES_USUAL: usize = 1_024;

/// A leaf, ready to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The kind, as in the body.
    pub kind: LeafKind,
    /// When it was recorded, as in the body.
    pub at: Timestamp,
    /// The request that it is about, if one.
    pub request: Option<RequestId>,
    /// The bytes.
    pub body: String,
    /// Their leaf hash.
    pub hash: Sha256,
}

impl Encoded {
    /// The bytes of the body, counted.
    pub fn bytes(&self) -> u64 {
        u64::try_from(self.body.len()).unwrap_or(u64::MAX)
    }
}

/// A leaf, read back.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// Its id.
    pub id: LeafId,
    /// When it was recorded.
    pub at: Timestamp,
    /// What it says.
    pub leaf: Leaf,
}

#[derive(Serialize)]
struct FrameOut<'a, T> {
    v: u32,
    kind: LeafKind,
    id: LeafId,
    at: Timestamp,
    body: &'a T,
}

#[derive(Deserialize)]
struct FrameIn<'a> {
    v: u32,
    kind: Box<str>,
    id: LeafId,
    at: Timestamp,
    #[serde(borrow)]
    body: &'a RawValue,
}

/// The leaf hash of a body.
pub fn leaf_hash(body: &[u8]) -> Sha256 {
    Sha256::of_parts(&[LEAF_PREFIX, body])
}

/// Writes one leaf.
pub fn encode(leaf: &Leaf, id: LeafId, at: Timestamp) -> Result<Encoded, CodecError> {
    match leaf {
        Leaf::Epoch(epoch) => encode_as(LeafKind::Epoch, None, epoch.as_ref(), id, at),
        Leaf::Open(open) => encode_as(
            LeafKind::Open,
            Some(open.facts.act.request),
            open.as_ref(),
            id,
            at,
        ),
        Leaf::Close(close) => encode_as(LeafKind::Close, Some(close.act.request), close.as_ref(), id, at),
        Leaf::Denial(denial) => encode_as(
            LeafKind::Denial,
            Some(denial.facts.act.request),
            denial.as_ref(),
            id,
            at,
        ),
        Leaf::Admin(admin) => encode_as(LeafKind::Admin, admin.request, admin.as_ref(), id, at),
    }
}

/// Writes one leaf of a kind that the caller knows, without a [`Leaf`] around it.
pub(super) fn encode_as<T: Serialize>(
    kind: LeafKind,
    request: Option<RequestId>,
    body: &T,
    id: LeafId,
    at: Timestamp,
) -> Result<Encoded, CodecError> {
    let mut bytes = Vec::with_capacity(BODY_BYTES_USUAL);
    let frame = FrameOut {
        v: LEAF_VERSION,
        kind,
        id,
        at,
        body,
    };
    serde_json::to_writer(&mut bytes, &frame).map_err(CodecError::Write)?;
    let hash = leaf_hash(&bytes);
    let body = String::from_utf8(bytes).map_err(|_| CodecError::NotText)?;
    Ok(Encoded {
        kind,
        at,
        request,
        body,
        hash,
    })
}

/// Reads one leaf.
pub fn decode(body: &str) -> Result<Decoded, CodecError> {
    let frame: FrameIn<'_> = serde_json::from_str(body).map_err(CodecError::Read)?;
    if frame.v != LEAF_VERSION {
        return Err(CodecError::Version { found: frame.v });
    }
    let kind = LeafKind::parse(&frame.kind).ok_or(CodecError::Kind { found: frame.kind })?;
    let text = frame.body.get();
    let leaf = match kind {
        LeafKind::Epoch => serde_json::from_str(text).map(Leaf::Epoch),
        LeafKind::Open => serde_json::from_str(text).map(Leaf::Open),
        LeafKind::Close => serde_json::from_str(text).map(Leaf::Close),
        LeafKind::Denial => serde_json::from_str(text).map(Leaf::Denial),
        LeafKind::Admin => serde_json::from_str(text).map(Leaf::Admin),
    };
    Ok(Decoded {
        id: frame.id,
        at: frame.at,
        leaf: leaf.map_err(CodecError::Read)?,
    })
}

/// Why a leaf could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// A value has no JSON form.
    #[error("the leaf cannot be written as JSON")]
    Write(#[source] serde_json::Error),
    /// The JSON writer gave something else than text.
    #[error("the leaf is not UTF-8")]
    NotText,
    /// The bytes are not a leaf.
    #[error("the bytes are not a leaf")]
    Read(#[source] serde_json::Error),
    /// The leaf was written by a newer version.
    #[error("the leaf has format version {found}, this version reads {LEAF_VERSION}")]
    Version {
        /// The version that it names.
        found: u32,
    },
    /// The leaf is of a kind that this version does not know.
    #[error("the leaf has the unknown kind '{found}'")]
    Kind {
        /// The kind that it names.
        found: Box<str>,
    },
}
