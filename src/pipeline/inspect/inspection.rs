//! The inspection: the index, the secrets found in its texts, and the edits that take them out.

use std::borrow::Cow;

use bytes::Bytes;
use ring::hmac;

use crate::dialect::json::{Escapes, Text, text::unescape_into};
use crate::dialect::splice::Splice;
use crate::pipeline::inspect::finding::{Action, Blocked, Finding, Fingerprint, SecretKind};
use crate::pipeline::inspect::index::Index;
use crate::pipeline::inspect::place::{Place, PlacedText};
use crate::pipeline::inspect::secrets::{Detectors, Scan};
use crate::types::ids::TenantId;
use crate::types::secret::Secret;

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

/// A tenant's key for fingerprints.
pub struct FingerprintKey(hmac::Key);

impl std::fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FingerprintKey(…)")
    }
}

impl FingerprintKey {
    /// The key with this value.
    pub fn new(value: &Secret<[u8; 32]>) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, value.expose()))
    }

    /// A tenant's key, derived from the installation's, so that no fingerprint of one tenant can be
    /// compared with another's.
    pub fn of_tenant(root: &Secret<[u8; 32]>, tenant: TenantId) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, root.expose());
        let tag = hmac::sign(&root, tenant.as_uuid().as_bytes());
        Self(hmac::Key::new(hmac::HMAC_SHA256, tag.as_ref()))
    }

    fn fingerprint(&self, secret: &[u8]) -> Fingerprint {
        Fingerprint::of_tag(hmac::sign(&self.0, secret).as_ref())
    }
}

/// What a request carries. Only [`inspect`] makes one.
#[derive(Debug)]
pub struct Inspection {
    index: Index,
    findings: Vec<Finding>,
    splices: Vec<Splice>,
    blocked: Option<Blocked>,
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

    /// Why the request must not go on, if so.
    pub const fn blocked(&self) -> Option<&Blocked> {
        self.blocked.as_ref()
    }
}

/// Looks for secrets in every text of a request.
pub fn inspect(index: Index, detectors: &Detectors, actions: &Actions, key: &FingerprintKey) -> Inspection {
    let mut looking = Looking {
        body: index.body().clone(),
        detectors,
        scan: detectors.scan(),
        unescaped: Vec::new(),
        actions,
        key,
        findings: Vec::new(),
        splices: Vec::new(),
        blocked: None,
    };
    let stopped = index
        .texts()
        .iter()
        .try_for_each(|placed| looking.text(placed))
        .err();
    Inspection {
        findings: looking.findings,
        splices: looking.splices,
        blocked: stopped.or(looking.blocked),
        index,
    }
}

struct Looking<'a> {
    body: Bytes,
    detectors: &'a Detectors,
    scan: Scan<'a>,
    unescaped: Vec<u8>,
    actions: &'a Actions,
    key: &'a FingerprintKey,
    findings: Vec<Finding>,
    splices: Vec<Splice>,
    blocked: Option<Blocked>,
}

impl Looking<'_> {
    fn text(&mut self, placed: &PlacedText) -> Result<(), Blocked> {
        let body = self.body.clone();
        let Some(text) = self.worth_scanning(&body, placed.text) else {
            return Ok(());
        };
        let found = self.scan.text(&text);
        let found = found.map_err(|overrun| Blocked::TooMuch {
            kind: overrun.kind.clone(),
        })?;
        let action = self.actions.at(placed.place);
        let mut places = placed.text.places(&body);
        for found in found {
            let fingerprint = self
                .key
                .fingerprint(text.get(found.range.clone()).unwrap_or_default());
            let kind = found.kind.clone();
            if action == Action::Redact {
                self.splices.push(Splice {
                    range: places.body_offset(found.range.start)..places.body_offset(found.range.end),
                    with: Bytes::from(format!("[[SECRET:{kind}:{}]]", fingerprint.short())),
                });
            }
            if action == Action::Block && self.blocked.is_none() {
                self.blocked = Some(Blocked::Secret {
                    kind: kind.clone(),
                    place: placed.place,
                    location: placed.location,
                });
            }
            self.findings.push(Finding {
                kind,
                place: placed.place,
                location: placed.location,
                fingerprint,
                action,
            });
        }
        if let Cow::Owned(buffer) = text {
            self.unescaped = buffer;
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
