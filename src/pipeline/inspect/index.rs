//! The index of a request: one pass, everything that later stages ask of the body.

use bytes::Bytes;

use crate::dialect::operation::Operation;
use crate::dialect::splice::Splice;
use crate::pipeline::inspect::bad::BadBody;
use crate::pipeline::inspect::place::PlacedText;
use crate::pipeline::inspect::power::Power;
use crate::pipeline::inspect::walk;
use crate::types::feature::Feature;
use crate::types::ids::ModelName;

/// What one pass over a request found. Only [`index`] makes one.
#[derive(Debug)]
pub struct Index {
    pub(super) body: Bytes,
    pub(super) operation: Operation,
    pub(super) model: ModelName,
    pub(super) model_range: std::ops::Range<usize>,
    pub(super) stream: bool,
    pub(super) max_tokens: Option<u64>,
    pub(super) messages: u32,
    pub(super) tools: ToolsOffered,
    pub(super) powers: Vec<Power>,
    pub(super) texts: Vec<PlacedText>,
    pub(super) usage_edit: Option<Splice>,
    pub(super) store_edit: Option<Splice>,
    pub(super) choices: u64,
    pub(super) thinks: bool,
    pub(super) images: u32,
}

/// The tools that a request offers to the model.
#[derive(Debug, Default)]
pub struct ToolsOffered {
    pub(super) count: u32,
    pub(super) names: Vec<Box<str>>,
}

impl ToolsOffered {
    /// How many there are.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The names of the first ones, as the client spelled them.
    pub fn names(&self) -> &[Box<str>] {
        &self.names
    }
}

impl Index {
    /// The body that was indexed.
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// The operation that it was read as.
    pub const fn operation(&self) -> Operation {
        self.operation
    }

    /// The model asked for, unescaped.
    pub const fn model(&self) -> &ModelName {
        &self.model
    }

    /// The edit that asks for another model, and touches nothing else.
    pub fn model_splice(&self, model: &ModelName) -> Splice {
        Splice {
            range: self.model_range.clone(),
            with: Bytes::from(serde_json::Value::from(model.as_str()).to_string()),
        }
    }

    /// Whether the answer shall be a stream.
    pub const fn stream(&self) -> bool {
        self.stream
    }

    /// The most output tokens asked for; absent when tokens are only counted.
    pub const fn max_tokens(&self) -> Option<u64> {
        self.max_tokens
    }

    /// The number of messages.
    pub const fn messages(&self) -> u32 {
        self.messages
    }

    /// Whether it has a feature.
    pub const fn has(&self, feature: Feature) -> bool {
        match feature {
            Feature::Tools => self.tools.count > 0,
            Feature::Thinking => self.thinks,
            Feature::Images => self.images > 0,
            Feature::Stream => self.stream,
        }
    }

    /// The tools offered.
    pub const fn tools(&self) -> &ToolsOffered {
        &self.tools
    }

    /// The edit that makes a stream of chat completions tell its usage, where the client did not ask.
    pub const fn usage_edit(&self) -> Option<&Splice> {
        self.usage_edit.as_ref()
    }

    /// The edit that keeps the upstream from keeping a response, where the client did not say.
    pub const fn store_edit(&self) -> Option<&Splice> {
        self.store_edit.as_ref()
    }

    /// How many answers are asked for at once.
    pub const fn choices(&self) -> u64 {
        self.choices
    }

    /// About how many bytes of text the request has.
    pub fn text_bytes(&self) -> usize {
        self.texts.iter().map(|placed| placed.text.raw_len()).sum()
    }

    /// How many pictures it carries or names.
    pub const fn images(&self) -> u32 {
        self.images
    }

    /// What the upstream is asked to execute, fetch or keep: sorted, each once.
    pub fn powers(&self) -> &[Power] {
        &self.powers
    }

    /// Every text worth scanning, in the order of the body.
    pub fn texts(&self) -> &[PlacedText] {
        &self.texts
    }
}

/// Indexes a request body; it is neither copied nor changed.
///
/// # Errors
/// [`BadBody`] names the field, what was found and the fix.
pub fn index(body: &Bytes, operation: Operation) -> Result<Index, BadBody> {
    walk::Walk::new(body, operation)?.run()
}
