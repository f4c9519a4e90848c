//! What a leaf says, kind by kind: the frozen vocabulary of format version 1.
//!
//! The field order is the field order in the stored JSON (`docs/reference/leaf-format.md`). A field is
//! never renamed, reordered or given another meaning; a new one is optional, and anything else is a new
//! version. Words of later floors (actions, rules, dialects) are plain text, so that the record outlives
//! their types. Nothing here holds a secret, a prompt or a body.
//!
//! - [`act`]: who wants to do what; part of every leaf about a request.
//! - [`decision`]: what one stage decided.
//! - [`open`], [`denial`], [`close`]: a request's leaves.
//! - [`epoch`], [`admin`]: the node's own leaves.

pub mod act;
pub mod admin;
pub mod close;
pub mod decision;
pub mod denial;
pub mod epoch;
pub mod open;

use serde::{Deserialize, Serialize};

use self::admin::Admin;
use self::close::Close;
use self::denial::Denial;
use self::epoch::Epoch;
use self::open::Open;

/// One record of the journal.
#[derive(Clone, Debug, PartialEq)]
pub enum Leaf {
    /// A run of the journal begins.
    Epoch(Box<Epoch>),
    /// A request was allowed and is about to leave.
    Open(Box<Open>),
    /// An opened request ended.
    Close(Box<Close>),
    /// A request was answered without being forwarded.
    Denial(Box<Denial>),
    /// The installation was administered.
    Admin(Box<Admin>),
}

/// The kind of a leaf, as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeafKind {
    /// See [`Leaf::Epoch`].
    Epoch,
    /// See [`Leaf::Open`].
    Open,
    /// See [`Leaf::Close`].
    Close,
    /// See [`Leaf::Denial`].
    Denial,
    /// See [`Leaf::Admin`].
    Admin,
}

impl LeafKind {
    /// The stored word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Epoch => "epoch",
            Self::Open => "open",
            Self::Close => "close",
            Self::Denial => "denial",
            Self::Admin => "admin",
        }
    }

    /// The kind of a stored word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Epoch, Self::Open, Self::Close, Self::Denial, Self::Admin]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}
