//! Findings: that a secret was seen, where, and what is done about it; never the secret.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::pipeline::inspect::place::{Location, Place};

/// A kind of secret: the id of the rule that knows it, for example `github-token`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretKind(Box<str>);

impl SecretKind {
    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for SecretKind {
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

impl fmt::Display for SecretKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A secret's fingerprint under a tenant's key: equal secrets have equal ones, and without the key
/// nobody can tell which secret it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// The first half of an HMAC-SHA256.
    pub(super) fn of_tag(tag: &[u8]) -> Self {
        let mut value = [0; 16];
        for (to, from) in value.iter_mut().zip(tag) {
            *to = *from;
        }
        Self(value)
    }

    /// Its first 30 bits as six base32 characters (RFC 4648), the form that placeholders carry.
    pub fn short(&self) -> String {
        const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let mut head = [0u8; 4];
        for (to, from) in head.iter_mut().zip(self.0) {
            *to = from;
        }
        let bits = u32::from_be_bytes(head);
        (0..6)
            .filter_map(|place| usize::try_from(bits >> (27 - 5 * place) & 31).ok())
            .filter_map(|index| ALPHABET.get(index))
            .map(|letter| char::from(*letter))
            .collect()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What is done about a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The request is refused.
    Block,
    /// A placeholder goes upstream in its place.
    Redact,
    /// It is recorded only.
    Flag,
}

/// One secret in a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    pub kind: SecretKind,
    /// In which kind of text it stands.
    pub place: Place,
    /// In which part of the request.
    pub location: Location,
    /// What tells it from other secrets.
    pub fingerprint: Fingerprint,
    /// What is done about it.
    pub action: Action,
}

/// Why the secrets in a request refuse it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "why")]
pub enum Blocked {
    /// A secret stands where it may not be taken out silently.
    Secret {
        /// What it is.
        kind: SecretKind,
        /// In which kind of text it stands.
        place: Place,
        /// In which part of the request.
        location: Location,
    },
    /// There is more that looks like secrets than can be examined.
    TooMuch {
        /// The kind that it looks like.
        kind: SecretKind,
    },
}

impl Blocked {
    /// The kind of secret.
    pub const fn kind(&self) -> &SecretKind {
        match self {
            Self::Secret { kind, .. } | Self::TooMuch { kind } => kind,
        }
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret {
                kind,
                place,
                location,
            } => {
                write!(f, "a secret ({kind}) stands in {} at {location}", place.words())
            }
            Self::TooMuch { kind } => {
                write!(
                    f,
                    "too much of the request looks like secrets ({kind}) to examine all of it"
                )
            }
        }
    }
}
