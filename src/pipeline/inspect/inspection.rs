//! The inspection: the index, the secrets found in its texts, and the edits that take them out.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use crate::dialect::json::{Escapes, Text, text::unescape_into};
use crate::dialect::splice::Splice;
use crate::pipeline::inspect::finding::{Action, Blocked, Finding, Fingerprint, SecretKind};
use crate::pipeline::inspect::index::Index;
use crate::pipeline::inspect::memory::{Memory, Seen};
use crate::pipeline::inspect::place::{Place, PlacedText};
use crate::pipeline::inspect::secrets::{Detectors, Scan};

/// Raw bytes of a text below which searching it costs no more than knowing it again.
const DIGESTED_MIN: usize = 256;
/// Bytes on each side of the seam between neighbouring texts in which a token across it is looked for.
const SEAM_BYTES: usize = 256;

/// What is done about secrets, by the place where they stand.
#[derive(Clone, Copy, Debug)]
pub struct Actions {
    /// In [`Place::NewestUserText`].
    pub newest_user_text: Action,
    /// In [`Place::ToolArguments`].
    pub tool_arguments: Action,
    /// In [`Place::ToolResult`].
    pub tool_result: Action,
    /// In [`Place::SystemText`].
    pub system_text: Action,
    /// In [`Place::EarlierTurn`].
    pub earlier_turn: Action,
    /// In [`Place::ToolDefinition`].
    pub tool_definition: Action,
    /// In [`Place::OtherField`].
    pub other_field: Action,
}

impl Actions {
    /// The shipped actions: what is new is refused, so that its author learns of it; what came
    /// from elsewhere or was said before is taken out, so that the conversation can go on.
    pub const SHIPPED: Self = Self {
        newest_user_text: Action::Block,
        tool_arguments: Action::Block,
        tool_result: Action::Redact,
        system_text: Action::Redact,
        earlier_turn: Action::Redact,
        tool_definition: Action::Redact,
        other_field: Action::Redact,
    };

    const fn at(&self, place: Place) -> Action {
        match place {
            Place::NewestUserText => self.newest_user_text,
            Place::ToolArguments => self.tool_arguments,
            Place::ToolResult => self.tool_result,
            Place::SystemText => self.system_text,
            Place::EarlierTurn => self.earlier_turn,
            Place::ToolDefinition => self.tool_definition,
            Place::OtherField => self.other_field,
        }
    }
}

/// What a request carries. Only [`inspect`] makes one.
#[derive(Debug)]
pub struct Inspection {
    index: Index,
    findings: Vec<Finding>,
    splices: Vec<Splice>,
    blocked: Option<Blocked>,
    searched_bytes: usize,
}

impl Inspection {
    /// The index that was inspected.
    pub const fn index(&self) -> &Index {
        &self.index
    }

    /// The secrets found, in the order of the body.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The kinds of secrets found, each once.
    pub fn kinds(&self) -> Vec<SecretKind> {
        let mut kinds: Vec<SecretKind> = self.findings.iter().map(|finding| finding.kind.clone()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// The edits that take secrets out of the body.
    pub fn splices(&self) -> &[Splice] {
        &self.splices
    }

    /// How many bytes of text had to be searched: those that the tenant's memory did not know.
    pub const fn searched_bytes(&self) -> usize {
        self.searched_bytes
    }

    /// Why the request must not go on, if so.
    pub const fn blocked(&self) -> Option<&Blocked> {
        self.blocked.as_ref()
    }
}

/// Looks for secrets in every text of a request that the tenant's memory does not know.
pub fn inspect(index: Index, detectors: &Detectors, actions: &Actions, memory: &Memory) -> Inspection {
    let mut looking = Looking {
        body: index.body().clone(),
        detectors,
        scan: detectors.scan(),
        unescaped: Vec::new(),
        actions,
        memory,
        findings: Vec::new(),
        splices: Vec::new(),
        blocked: None,
        searched_bytes: 0,
    };
    let stopped = looking.texts(index.texts()).err();
    Inspection {
        findings: looking.findings,
        splices: looking.splices,
        blocked: stopped.or(looking.blocked),
        searched_bytes: looking.searched_bytes,
        index,
    }
}

struct Looking<'a> {
    body: Bytes,
    detectors: &'a Detectors,
    scan: Scan<'a>,
    unescaped: Vec<u8>,
    actions: &'a Actions,
    memory: &'a Memory,
    findings: Vec<Finding>,
    splices: Vec<Splice>,
    blocked: Option<Blocked>,
    searched_bytes: usize,
}

impl Looking<'_> {
    fn texts(&mut self, texts: &[PlacedText]) -> Result<(), Blocked> {
        let mut before: Option<&PlacedText> = None;
        for placed in texts {
            if let Some(before) = before.filter(|before| before.continues_in(placed)) {
                self.seam(before, placed)?;
            }
            self.text(placed)?;
            before = Some(placed);
        }
        Ok(())
    }

