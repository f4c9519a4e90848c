//! The content blocks of an answer, in the order in which their first piece came.
//!
//! Clients see one block at a time, upstreams may interleave: what cannot be shown yet is held here.
//! Only the front block is ever open at the client, so that text flows through and tool calls that come
//! one after the other do, too.

use std::collections::{HashSet, VecDeque};

use bytes::{BufMut, BytesMut};

use crate::dialect::anthropic::event::BlockIndex;
use crate::dialect::anthropic::signature::{Carried, Signer};
use crate::dialect::openai::answer::ToolDelta;
use crate::dialect::raw::is_blank;
use crate::pipeline::translate::answer::call::Call;
use crate::pipeline::translate::answer::fault::Fault;
use crate::pipeline::translate::answer::passage::{Hiding, Passage};
use crate::pipeline::translate::answer::prose::Kind;
use crate::pipeline::translate::answer::tally::size;
use crate::pipeline::translate::names::{Names, client_id, invented_id};

/// The most bytes that are held for blocks whose turn has not come.
pub(crate) const HELD_BYTES_MAX: usize = 16 << 20;

/// The most tool calls in one answer.
const CALLS_MAX: usize = 1000;

/// What blocks need to know to be shown.
pub(crate) struct View<'v> {
    /// Tool names to be changed back.
    pub(crate) names: &'v Names,
    /// The id of the message, from which missing tool ids are made.
    pub(crate) message_id: &'v str,
}

/// The blocks that have not been shown in full.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    queue: VecDeque<Block>,
    calls: Vec<Call>,
    next_index: BlockIndex,
    used_ids: HashSet<String>,
    held_bytes: usize,
    /// All bytes of prose and arguments, for the estimate of output tokens.
    seen_bytes: u64,
    hiding: Hiding,
    /// Whether the upstream signs what must come back, and who it is.
    signs: Option<Signer>,
    /// The signature of a text that no thinking stands before.
    unplaced: Option<String>,
    /// Whether anything but thinking and white space has come.
    has_answer: bool,
}

#[derive(Debug)]
enum Block {
    Prose(Passage),
    /// The nth call.
    Tool(usize),
}

impl Blocks {
    pub(crate) fn new(hiding: Hiding) -> Self {
        Self {
            hiding,
            ..Self::default()
        }
    }

    /// The same for an upstream that signs what must come back.
    pub(crate) fn signed(hiding: Hiding, by: Signer) -> Self {
        Self {
            signs: Some(by),
            ..Self::new(hiding)
        }
    }

    pub(crate) const fn hiding(&self) -> Hiding {
        self.hiding
    }

    /// Whether there is any text or call.
    pub(crate) const fn has_answer(&self) -> bool {
        self.has_answer
    }

    /// The index of a call that comes in one piece.
    pub(crate) fn next_call(&self) -> u64 {
        size(self.calls.len())
    }

    /// Tool calls whose name is known.
    pub(crate) fn tool_calls(&self) -> u32 {
        u32::try_from(self.calls.iter().filter(|call| !call.name().is_empty()).count()).unwrap_or(u32::MAX)
    }

    /// Bytes of prose and arguments that came so far.
    pub(crate) const fn seen_bytes(&self) -> u64 {
        self.seen_bytes
    }

    /// Bytes that wait to be shown.
    pub(crate) const fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Whether a call has arguments but no name: nobody could run it.
    pub(crate) fn has_nameless_arguments(&self) -> bool {
        self.calls
            .iter()
            .any(|call| call.name().is_empty() && call.progress().has_begun())
    }

    /// Takes a piece of prose, escaped.
    pub(crate) fn prose(&mut self, kind: Kind, escaped: &str) -> Result<(), Fault> {
        self.count(escaped)?;
        self.has_answer |= kind == Kind::Text && !is_blank(escaped);
        match self.queue.back_mut() {
            Some(Block::Prose(tail)) if tail.kind() == kind && !tail.is_signed() => {
                tail.take(escaped, self.hiding);
            }
            _ => {
                let signer = self.signs.filter(|_| kind == Kind::Thinking);
                let mut passage = Passage::new(kind, signer.map(Carried::of));
                passage.take(escaped, self.hiding);
                self.queue.push_back(Block::Prose(passage));
            }
        }
        Ok(())
    }

    /// The thinking that came last is signed.
    pub(crate) fn sign_thinking(&mut self, signature: &str) -> Result<(), Fault> {
        self.count(signature)?;
        if let Some(carried) = self.last_carried() {
            carried.own = Some(signature.to_owned());
        }
        Ok(())
    }

    /// Thinking comes that only its maker can read.
    pub(crate) fn redacted(&mut self, data: &str) -> Result<(), Fault> {
        self.count(data)?;
        let carried = Carried {
            redacted: Some(data.to_owned()),
            ..Carried::of(self.signs.unwrap_or_default())
        };
        let passage = Passage::new(Kind::Thinking, Some(carried));
        self.queue.push_back(Block::Prose(passage));
        Ok(())
    }

    /// The text that comes next, or came last, is signed. The thinking before it carries the signature;
    /// without any, the thinking that is made for the next call does. A text alone stays unsigned, because
    /// a block behind it would hide it from clients that read the last one.
    pub(crate) fn sign_text(&mut self, signature: &str) -> Result<(), Fault> {
        self.count(signature)?;
        match self.last_carried() {
            Some(carried) => carried.next = Some(signature.to_owned()),
            None => self.unplaced = Some(signature.to_owned()),
        }
        Ok(())
    }

