//! What a request of OpenAI's API asks for besides its content, and the fields that are forced upon it.

use std::ops::Range;

use bytes::Bytes;

use crate::dialect::json::{Kind, Token};
use crate::dialect::operation::Operation;
use crate::dialect::splice::Splice;
use crate::pipeline::inspect::bad::BadBody;
use crate::pipeline::inspect::messages::Part;
use crate::pipeline::inspect::place::Location;
use crate::pipeline::inspect::walk::{Seen, Walk};

/// What a request asks for besides its content.
#[derive(Debug, Default)]
pub(super) struct Asks {
    /// Behind the brace that opens the request.
    pub(super) top: usize,
    /// How many answers.
    pub(super) choices: Option<u64>,
    pub(super) options: Options,
    pub(super) store: Store,
}

/// What is said about keeping the answer.
#[derive(Debug, Default)]
pub(super) enum Store {
    /// Nothing, which to the Responses API means that it shall.
    #[default]
    Unsaid,
    /// `null` at this place, which means the same.
    Null(Range<usize>),
    Said,
}

/// What `stream_options` says about usage.
#[derive(Debug, Default)]
pub(super) enum Options {
    /// They are not there.
    #[default]
    Absent,
    /// The client wants the usage.
    Asked,
    /// It does not; this edit asks for it.
    Edit(Range<usize>, &'static str),
}

impl Asks {
    /// The edit that makes a stream tell its usage, where the client did not ask.
    pub(super) fn usage_edit(&self, operation: Operation, stream: bool) -> Option<Splice> {
        if operation != Operation::ChatCompletions || !stream {
            return None;
        }
        let (range, with) = match &self.options {
            Options::Absent => (self.top..self.top, r#""stream_options":{"include_usage":true},"#),
            Options::Asked => return None,
            Options::Edit(range, with) => (range.clone(), *with),
        };
        Some(Splice {
            range,
            with: Bytes::from_static(with.as_bytes()),
        })
    }

    /// The edit that keeps the upstream from keeping a response of which nobody said that it shall.
    pub(super) fn store_edit(&self, operation: Operation) -> Option<Splice> {
        if operation != Operation::Responses {
            return None;
        }
        let (range, with) = match &self.store {
            Store::Unsaid => (self.top..self.top, r#""store":false,"#),
            Store::Null(range) => (range.clone(), "false"),
            Store::Said => return None,
        };
        Some(Splice {
            range,
            with: Bytes::from_static(with.as_bytes()),
        })
    }
}

impl Walk<'_> {
    pub(super) fn stream_options(&mut self, value: Token) -> Result<(), BadBody> {
        match value.kind {
            Kind::Null => {
                self.asks.options = Options::Edit(value.range(), r#"{"include_usage":true}"#);
                return Ok(());
            }
            Kind::ObjectStart => {}
            _ => {
                return Err(BadBody::shape(
                    Location::Top,
                    "stream_options",
                    value,
                    "an object",
                ));
            }
        }
        const KEYS: [&str; 1] = ["include_usage"];
        let mut seen = Seen::new(&KEYS, Location::Top);
        let mut is_empty = true;
        let mut told = None;
        while let Some(key) = self.reader.next_key()? {
            is_empty = false;
            let known = seen.key(&key.unescape(self.body), key.range().start)?;
            let value = self.reader.advance()?;
            match (known, value.kind) {
                (Some(_), Kind::Bool(true)) => told = Some(Options::Asked),
                (Some(_), Kind::Bool(false) | Kind::Null) => {
                    told = Some(Options::Edit(value.range(), "true"));
                }
                (Some(key), _) => return Err(BadBody::shape(Location::Top, key, value, "true or false")),
                (None, _) => self.strings(value, Part::OtherField, Location::Top)?,
            }
        }
        let behind = value.range().end;
        let with = if is_empty {
            r#""include_usage":true"#
        } else {
            r#""include_usage":true,"#
        };
        self.asks.options = told.unwrap_or(Options::Edit(behind..behind, with));
        Ok(())
    }
}
