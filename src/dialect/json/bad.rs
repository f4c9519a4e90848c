//! Why bytes are not a JSON text that we accept.

/// A body that is not acceptable JSON: what is wrong, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is not valid JSON at byte {offset}: {problem}")]
pub struct BadJson {
    /// Where, in bytes from the start of the body.
    pub offset: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// The problems that a reader can meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No bytes but white space.
    #[error("it is empty; send one JSON text")]
    Empty,
    /// A byte order mark before the text.
    #[error("it starts with a byte order mark; send UTF-8 without one")]
    ByteOrderMark,
    /// More bytes than places are counted in.
    #[error("it has more than 4 GiB; send less")]
    TooLong,
    /// A sequence of bytes that is not UTF-8.
    #[error("the bytes are not UTF-8; encode the body as UTF-8")]
    NotUtf8,
    /// The text ends inside a value.
    #[error("the text ends in the middle of a value; send the whole body")]
    Truncated,
    /// More bytes behind the end of the text.
    #[error("bytes follow the end of the JSON text; send exactly one")]
    Trailing,
    /// Containers nested beyond the limit.
    #[error("objects and lists are nested deeper than {limit}; flatten the value")]
    TooDeep {
        /// The deepest nesting accepted.
        limit: u32,
    },
    /// Something that no value starts with.
    #[error("a value is expected here; check for a missing value, a stray comma or a bare word")]
    ValueWanted,
    /// Something else where a key should stand.
    #[error("a key in double quotes is expected here; check for a trailing comma or a bare key")]
    KeyWanted,
    /// A key without its colon.
    #[error("a colon is expected after a key")]
    ColonWanted,
    /// Neither a comma nor the end of the container.
    #[error("a comma or the end of the object or list is expected here")]
    CommaWanted,
    /// A raw control character inside a string.
    #[error("a string holds a raw control character; escape it, for example as \\n or \\u0009")]
    ControlCharacter,
    /// A backslash followed by something undefined.
    #[error("a string holds an unknown escape; only \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX exist")]
    BadEscape,
    /// Half of a surrogate pair.
    #[error("a string holds half of a surrogate pair (\\uD800 to \\uDFFF); send whole characters")]
    LoneSurrogate,
    /// A number outside the grammar.
    #[error("a number is malformed; no leading zeros, plus signs, bare points, NaN or Infinity")]
    BadNumber,
}

impl Problem {
    /// This problem at a place.
    pub(super) const fn at(self, offset: usize) -> BadJson {
        BadJson {
            offset,
            problem: self,
        }
    }
}