    /// The call that comes next is signed, or a text before it is: thinking carries the signatures, and
    /// is made for it where there is none.
    pub(crate) fn sign_call(&mut self, signature: Option<&str>) -> Result<(), Fault> {
        let (prior, next) = (self.unplaced.take(), signature.map(str::to_owned));
        if prior.is_none() && next.is_none() {
            return Ok(());
        }
        self.count(signature.unwrap_or_default())?;
        if self.last_carried().is_none_or(|carried| carried.next.is_some()) {
            let passage = Passage::new(Kind::Thinking, Some(Carried::of(self.signs.unwrap_or_default())));
            self.queue.push_back(Block::Prose(passage));
        }
        if let Some(carried) = self.last_carried() {
            carried.prior = prior;
            carried.next = next;
        }
        Ok(())
    }

    /// What the thinking carries that came last, if nothing came behind it.
    fn last_carried(&mut self) -> Option<&mut Carried> {
        match self.queue.back_mut() {
            Some(Block::Prose(passage)) => passage.carried(),
            _ => None,
        }
    }

    /// Takes a piece of a tool call.
    pub(crate) fn tool(&mut self, delta: &ToolDelta<'_>) -> Result<(), Fault> {
        self.count(&delta.arguments)?;
        self.has_answer = true;
        let nth = match self.call_of(delta) {
            Some(nth) => nth,
            None if self.calls.len() >= CALLS_MAX => {
                return Err(Fault::broken("the upstream's answer has too many tool calls"));
            }
            None => {
                self.calls.push(Call::begun_by(delta));
                self.queue.push_back(Block::Tool(self.calls.len() - 1));
                self.calls.len() - 1
            }
        };
        let is_last = matches!(self.queue.back(), Some(Block::Tool(last)) if *last == nth);
        self.calls
            .get_mut(nth)
            .map_or(Ok(()), |call| call.take(delta, is_last))
    }

    /// Shows what can be shown. At the end everything can.
    pub(crate) fn show(&mut self, out: &mut BytesMut, view: &View<'_>, at_end: bool) {
        loop {
            let is_tail = self.queue.len() == 1;
            let finished = match self.queue.front_mut() {
                None => break,
                Some(Block::Prose(passage)) => {
                    passage.show(out, &mut self.next_index);
                    !is_tail || at_end
                }
                Some(Block::Tool(nth)) => {
                    let Some(call) = self.calls.get_mut(*nth) else {
                        break;
                    };
                    if !call.is_open() && !call.name().is_empty() {
                        let id = assign_id(&mut self.used_ids, call.id(), *nth, view);
                        let name = view.names.restored(call.name()).to_owned();
                        call.open(out, self.next_index, &id, &name);
                        self.next_index = self.next_index.saturating_add(1);
                    }
                    call.show(out);
                    at_end || (!is_tail && call.is_open() && call.progress().is_complete())
                }
            };
            if !finished {
                break;
            }
            self.close_front(out);
        }
        self.held_bytes = self.queue.iter().map(|block| self.held_by(block)).sum();
    }

    /// Writes all blocks as the `content` of a message. Nothing of them has been shown.
    pub(crate) fn put_content(&mut self, out: &mut BytesMut, view: &View<'_>) {
        out.put_u8(b'[');
        let mut separator: &[u8] = b"";
        for block in &self.queue {
            match block {
                Block::Prose(passage) if passage.is_blank() => continue,
                Block::Prose(passage) => {
                    out.put_slice(separator);
                    passage.put(out);
                }
                Block::Tool(nth) => {
                    let Some(call) = self.calls.get(*nth).filter(|call| !call.name().is_empty()) else {
                        continue;
                    };
                    out.put_slice(separator);
                    let id = assign_id(&mut self.used_ids, call.id(), *nth, view);
                    call.put(out, &id, view.names.restored(call.name()));
                }
            }
            separator = b",";
        }
        out.put_u8(b']');
    }

    fn count(&mut self, escaped: &str) -> Result<(), Fault> {
        self.seen_bytes = self.seen_bytes.saturating_add(size(escaped.len()));
        self.held_bytes = self.held_bytes.saturating_add(escaped.len());
        if self.held_bytes > HELD_BYTES_MAX {
            return Err(Fault::broken("the upstream's answer is larger than can be held"));
        }
        Ok(())
    }

    fn held_by(&self, block: &Block) -> usize {
        match block {
            Block::Prose(passage) => passage.held_bytes(),
            Block::Tool(nth) => self.calls.get(*nth).map_or(0, Call::held_bytes),
        }
    }

    /// The call that a piece belongs to; `None` where it begins a new one.
    fn call_of(&self, delta: &ToolDelta<'_>) -> Option<usize> {
        let nth = match delta.index {
            Some(_) => self.calls.iter().rposition(|call| call.index() == delta.index)?,
            None => self.calls.len().checked_sub(1)?,
        };
        let call = self.calls.get(nth)?;
        (!call.is_other(delta)).then_some(nth)
    }

    fn close_front(&mut self, out: &mut BytesMut) {
        match self.queue.pop_front() {
            Some(Block::Prose(passage)) => passage.close(out),
            Some(Block::Tool(nth)) => {
                if let Some(call) = self.calls.get(nth) {
                    call.close(out);
                }
            }
            None => {}
        }
    }
}

/// An id that the client takes and that no other call of the message has.
fn assign_id(used: &mut HashSet<String>, upstream_id: &str, nth: usize, view: &View<'_>) -> String {
    let wanted = if upstream_id.is_empty() {
        invented_id(view.message_id, nth)
    } else {
        client_id(upstream_id).into_owned()
    };
    let again = (2..).map(|n| client_id(&format!("{wanted}_{n}")).into_owned());
    let free = std::iter::once(wanted.clone())
        .chain(again)
        .find(|id| !used.contains(id));
    let id = free.unwrap_or(wanted);
    used.insert(id.clone());
    id
}
