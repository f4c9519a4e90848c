//! Features of requests that routes tell apart.

use std::fmt;

use serde::Deserialize;

/// What a request may ask for or carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Feature {
    /// It offers tools to the model.
    Tools,
    /// It asks the model to think before it answers.
    Thinking,
    /// It carries or names images.
    Images,
    /// Its answer shall be a stream.
    Stream,
}

impl Feature {
    /// Its name, as configurations spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Thinking => "thinking",
            Self::Images => "images",
            Self::Stream => "stream",
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
