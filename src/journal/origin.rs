//! Which history a leaf belongs to, and whether a journal may go on with it.
//!
//! An origin is `host/node/epoch`. Within one origin, leaves are numbered from 0 without a gap. A journal
//! goes on with its epoch only if it holds everything that the store knows of it; else a new epoch begins,
//! so that no place in a history is ever filled twice.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::journal::leaf::epoch::EpochReason;
use crate::types::clock::Timestamp;
use crate::types::digest::Sha256;

const NAME_CHARS_MAX: usize = 64;

/// The name of one running node: the host it runs on, and its own name there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeIdentity {
    host: Box<str>,
    node: Box<str>,
}

impl NodeIdentity {
    /// An identity of these two names: 1 to 64 letters, digits, `.`, `_` or `-` each.
    pub fn new(host: &str, node: &str) -> Result<Self, BadOrigin> {
        for name in [host, node] {
            let fits = (1..=NAME_CHARS_MAX).contains(&name.len());
            let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
            if !fits || !name.bytes().all(plain) {
                return Err(BadOrigin { text: name.into() });
            }
        }
        Ok(Self {
            host: host.into(),
            node: node.into(),
        })
    }

    /// The host's name.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The node's name on its host.
    pub fn node(&self) -> &str {
        &self.node
    }
}

/// One unbroken history: `host/node/epoch`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Whose history.
    pub identity: NodeIdentity,
    /// Which one: a number that grows, near the millisecond in which the epoch began.
    pub epoch: u64,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.identity.host, self.identity.node, self.epoch)
    }
}

impl std::str::FromStr for Origin {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        let bad = || BadOrigin { text: text.into() };
        let mut parts = text.split('/');
        let (Some(host), Some(node), Some(epoch), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(bad());
        };
        Ok(Self {
            identity: NodeIdentity::new(host, node)?,
            epoch: epoch.parse().map_err(|_| bad())?,
        })
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A text that names no node or origin.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' names no host, node or origin: letters, digits, '.', '_' and '-' are allowed")]
pub struct BadOrigin {
    /// The text.
    pub text: Box<str>,
}

/// How far one history goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The history.
    pub origin: Origin,
    /// How many leaves it has.
    pub size: u64,
    /// The hash of the last one.
    pub leaf_hash: Sha256,
}

/// What the store knows of a node when its journal is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreKnows {
    /// Nothing: the node is new to it.
    Nothing,
    /// Its newest history goes at least this far.
    Head(Head),
    /// It could not be asked.
    Unreachable,
}

/// What a journal holds, as far as continuity asks.
pub(super) trait Held {
    /// The error of looking.
    type Error;
    /// The newest epoch; none in an empty journal.
    fn newest(&self) -> Option<Origin>;
    /// The size of this origin's history, as held here.
    fn size_of(&self, origin: &Origin) -> Option<u64>;
    /// The hash of one leaf, which lies below [`Held::size_of`].
    fn hash_at(&self, origin: &Origin, index: u64) -> Result<Sha256, Self::Error>;
}

/// Whether the journal may go on with its newest epoch; else why not.
pub(super) fn continuity<H: Held>(
    held: &H,
    identity: &NodeIdentity,
    store: &StoreKnows,
) -> Result<Result<Origin, EpochReason>, H::Error> {
    let Some(newest) = held.newest() else {
        return Ok(Err(match store {
            StoreKnows::Nothing => EpochReason::First,
            StoreKnows::Head(_) => EpochReason::Lost,
            StoreKnows::Unreachable => EpochReason::Unverified,
        }));
    };
    if newest.identity != *identity {
        return Ok(Err(EpochReason::Moved));
    }
    let known = match store {
        StoreKnows::Nothing => return Ok(Ok(newest)),
        StoreKnows::Unreachable => return Ok(Err(EpochReason::Unverified)),
        StoreKnows::Head(head) => head,
    };
    let Some(size) = held.size_of(&known.origin) else {
        return Ok(Err(EpochReason::RolledBack));
    };
    let Some(last) = known.size.checked_sub(1) else {
        return Ok(Ok(newest));
    };
    if size <= last {
        return Ok(Err(EpochReason::RolledBack));
    }
    if held.hash_at(&known.origin, last)? != known.leaf_hash {
        return Ok(Err(EpochReason::Diverged));
    }
    Ok(Ok(newest))
}

/// The number of the next epoch: later than every one that the disk or the store knows.
///
/// It follows the clock, so that it is new even where the store could not be asked and the disk was
/// rolled back behind epochs that only the store has seen.
pub(super) fn next_epoch(now: Timestamp, newest_held: Option<u64>, store: &StoreKnows) -> u64 {
    let known = match store {
        StoreKnows::Head(head) => Some(head.origin.epoch),
        StoreKnows::Nothing | StoreKnows::Unreachable => None,
    };
    let after = |epoch: Option<u64>| epoch.map_or(0, |number| number.saturating_add(1));
    now.unix_millis().max(after(newest_held)).max(after(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_read_back_and_odd_names_are_refused() {
        let origin = Origin {
            identity: NodeIdentity::new("gw-1.example.com", "a_b").unwrap(),
            epoch: 7,
        };
        assert_eq!(origin.to_string().parse::<Origin>().unwrap(), origin);
        for bad in ["", "a/b", "a/b/c", "a/b/1/2", "/b/1", "a b/c/1", "a/b/-1"] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_epoch_number_is_later_than_all_known_ones() {
        let head = |epoch| {
            StoreKnows::Head(Head {
                origin: format!("h/n/{epoch}").parse().unwrap(),
                size: 1,
                leaf_hash: Sha256::of(b""),
            })
        };
        let now = Timestamp::from_unix_micros(5_000_000);
        assert_eq!(next_epoch(now, None, &StoreKnows::Nothing), 5_000);
        assert_eq!(next_epoch(now, Some(9_000), &head(7_000)), 9_001);
        assert_eq!(next_epoch(now, Some(4_000), &head(7_000)), 7_001);
    }
}
