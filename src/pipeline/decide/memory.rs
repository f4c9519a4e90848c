//! What was permitted before, so that a conversation's next turn costs no evaluation.
//!
//! A decision is a pure function of facts and policies. The memory belongs to one set of policies and is
//! keyed by all the facts, compared whole: it can only repeat what evaluating them again would say.
//! Denials are not kept; they are rare, and a flood of them must not push permits out.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::pipeline::decide::facts::Facts;
use crate::pipeline::decide::verdict::Granted;

/// How many parts there are. A user's decisions are all in one, so that nobody pushes out everybody's.
const PARTS: usize = 32;
/// How many decisions a part keeps in each of its two generations.
const DECISIONS_PER_GENERATION: usize = 128;
/// Facts with more powers, findings, candidates and names in a certificate than this are not kept, in all.
const ITEMS_MAX: usize = 64;

/// The permits of one set of policies.
#[derive(Default)]
pub(super) struct Memory {
    parts: [Mutex<Part>; PARTS],
}

/// Two generations: when the young one is full it becomes the old one, whose decisions return to the
/// young one when they are asked for, and else are forgotten with it.
#[derive(Default)]
struct Part {
    young: HashMap<Facts, Arc<Granted>>,
    old: HashMap<Facts, Arc<Granted>>,
}

impl Memory {
    /// What was granted on the same facts.
    pub(super) fn recall(&self, facts: &Facts) -> Option<Arc<Granted>> {
        let mut part = self.part(facts)?.lock();
        if let Some(granted) = part.young.get(facts) {
            return Some(Arc::clone(granted));
        }
        let (facts, granted) = part.old.remove_entry(facts)?;
        part.insert(facts, Arc::clone(&granted));
        Some(granted)
    }

    /// Keeps what was granted.
    pub(super) fn keep(&self, facts: &Facts, granted: &Arc<Granted>) {
        let names = facts.certificate.as_ref().map_or(0, |certificate| {
            certificate.dns_names.len() + certificate.uris.len() + certificate.emails.len()
        });
        let items = facts.powers.len() + facts.findings.len() + facts.candidates.len() + names;
        if items > ITEMS_MAX {
            return;
        }
        if let Some(part) = self.part(facts) {
            part.lock().insert(facts.clone(), Arc::clone(granted));
        }
    }

    fn part(&self, facts: &Facts) -> Option<&Mutex<Part>> {
        // The last byte of a user's id is random.
        let [.., last] = facts.principal.user.as_uuid().into_bytes();
        self.parts.get(usize::from(last) % PARTS)
    }
}

impl Part {
    fn insert(&mut self, facts: Facts, granted: Arc<Granted>) {
        if self.young.len() >= DECISIONS_PER_GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(facts, granted);
    }
}
