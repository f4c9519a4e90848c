//! A passage: consecutive prose of one kind, which becomes one block.

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};

use crate::dialect::anthropic::event::{
    BlockIndex, Delta, put_block_stop, put_delta, put_text_start, put_thinking_start,
};
use crate::dialect::anthropic::signature::{self, Carried, HIDDEN_BYTES_MAX};
use crate::dialect::raw::{is_blank, unescape};
use crate::pipeline::translate::answer::prose::Kind;

/// What becomes of the text of thinking blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Hiding {
    /// The client sees it.
    #[default]
    Shown,
    /// The client does not want it, and nobody else does.
    Dropped,
    /// The client does not want it, but sends it back in the signature.
    Kept,
}

/// Consecutive prose of one kind.
#[derive(Debug)]
pub(super) struct Passage {
    kind: Kind,
    /// Escaped text that has not been shown.
    held: String,
    /// Escaped text for the signature.
    hidden: String,
    hidden_is_too_long: bool,
    /// Whether only white space has come: such a passage never becomes a block.
    blank: bool,
    /// Signatures of the upstream, where it signs.
    carried: Option<Carried>,
    open: Option<BlockIndex>,
}

impl Passage {
    /// A passage; with `carried`, its signature carries what the upstream signed.
    pub(super) const fn new(kind: Kind, carried: Option<Carried>) -> Self {
        Self {
            carried,
            kind,
            held: String::new(),
            hidden: String::new(),
            hidden_is_too_long: false,
            blank: true,
            open: None,
        }
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether there is nothing to make a block of.
    pub(super) fn is_blank(&self) -> bool {
        self.blank && self.carried.as_ref().is_none_or(Carried::is_empty)
    }

    /// The signatures that it carries, where it is thinking of an upstream that signs.
    pub(super) const fn carried(&mut self) -> Option<&mut Carried> {
        self.carried.as_mut()
    }

    /// Whether it is complete, because what it carries belongs to it as it is.
    pub(super) fn is_signed(&self) -> bool {
        self.carried.as_ref().is_some_and(|carried| !carried.is_empty())
    }

    pub(super) const fn held_bytes(&self) -> usize {
        self.held.len()
    }

    pub(super) fn take(&mut self, escaped: &str, hiding: Hiding) {
        self.blank = self.blank && is_blank(escaped);
        if self.kind == Kind::Text || hiding == Hiding::Shown {
            self.held.push_str(escaped);
        } else if hiding == Hiding::Kept {
            self.hidden_is_too_long |= self.hidden.len() + escaped.len() > HIDDEN_BYTES_MAX;
            if self.hidden_is_too_long {
                self.hidden.clear();
            } else {
                self.hidden.push_str(escaped);
            }
        }
    }

    pub(super) fn show(&mut self, out: &mut BytesMut, next_index: &mut BlockIndex) {
        if self.is_blank() {
            return;
        }
        let index = self.open.unwrap_or_else(|| {
            let index = *next_index;
            *next_index = next_index.saturating_add(1);
            match self.kind {
                Kind::Text => put_text_start(out, index),
                Kind::Thinking => put_thinking_start(out, index),
            }
            index
        });
        self.open = Some(index);
        if !self.held.is_empty() {
            let delta = match self.kind {
                Kind::Text => Delta::Text,
                Kind::Thinking => Delta::Thinking,
            };
            put_delta(out, index, delta, &self.held);
            self.held.clear();
        }
    }

    pub(super) fn close(&self, out: &mut BytesMut) {
        let Some(index) = self.open else { return };
        if self.kind == Kind::Thinking {
            put_delta(out, index, Delta::Signature, &self.signature());
        }
        put_block_stop(out, index);
    }

    /// Writes the whole block; nothing of it has been shown.
    pub(super) fn put(&self, out: &mut BytesMut) {
        let (head, tail): (&[u8], &[u8]) = match self.kind {
            Kind::Text => (br#"{"type":"text","text":""#, br#""}"#),
            Kind::Thinking => (br#"{"type":"thinking","thinking":""#, br#"","signature":""#),
        };
        out.put_slice(head);
        out.put_slice(self.held.as_bytes());
        out.put_slice(tail);
        if self.kind == Kind::Thinking {
            out.put_slice(self.signature().as_bytes());
            out.put_slice(br#""}"#);
        }
    }

    /// Base64 needs no escapes.
    fn signature(&self) -> String {
        let hidden = unescape(&self.hidden).unwrap_or(Cow::Borrowed(""));
        let Some(carried) = &self.carried else {
            return signature::seal(&hidden);
        };
        let mut carried = carried.clone();
        if self.hidden_is_too_long {
            // Without its text it proves nothing.
            carried.own = None;
        } else if carried.own.is_some() && !hidden.is_empty() {
            carried.hidden = Some(hidden.into_owned());
        }
        carried.seal()
    }
}
