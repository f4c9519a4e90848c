//! Which vendors there are, how each is addressed, and how a request to it is authorised.
//!
//! Input: declarations (`conf/providers.toml`, and those of crates that depend on this one) and the settings
//! of an upstream. Output: a [`Provider`] for that upstream. Never: a look at who asks, a decision about
//! what may be sent, a connection.
//!
//! - A vendor that is only settings of a dialect is a table of `conf/providers.toml`: `declaration` reads it,
//!   `declared` serves it. What differs in code is an implementation of [`Provider`]:
//!   `gemini`, `vertex` and `bedrock`, whose paths name the model.
//! - `registry`: all of them by label. `options`: what a provider must know besides its endpoint.
//! - `authorize`: credentials that are the same for every request, and those that are leased and sign. `lending`: those
//!   that clouds lend.
//! - `betas`: which of Anthropic's betas an upstream takes. `path`: names in paths. `frames`: streams that are not server-sent events.

pub mod authorize;
pub mod bedrock;
pub mod betas;
pub mod declaration;
pub mod declared;
pub mod frames;
pub mod gemini;
pub mod lending;
pub mod options;
mod path;
#[cfg(test)]
mod reference;
pub mod registry;
mod vertex;

use std::fmt::Debug;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::dialect::Dialect;
use crate::dialect::operation::Operation;
use crate::dialect::splice::Splice;
use crate::provider::authorize::Authorization;
use crate::provider::frames::Frames;
use crate::provider::lending::Lending;
use crate::provider::options::Options;
use crate::types::destination::Destination;
use crate::types::ids::ModelName;
use crate::types::secret::Secret;

/// One upstream in its vendor's ways: what is sent where, and with which proof.
///
/// The defaults are those of a vendor that differs in nothing from its dialect.
pub trait Provider: Debug + Send + Sync {
    /// What is spoken about this model; `usual` is what the declaration says.
    fn dialect(&self, usual: Dialect, model: &ModelName) -> Dialect {
        let _ = model;
        usual
    }

    /// How tokens of a Messages request are counted for this model, where Messages are spoken about it.
    fn counting(&self, model: &ModelName) -> Counting {
        let _ = model;
        Counting::AsMessages
    }

    /// The path and query of a request, its base path included.
    fn target(&self, ask: &Ask<'_>) -> String;

    /// Edits of the body before it is sent; they leave all other bytes alone.
    ///
    /// # Errors
    /// [`Unfit`] where this upstream cannot be asked such a thing.
    fn edits(&self, ask: &Ask<'_>, body: &[u8]) -> Result<Edits, Unfit> {
        let _ = (ask, body);
        Ok(Edits::default())
    }

    /// Headers to set, and with `None` to leave out, when all others stand and before the request is
    /// authorised.
    fn headers(&self, ask: &Ask<'_>) -> Vec<(HeaderName, Option<HeaderValue>)> {
        let _ = ask;
        Vec::new()
    }

    /// What takes an answer of this content type apart; `None` for bodies that are what they say: JSON and
    /// server-sent events.
    fn frames(&self, content_type: &str) -> Option<Box<dyn Frames>> {
        let _ = content_type;
        None
    }

    /// How requests are authorised.
    fn authorization(&self) -> &Authorization;
}

/// How an upstream counts tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// As the Messages API does.
    AsMessages,
    /// Its answer holds the count under another name.
    Under(&'static str),
    /// Not at all.
    Not,
}

/// Edits of a body, and what is lost by them.
#[derive(Clone, Debug, Default)]
pub struct Edits {
    /// What stands otherwise in the body.
    pub splices: Vec<Splice>,
    /// What the upstream does not get to see.
    pub lost: Vec<Lost>,
}

/// Edits by which nothing is lost.
impl From<Vec<Splice>> for Edits {
    fn from(splices: Vec<Splice>) -> Self {
        Self {
            splices,
            lost: Vec::new(),
        }
    }
}

/// Something that the client asked for and the upstream does not get to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Where it stood: a path in the body, or a header and its word.
    pub path: String,
    /// Why, in a few words.
    pub reason: &'static str,
}

/// A request as its provider sees it.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// What is asked of the upstream.
    pub operation: Operation,
    /// The name that the upstream is asked for.
    pub model: &'a ModelName,
    /// Whether the answer shall be a stream.
    pub stream: bool,
    /// The client's query, where bytes pass, without the question mark and without credentials.
    pub query: Option<&'a str>,
    /// The headers of the client; none where nobody sent the request.
    pub client: &'a HeaderMap,
}

/// What an upstream is made from.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it lives.
    pub endpoint: Destination,
    /// Its credential, where it wants one.
    pub key: Option<Secret<String>>,
    /// What its provider must know besides.
    pub options: Options,
    /// What its credential is borrowed with, where a cloud lends it.
    pub lending: Option<Lending>,
}

/// This upstream cannot be asked such a thing. The text is for the client: it names the field and the fix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(pub String);

/// The settings of an upstream do not make one. The text is for the operator: it names the key and the fix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Misconfigured(pub String);
