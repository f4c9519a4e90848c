//! A tool call that arrives in pieces.

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};

use crate::dialect::anthropic::event::{BlockIndex, Delta, put_block_stop, put_delta, put_tool_start};
use crate::dialect::openai::answer::ToolDelta;
use crate::dialect::raw::{Raw, is_blank, put_string, unescape};
use crate::pipeline::translate::answer::arguments::Progress;
use crate::pipeline::translate::answer::fault::Fault;

/// A tool call of the answer.
#[derive(Debug, Default)]
pub(super) struct Call {
    index: Option<u64>,
    id: String,
    name: String,
    /// Escaped arguments that have not been shown.
    held: String,
    progress: Progress,
    open: Option<BlockIndex>,
}

impl Call {
    /// The call that this piece begins.
    pub(super) fn begun_by(delta: &ToolDelta<'_>) -> Self {
        Self {
            index: delta.index,
            ..Self::default()
        }
    }

    pub(super) const fn index(&self) -> Option<u64> {
        self.index
    }

    /// The id that the upstream gave; empty where it gave none.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) const fn held_bytes(&self) -> usize {
        self.held.len()
    }

    pub(super) const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    pub(super) const fn progress(&self) -> Progress {
        self.progress
    }

    /// Whether this piece cannot belong to the call.
    pub(super) fn is_other(&self, delta: &ToolDelta<'_>) -> bool {
        if delta.name.is_empty() {
            // Without an index or a name there is nothing to tell calls apart by but a new id.
            return delta.index.is_none()
                && !delta.id.is_empty()
                && delta.id != self.id
                && !self.id.is_empty();
        }
        let other_id = !delta.id.is_empty() && !self.id.is_empty() && delta.id != self.id;
        let other_name = !self.name.is_empty() && delta.name != self.name;
        let same_id = !delta.id.is_empty() && delta.id == self.id;
        // More arguments behind complete ones would be no JSON, so they are another call's.
        let overrun = self.progress.is_complete() && !is_blank(&delta.arguments);
        let named_anew = delta.index.is_none() && !same_id && !self.name.is_empty();
        other_id || overrun || named_anew || (other_name && !same_id && self.id.is_empty())
    }

    /// Takes a piece. Once another block has begun behind complete arguments, there is no more to come:
    /// the call may have been shown and closed.
    pub(super) fn take(&mut self, delta: &ToolDelta<'_>, is_last_block: bool) -> Result<(), Fault> {
        if self.id.is_empty() {
            self.id.push_str(&delta.id);
        }
        if self.name.is_empty() {
            self.name.push_str(&delta.name);
        }
        if self.progress.is_complete() && !is_last_block {
            let message = "the upstream went on with a tool call that was complete";
            return if is_blank(&delta.arguments) {
                Ok(())
            } else {
                Err(Fault::broken(message))
            };
        }
        self.progress.take(&delta.arguments);
        self.held.push_str(&delta.arguments);
        Ok(())
    }

    /// Opens the block.
    pub(super) fn open(&mut self, out: &mut BytesMut, index: BlockIndex, id: &str, name: &str) {
        put_tool_start(out, index, id, name);
        self.open = Some(index);
    }

    /// Shows what is held, once the block is open.
    pub(super) fn show(&mut self, out: &mut BytesMut) {
        if let Some(index) = self.open.filter(|_| !self.held.is_empty()) {
            put_delta(out, index, Delta::InputJson, &self.held);
            self.held.clear();
        }
    }

    pub(super) fn close(&self, out: &mut BytesMut) {
        if let Some(index) = self.open {
            put_block_stop(out, index);
        }
    }

    /// Writes the whole block; nothing of it has been shown.
    pub(super) fn put(&self, out: &mut BytesMut, id: &str, name: &str) {
        out.put_slice(br#"{"type":"tool_use","id":"#);
        put_string(out, id);
        out.put_slice(br#","name":"#);
        put_string(out, name);
        out.put_slice(br#","input":"#);
        // Half a surrogate pair cannot be unescaped; then the escapes are shown as they are.
        let arguments = unescape(&self.held).unwrap_or(Cow::Borrowed(&self.held));
        match Raw::read(&arguments).filter(|input| input.text().starts_with('{')) {
            Some(input) => out.put_slice(input.text().as_bytes()),
            None if self.progress.has_begun() => {
                // The model wrote no JSON, or was cut off: the client sees what there is.
                out.put_slice(br#"{"_raw_arguments":"#);
                put_string(out, &arguments);
                out.put_u8(b'}');
            }
            None => out.put_slice(b"{}"),
        }
        out.put_u8(b'}');
    }
}
