//! API keys: `tg_live_`, 12 characters to look it up by, 32 secret ones, 6 of checksum.
//!
//! The checksum (CRC-32 of everything before it, in base62) tells a mistyped key from an unknown one
//! without a look-up, and lets scanners for leaked secrets recognise keys without false alarms.

use std::fmt;

use subtle::ConstantTimeEq;

use crate::pipeline::identify::reason::Reason;
use crate::pipeline::identify::snapshot::Snapshot;
use crate::pipeline::identify::{Outcome, Scheme};
use crate::types::clock::Timestamp;
use crate::types::digest::Sha256;
use crate::types::entropy::{Entropy, base62};
use crate::types::ids::KeyLookup;
use crate::types::principal::Credential;
use crate::types::secret::Secret;

/// What every key begins with.
pub const PREFIX: &str = "tg_live_";

/// 190 bits: a plain digest of it needs no stretching.
const SECRET_LENGTH: usize = 32;

const CHECKSUM_LENGTH: usize = 6;

const CHECKED_LENGTH: usize = PREFIX.len() + KeyLookup::LENGTH + SECRET_LENGTH;

/// A new key, in the one moment in which its text is known.
#[derive(Debug)]
pub struct NewKey {
    /// The key itself, to be shown once.
    pub text: Secret<String>,
    /// Its public part.
    pub lookup: KeyLookup,
    /// What is stored of it.
    pub digest: Sha256,
}

impl NewKey {
    /// Draws a key.
    pub fn draw(entropy: &dyn Entropy) -> Self {
        let lookup = KeyLookup::draw(entropy);
        let secret = Secret::new(base62(entropy, SECRET_LENGTH));
        // Room for all of it at once: growing would leave copies behind.
        let mut text = Secret::new(String::with_capacity(CHECKED_LENGTH + CHECKSUM_LENGTH));
        text.expose_mut().push_str(PREFIX);
        text.expose_mut().push_str(lookup.as_str());
        text.expose_mut().push_str(secret.expose());
        let checksum = checksum(text.expose());
        text.expose_mut().extend(checksum.map(char::from));
        let digest = Sha256::of(text.expose().as_bytes());
        Self { text, lookup, digest }
    }
}

/// A well-formed key as a caller presented it: its public part, and the digest of all of it.
#[derive(Clone)]
pub struct PresentedKey {
    lookup: KeyLookup,
    digest: Sha256,
}

impl PresentedKey {
    /// Reads a key. `None`: it is something else. `Some(Err)`: it is a key, but not a whole one.
    pub fn parse(text: &str) -> Option<Result<Self, Reason>> {
        text.starts_with(PREFIX)
            .then(|| Self::parse_key(text).ok_or(Reason::MalformedKey))
    }

    fn parse_key(text: &str) -> Option<Self> {
        let (checked, given) = text.split_at_checked(CHECKED_LENGTH)?;
        if given.as_bytes() != checksum(checked) {
            return None;
        }
        let drawn = checked.get(PREFIX.len()..)?;
        if !drawn.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        Some(Self {
            lookup: KeyLookup::parse(drawn.get(..KeyLookup::LENGTH)?)?,
            digest: Sha256::of(text.as_bytes()),
        })
    }

    /// The public part.
    pub const fn lookup(&self) -> KeyLookup {
        self.lookup
    }
}

impl fmt::Debug for PresentedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PresentedKey({}…)", self.lookup)
    }
}

/// The digest of a key that exists. It has no `==`: a comparison that ends at the first difference would tell
/// how far a guess was right.
#[derive(Clone, Debug)]
pub struct StoredDigest(Sha256);

impl StoredDigest {
    /// The digest as stored.
    pub const fn new(digest: Sha256) -> Self {
        Self(digest)
    }

    /// Whether this is the digest of the presented key, in constant time.
    pub fn matches(&self, presented: &PresentedKey) -> bool {
        self.0.as_bytes().ct_eq(presented.digest.as_bytes()).into()
    }
}

/// The scheme of API keys.
#[derive(Clone, Copy, Debug)]
pub struct KeyScheme;

impl Scheme for KeyScheme {
    fn judge(&self, credential: &str, snapshot: &Snapshot, now: Timestamp) -> Outcome {
        let presented = match PresentedKey::parse(credential) {
            None => return Outcome::NotPresented,
            Some(Err(reason)) => return Outcome::Rejected(reason),
            Some(Ok(presented)) => presented,
        };
        let Some(key) = snapshot.key(presented.lookup()) else {
            return Outcome::NotInView(Reason::UnknownKey);
        };
        // Nothing about a key is told to one who does not hold all of it.
        if !key.digest.matches(&presented) {
            return Outcome::Rejected(Reason::UnknownKey);
        }
        if key.revoked {
            return Outcome::Rejected(Reason::RevokedKey);
        }
        if key.expires_at.is_some_and(|end| end <= now) {
            return Outcome::Rejected(Reason::ExpiredKey);
        }
        match key
            .holder
            .principal(Credential::ApiKey(key.id), key.session.clone())
        {
            Ok(principal) => Outcome::Accepted(principal),
            Err(reason) => Outcome::Rejected(reason),
        }
    }
}

