//! Streams that are not server-sent events.

use std::fmt::Debug;

use bytes::Bytes;

/// Takes one answer's frames apart, chunk by chunk, wherever the network cut them.
pub trait Frames: Debug + Send {
    /// The events that are whole with this chunk, as server-sent events; often none.
    ///
    /// # Errors
    /// [`Misframed`]: nothing behind it can be trusted, and the answer is cut off.
    fn push(&mut self, chunk: &Bytes) -> Result<Bytes, Misframed>;

    /// Whether nothing is outstanding; a body that ends otherwise is cut off.
    fn is_at_border(&self) -> bool;
}

/// Bytes that are no frame, for the log: what is wrong with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Misframed(pub &'static str);
