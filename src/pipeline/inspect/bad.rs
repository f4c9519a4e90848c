//! Why a body cannot be governed: it is refused before anything else looks at it.

use std::fmt;

use crate::dialect::json::{BadJson, Kind, Token};
use crate::pipeline::inspect::place::Location;

/// A field of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The object that has it.
    pub of: Location,
    /// Its key; empty for the object itself.
    pub key: &'static str,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.of, self.key) {
            (of, "") => write!(f, "{of}"),
            (Location::Top, key) => f.write_str(key),
            (of, key) => write!(f, "{of}.{key}"),
        }
    }
}

/// A body that is no request we can read. Nothing in it is content of the body.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    /// It is not JSON.
    #[error(transparent)]
    Json(#[from] BadJson),
    /// A required field is absent.
    #[error("{field} is missing; send {wanted}")]
    Missing {
        /// The field.
        field: Field,
        /// What should stand there.
        wanted: &'static str,
    },
    /// A field has another shape than governance can read.
    #[error("{field} is {found}; send {wanted}")]
    WrongShape {
        /// The field.
        field: Field,
        /// What stands there.
        found: &'static str,
        /// What should stand there.
        wanted: &'static str,
    },
    /// A field stands twice in one object: readers disagree which one counts.
    #[error("{field} stands twice in one object (again at byte {offset}); send it once")]
    Duplicate {
        /// The field.
        field: Field,
        /// The second key's place.
        offset: usize,
    },
    /// A key that some readers would take for a governed one.
    #[error("the key at byte {offset} differs from {field} only in case; spell it {field} or leave it out")]
    Lookalike {
        /// The field that it looks like.
        field: Field,
        /// The key's place.
        offset: usize,
    },
    /// More of something than we keep track of.
    #[error("the request has more than {limit} {what}; send fewer")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

impl BadBody {
    /// The text for the client: field, what is wrong, and the fix.
    pub fn client_text(&self) -> String {
        self.to_string()
    }

    /// The field has the shape of `found` instead of what is wanted.
    pub(super) const fn shape(of: Location, key: &'static str, found: Token, wanted: &'static str) -> Self {
        Self::WrongShape {
            field: Field { of, key },
            found: shape_of(found),
            wanted,
        }
    }
}

/// The shape of a value, by its first token.
const fn shape_of(token: Token) -> &'static str {
    match token.kind {
        Kind::ObjectStart => "an object",
        Kind::ListStart => "a list",
        Kind::Text(_) | Kind::Key(_) => "a string",
        Kind::Number => "a number",
        Kind::Bool(_) => "true or false",
        Kind::Null => "null",
        Kind::ObjectEnd | Kind::ListEnd | Kind::End => "nothing",
    }
}