/// CRC-32 of the text in base62, six digits (62^6 exceeds 2^32).
fn checksum(text: &str) -> [u8; CHECKSUM_LENGTH] {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; CHECKSUM_LENGTH];
    for digit in digits.iter_mut().rev() {
        let index = usize::try_from(rest % 62).unwrap_or(0);
        *digit = DIGITS.get(index).copied().unwrap_or(b'0');
        rest /= 62;
    }
    digits
}

/// A well-formed key with this public part and the secret of another key, for tests of forgery.
#[cfg(test)]
pub(super) fn forge(lookup: &str, other: &str) -> String {
    let secret = &other[PREFIX.len() + KeyLookup::LENGTH..CHECKED_LENGTH];
    let checked = format!("{PREFIX}{lookup}{secret}");
    let digits = checksum(&checked).map(char::from);
    checked + &digits.iter().collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::entropy::SystemEntropy;

    #[test]
    fn a_drawn_key_reads_back() {
        let key = NewKey::draw(&SystemEntropy::new());
        let text = key.text.expose();
        assert_eq!(text.len(), 58);
        let read = PresentedKey::parse(text).unwrap().unwrap();
        assert_eq!(read.lookup(), key.lookup);
        assert!(StoredDigest::new(key.digest).matches(&read));
        assert!(text.starts_with(&format!("tg_live_{}", key.lookup)));
    }

    #[test]
    fn the_checksum_is_the_known_one() {
        // The check value of CRC-32/ISO-HDLC is cbf43926.
        let value = checksum("123456789").iter().fold(0u64, |value, digit| {
            let index = match digit {
                b'0'..=b'9' => digit - b'0',
                b'A'..=b'Z' => digit - b'A' + 10,
                _ => digit - b'a' + 36,
            };
            value * 62 + u64::from(index)
        });
        assert_eq!(value, 0xcbf4_3926);
    }

    #[test]
    fn every_damage_is_seen_without_a_look_up() {
        let key = NewKey::draw(&SystemEntropy::new());
        let text = key.text.expose().as_str();
        let check = |damaged: &str| {
            let read = PresentedKey::parse(damaged).unwrap();
            assert_eq!(read.unwrap_err(), Reason::MalformedKey, "{damaged}");
        };
        for index in PREFIX.len()..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[index] = if bytes[index] == b'x' { b'y' } else { b'x' };
            check(&String::from_utf8(bytes).unwrap());
            check(&text[..index]);
        }
        check(&format!("{text}0"));
        check(&format!("{PREFIX}{}", "é".repeat(25)));
        let symbols = format!("{PREFIX}{}", "-".repeat(44));
        let digits = checksum(&symbols).map(char::from);
        check(&(symbols + &digits.iter().collect::<String>()));
    }

    #[test]
    fn other_texts_are_no_keys() {
        for other in ["", "tg_live", "TG_LIVE_", "tg_test_", "sk-ant-api03-x"] {
            assert!(PresentedKey::parse(other).is_none(), "{other}");
        }
    }

    #[test]
    fn another_secret_does_not_match() {
        let entropy = SystemEntropy::new();
        let (one, two) = (NewKey::draw(&entropy), NewKey::draw(&entropy));
        let presented = PresentedKey::parse(two.text.expose()).unwrap().unwrap();
        assert!(!StoredDigest::new(one.digest).matches(&presented));
    }

    #[test]
    fn debug_shows_the_public_part_only() {
        let key = NewKey::draw(&SystemEntropy::new());
        let text = key.text.expose().clone();
        let read = PresentedKey::parse(&text).unwrap().unwrap();
        let shown = format!("{read:?} {key:?}");
        assert!(shown.contains(key.lookup.as_str()));
        assert!(!shown.contains(&text[20..30]));
    }

    /// Does not compile if stored digests can be compared by `==`: the call would be ambiguous.
    #[test]
    fn stored_digests_have_no_comparison_but_the_constant_time_one() {
        struct Comparable;
        trait OneWay<A> {
            fn only() {}
        }
        impl<T> OneWay<()> for T {}
        impl<T: PartialEq> OneWay<Comparable> for T {}
        <StoredDigest as OneWay<_>>::only();
    }
}
