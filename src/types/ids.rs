//! Identifiers and names, one type each, so that no two can be mistaken for one another.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::types::clock::Timestamp;
use crate::types::entropy::{Entropy, base62};

/// A macro, because every id is the same five lines and a generic `Id<Kind>` reads worse in errors.
macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id (UUID version 7, RFC 9562 section 5.7): sorts by the time it was made.
            pub fn generate(now: Timestamp, entropy: &dyn Entropy) -> Self {
                let mut random = [0u8; 10];
                entropy.fill(&mut random);
                Self(uuid::Builder::from_unix_timestamp_millis(now.unix_millis(), &random).into_uuid())
            }

            /// The id with this value, read from a place that we wrote.
            pub const fn from_uuid(value: Uuid) -> Self {
                Self(value)
            }

            /// The bare value.
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

uuid_id!(/// One request, from its first byte to its close leaf. Clients see it as `request-id: req_…`.
    RequestId);
uuid_id!(/// A tenant.
    TenantId);
uuid_id!(/// A user, a person or a service account, of one tenant.
    UserId);
uuid_id!(/// An API key. It is public; the secret half is another value.
    KeyId);
uuid_id!(/// A token that we issued (the `jti` claim).
    TokenId);
uuid_id!(/// A signing key (the `kid` header of tokens).
    SigningKeyId);
uuid_id!(/// A leaf of the journal, and of the audit row that shows it.
    LeafId);

impl RequestId {
    /// The form that clients see in `request-id`: `req_` and 32 hex digits.
    pub fn wire(&self) -> String {
        format!("req_{}", self.0.simple())
    }

    /// Reads either form, bare or `req_…`.
    pub fn parse_any(text: &str) -> Option<Self> {
        text.strip_prefix("req_").unwrap_or(text).parse().ok()
    }
}

/// A macro for the same reason as above: names differ in meaning only.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Box<str>);

        impl $name {
            /// The name with this text.
            pub fn new(text: impl Into<Box<str>>) -> Self {
                Self(text.into())
            }

            /// The text of the name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }
    };
}

name!(/// A model name as clients or upstreams spell it.
    ModelName);
name!(/// The configured name of an upstream.
    UpstreamName);
name!(/// The name of a role, unique in the installation (`admin`, `user`, `service` …).
    RoleName);
name!(/// The name of a team, unique in its tenant.
    TeamName);
name!(/// The name of a tenant, unique in the installation.
    TenantName);
name!(/// The name of a user, unique in its tenant (usually an e-mail address).
    UserName);
name!(/// What requests of one sitting share: the token's `sid`, or the id of the API key.
    SessionId);

/// The public part of an API key: 12 characters of base62, unique in the installation.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyLookup([u8; KeyLookup::LENGTH]);

impl KeyLookup {
    /// How many characters it has.
    pub const LENGTH: usize = 12;

    /// Draws one.
    pub fn draw(entropy: &dyn Entropy) -> Self {
        let mut bytes = [b'0'; Self::LENGTH];
        for (to, from) in bytes.iter_mut().zip(base62(entropy, Self::LENGTH).bytes()) {
            *to = from;
        }
        Self(bytes)
    }

    /// Reads the 12 characters.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; Self::LENGTH] = text.as_bytes().try_into().ok()?;
        bytes.iter().all(u8::is_ascii_alphanumeric).then_some(Self(bytes))
    }

    /// The 12 characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for KeyLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for KeyLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
