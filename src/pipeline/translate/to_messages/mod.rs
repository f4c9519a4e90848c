//! What every translation into the Messages API shares.
//!
//! Messages are the canonical form: whatever a client speaks is put into them first. A Messages upstream
//! gets them as they are, any other upstream by one more translation out of them, so that a new dialect
//! of upstreams has every way in at once.
//!
//! The fields come in one order, messages last, and values are copied as they are written, so equal
//! conversations give equal prefixes and the upstream's prompt cache works.

pub(crate) mod blocks;
pub(crate) mod model;
pub(crate) mod parameters;
pub(crate) mod schema;
pub(crate) mod thinking;
pub(crate) mod tools;
pub(crate) mod turns;

use std::borrow::Cow;

use bytes::{BufMut, Bytes};

use crate::dialect::raw::{Members, put_string};
use crate::pipeline::translate::dropped::{Dropped, Losses, Place};
use crate::pipeline::translate::names::Names;
use crate::pipeline::translate::request::{Untranslatable, refuse};
use crate::pipeline::translate::to_messages::model::Traits;
use crate::types::ids::ModelName;

/// Who reads the Messages that are written.
#[derive(Clone, Copy, Debug)]
pub enum Reader<'m> {
    /// An upstream that serves this model: the request keeps the model's rules.
    Upstream(&'m ModelName),
    /// One more translation. Nothing has to fit a model of Anthropic's, and what the client did not say
    /// stays unsaid (`max_tokens` may be absent).
    Translation,
}

impl Reader<'_> {
    fn traits(self) -> Traits {
        match self {
            Self::Upstream(model) => model::traits(model.as_str()),
            Self::Translation => Traits::FREE,
        }
    }
}

/// A request in Messages.
#[derive(Debug)]
pub struct MessagesRequest<A> {
    /// The body.
    pub body: Bytes,
    /// What the translation lost.
    pub dropped: Vec<Dropped>,
    /// What the way back needs to know.
    pub answer: A,
}

/// What the parts of a translation share.
pub(crate) struct Draft<'m> {
    pub(crate) reader: Reader<'m>,
    pub(crate) losses: Losses,
    pub(crate) names: Names,
    pub(crate) out: Vec<u8>,
}

impl<'m> Draft<'m> {
    /// A request that has its model. Tools and calls have these names.
    pub(crate) fn new<'n>(
        reader: Reader<'m>,
        requested: &str,
        names: impl Iterator<Item = Cow<'n, str>>,
        bytes: usize,
    ) -> Self {
        let mut out = Vec::with_capacity(bytes + 512);
        out.put_slice(br#"{"model":"#);
        let model = match reader {
            Reader::Upstream(model) => model.as_str(),
            Reader::Translation => requested,
        };
        put_string(&mut out, model);
        Self {
            reader,
            losses: Losses::default(),
            names: Names::of(names),
            out,
        }
    }

    /// Writes the key of a top-level member. `model` stands before all of them.
    pub(crate) fn key(&mut self, name: &str) {
        self.out.put_u8(b',');
        put_string(&mut self.out, name);
        self.out.put_u8(b':');
    }

    /// The system prompt of these blocks, which have a comma before each.
    pub(crate) fn put_system(&mut self, blocks: &[u8]) {
        if let Some(blocks) = blocks.get(1..) {
            self.key("system");
            self.out.put_u8(b'[');
            self.out.put_slice(blocks);
            self.out.put_u8(b']');
        }
    }
}

/// The members of a body and the model that it asks for.
///
/// # Errors
/// The body is no request.
pub(crate) fn read_request(body: &[u8]) -> Result<(Members<'_>, Cow<'_, str>), Untranslatable> {
    let whole = Place::Body;
    let text = std::str::from_utf8(body).map_err(|_| refuse(whole.member("body"), "is not UTF-8"))?;
    let request = Members::read(text).ok_or_else(|| refuse(whole.member("body"), "is not a JSON object"))?;
    let requested = request
        .string("model")
        .ok_or_else(|| refuse(whole.member("model"), "a string is wanted"))?;
    Ok((request, requested))
}