    fn text(&mut self, placed: &PlacedText) -> Result<(), Blocked> {
        let body = self.body.clone();
        let raw = placed.text.raw(&body);
        if raw.len() < DIGESTED_MIN {
            let seen = self.search(&body, placed.text)?;
            self.act(&body, placed, &seen);
            return Ok(());
        }
        let digest = self.memory.digest(self.detectors.version(), raw);
        match self.memory.recall(&digest) {
            Some(None) => {}
            Some(Some(seen)) => self.act(&body, placed, &seen),
            None => {
                let seen = self.search(&body, placed.text)?;
                self.act(&body, placed, &seen);
                self.memory.keep(digest, seen);
            }
        }
        Ok(())
    }

    /// The secrets in a text.
    fn search(&mut self, body: &[u8], text: Text) -> Result<Vec<Seen>, Blocked> {
        self.searched_bytes += text.raw_len();
        let Some(text) = self.worth_scanning(body, text) else {
            return Ok(Vec::new());
        };
        let found = self.scan.text(&text).map_err(|overrun| too_much(overrun.kind))?;
        let seen = found.into_iter().map(|found| Seen {
            kind: found.kind.clone(),
            fingerprint: self
                .memory
                .fingerprint(text.get(found.range.clone()).unwrap_or_default()),
            range: found.range,
        });
        let seen = seen.collect();
        if let Cow::Owned(buffer) = text {
            self.unescaped = buffer;
        }
        Ok(seen)
    }

    /// Does about the secrets of a text what its place demands.
    fn act(&mut self, body: &[u8], placed: &PlacedText, seen: &[Seen]) {
        let mut places = placed.text.places(body);
        for seen in seen {
            let range = || places.body_offset(seen.range.start)..places.body_offset(seen.range.end);
            self.found(placed, &seen.kind, seen.fingerprint, range);
        }
    }

    /// Records a secret and does about it what its place demands.
    fn found(
        &mut self,
        placed: &PlacedText,
        kind: &SecretKind,
        fingerprint: Fingerprint,
        range: impl FnOnce() -> Range<usize>,
    ) {
        let action = self.actions.at(placed.place);
        match action {
            Action::Redact => {
                let range = range();
                // What a token across the seam has taken is not taken again.
                let taken = self.splices.last().map_or(0, |last| last.range.end);
                if taken < range.end {
                    self.splices.push(Splice {
                        range: range.start.max(taken)..range.end,
                        with: Bytes::from(format!("[[SECRET:{kind}:{}]]", fingerprint.short())),
                    });
                }
            }
            Action::Block if self.blocked.is_none() => {
                self.blocked = Some(Blocked::Secret {
                    kind: kind.clone(),
                    place: placed.place,
                    location: placed.location,
                });
            }
            Action::Block | Action::Flag => {}
        }
        self.findings.push(Finding {
            kind: kind.clone(),
            place: placed.place,
            location: placed.location,
            fingerprint,
            action,
        });
    }

    /// Looks for a token that begins in one text and ends in the next: models read neighbouring blocks as one text.
    fn seam(&mut self, before: &PlacedText, after: &PlacedText) -> Result<(), Blocked> {
        let body = self.body.clone();
        let (head, tail) = (before.text.unescape(&body), after.text.unescape(&body));
        let from = head.len().saturating_sub(SEAM_BYTES);
        let ending = head.get(from..).unwrap_or_default();
        let joint = [ending, tail.get(..tail.len().min(SEAM_BYTES)).unwrap_or_default()].concat();
        let found = self.scan.text(&joint).map_err(|overrun| too_much(overrun.kind))?;
        let seam = ending.len();
        let crossing = found.into_iter().find(|found| {
            found.range.start < seam && seam < found.range.end && self.detectors.is_token(found)
        });
        let Some(found) = crossing else {
            return Ok(());
        };
        let fingerprint = self
            .memory
            .fingerprint(joint.get(found.range.clone()).unwrap_or_default());
        let mut places = before.text.places(&body);
        let first = places.body_offset(from + found.range.start)..places.body_offset(head.len());
        let rest = after.text.range().start..after.text.places(&body).body_offset(found.range.end - seam);
        if self
            .splices
            .last()
            .is_none_or(|last| last.range.end <= first.start)
        {
            self.found(before, found.kind, fingerprint, || first);
            if self.actions.at(before.place) == Action::Redact {
                self.splices.push(Splice {
                    range: rest,
                    with: Bytes::new(),
                });
            }
        }
        Ok(())
    }

    /// The unescaped text, unless its raw bytes already show that no keyword stands in it: escapes
    /// other than `\uXXXX` and `\/` cannot hide one.
    fn worth_scanning<'b>(&mut self, body: &'b [u8], text: Text) -> Option<Cow<'b, [u8]>> {
        let raw = text.raw(body);
        let shows_all = text.escapes() != Escapes::Coded;
        if shows_all && !self.detectors.any_keyword(raw) {
            return None;
        }
        if text.escapes() == Escapes::None {
            return Some(Cow::Borrowed(raw));
        }
        let mut buffer = std::mem::take(&mut self.unescaped);
        buffer.clear();
        unescape_into(raw, &mut buffer);
        Some(Cow::Owned(buffer))
    }
}

fn too_much(kind: &SecretKind) -> Blocked {
    Blocked::TooMuch { kind: kind.clone() }
}
