//! What inspections of one tenant know of each other: the key of its fingerprints, and the verdicts on texts.
//!
//! Agents send the whole conversation with each turn. A text that was searched before is known by a keyed digest of
//! its raw bytes and of the rules, and is not searched again, so that a turn costs what is new in it. Verdicts hold
//! places and fingerprints, never text. Each tenant has a memory of its own, of a bounded size, with keys of its own:
//! neither by content nor by time can one tenant learn what another has sent.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use ring::hmac;

use crate::pipeline::inspect::finding::{Fingerprint, SecretKind};
use crate::types::digest::Sha256;
use crate::types::ids::TenantId;
use crate::types::secret::Secret;

/// Verdicts of one generation at most; two generations are kept, about 12 MiB for one tenant.
const GENERATION_MAX: usize = 65_536;
/// Secrets in one text up to which its verdict is kept.
const SECRETS_MAX: usize = 256;

/// A secret in a text, without the text.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) kind: SecretKind,
    /// Where, in bytes of the unescaped text.
    pub(super) range: Range<usize>,
    pub(super) fingerprint: Fingerprint,
}

/// What was found in a text; `None` for nothing, as almost always.
pub(super) type Verdict = Option<Arc<[Seen]>>;

/// The digest that a verdict is kept under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct BlockDigest([u8; 32]);

/// The memory of one tenant.
pub struct Memory {
    fingerprints: hmac::Key,
    blocks: hmac::Key,
    verdicts: Mutex<Generations>,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memory(…)")
    }
}

impl Memory {
    /// An empty memory with this key.
    pub fn new(key: &Secret<[u8; 32]>) -> Self {
        let fingerprints = hmac::Key::new(hmac::HMAC_SHA256, key.expose());
        let blocks = hmac::sign(&fingerprints, b"verdicts on blocks");
        Self {
            blocks: hmac::Key::new(hmac::HMAC_SHA256, blocks.as_ref()),
            fingerprints,
            verdicts: Mutex::default(),
        }
    }

    /// The verdicts that are kept.
    pub fn verdicts(&self) -> usize {
        let generations = self.verdicts.lock();
        generations.young.len() + generations.old.len()
    }

    pub(super) fn fingerprint(&self, secret: &[u8]) -> Fingerprint {
        Fingerprint::of_tag(hmac::sign(&self.fingerprints, secret).as_ref())
    }

    /// The digest of a text's raw bytes under these rules.
    pub(super) fn digest(&self, rules: Sha256, raw: &[u8]) -> BlockDigest {
        let mut context = hmac::Context::with_key(&self.blocks);
        context.update(rules.as_bytes());
        context.update(raw);
        let mut value = [0; 32];
        for (to, from) in value.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        BlockDigest(value)
    }

    pub(super) fn recall(&self, digest: &BlockDigest) -> Option<Verdict> {
        self.verdicts.lock().recall(digest)
    }

    pub(super) fn keep(&self, digest: BlockDigest, seen: Vec<Seen>) {
        if seen.len() <= SECRETS_MAX {
            let verdict = if seen.is_empty() { None } else { Some(seen.into()) };
            self.verdicts.lock().keep(digest, verdict);
        }
    }
}

/// The verdicts asked for lately, and those of the time before: what is not asked for in between is forgotten.
#[derive(Default)]
struct Generations {
    young: HashMap<BlockDigest, Verdict>,
    old: HashMap<BlockDigest, Verdict>,
}

impl Generations {
    fn recall(&mut self, digest: &BlockDigest) -> Option<Verdict> {
        if let Some(verdict) = self.young.get(digest) {
            return Some(verdict.clone());
        }
        let verdict = self.old.remove(digest)?;
        self.keep(*digest, verdict.clone());
        Some(verdict)
    }

    fn keep(&mut self, digest: BlockDigest, verdict: Verdict) {
        if self.young.len() >= GENERATION_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(digest, verdict);
    }
}

/// The memories of all tenants.
#[derive(Debug)]
pub struct Memories {
    root: Secret<[u8; 32]>,
    tenants: RwLock<HashMap<TenantId, Arc<Memory>>>,
}

impl Memories {
    /// Memories whose keys are derived from the installation's, so that nothing of one tenant can be compared with
    /// another's.
    pub fn new(root: Secret<[u8; 32]>) -> Self {
        Self {
            root,
            tenants: RwLock::default(),
        }
    }

    /// A tenant's memory. There are as many as tenants that have sent anything.
    pub fn of(&self, tenant: TenantId) -> Arc<Memory> {
        if let Some(memory) = self.tenants.read().get(&tenant) {
            return Arc::clone(memory);
        }
        let root = hmac::Key::new(hmac::HMAC_SHA256, self.root.expose());
        let tag = hmac::sign(&root, tenant.as_uuid().as_bytes());
        let mut key = [0; 32];
        for (to, from) in key.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
        let mut tenants = self.tenants.write();
        let memory = tenants
            .entry(tenant)
            .or_insert_with(|| Arc::new(Memory::new(&Secret::new(key))));
        Arc::clone(memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_asked_for_is_forgotten_and_the_rest_stays() {
        let memory = Memory::new(&Secret::new([1; 32]));
        let digest = |number: usize| memory.digest(Sha256::of(b"rules"), &number.to_be_bytes());
        for number in 0..GENERATION_MAX * 3 {
            memory.keep(digest(number), Vec::new());
            assert!(memory.recall(&digest(0)).is_some(), "asked for all the time");
        }
        assert!(memory.verdicts() <= GENERATION_MAX * 2);
        assert!(memory.recall(&digest(1)).is_none(), "not asked for since long");
    }

    #[test]
    fn other_rules_other_tenants_and_other_texts_have_other_digests() {
        let (one, other) = (
            Memory::new(&Secret::new([1; 32])),
            Memory::new(&Secret::new([2; 32])),
        );
        let rules = Sha256::of(b"rules");
        let digest = one.digest(rules, b"text");
        assert_eq!(digest, one.digest(rules, b"text"));
        for different in [
            one.digest(rules, b"texts"),
            one.digest(Sha256::of(b"more"), b"text"),
            other.digest(rules, b"text"),
        ] {
            assert_ne!(digest, different);
        }
    }

    #[test]
    fn a_tenant_has_one_memory_and_shares_it_with_nobody() {
        let memories = Memories::new(Secret::new([7; 32]));
        let (ann, bob) = (
            TenantId::from_uuid(uuid::Uuid::from_u128(1)),
            TenantId::from_uuid(uuid::Uuid::from_u128(2)),
        );
        assert!(Arc::ptr_eq(&memories.of(ann), &memories.of(ann)));
        assert!(!Arc::ptr_eq(&memories.of(ann), &memories.of(bob)));
        assert_ne!(
            memories.of(ann).fingerprint(b"x"),
            memories.of(bob).fingerprint(b"x")
        );
        let again = Memories::new(Secret::new([7; 32]));
        assert_eq!(
            memories.of(ann).fingerprint(b"x"),
            again.of(ann).fingerprint(b"x"),
            "the same after a restart"
        );
    }
}
