//! The parts of a Messages request that every translation reads.

use std::borrow::Cow;

use crate::dialect::raw::Members;
use crate::pipeline::translate::dropped::Place;
use crate::pipeline::translate::request::conversation::{self, Conversation};
use crate::pipeline::translate::request::tools::{self, Tool};
use crate::pipeline::translate::request::{Untranslatable, refuse};
use crate::types::ids::ModelName;

/// A Messages request.
pub(crate) struct Read<'a> {
    pub(crate) request: Members<'a>,
    /// The name that the client asked for.
    pub(crate) model: ModelName,
    pub(crate) tools: Vec<Tool<'a>>,
    pub(crate) conversation: Conversation<'a>,
}

impl<'a> Read<'a> {
    /// Reads a body.
    pub(crate) fn of(body: &'a [u8]) -> Result<Self, Untranslatable> {
        let whole = Place::Body;
        let text = std::str::from_utf8(body).map_err(|_| refuse(whole.member("body"), "is not UTF-8"))?;
        let request =
            Members::read(text).ok_or_else(|| refuse(whole.member("body"), "is not a JSON object"))?;
        let model = request
            .string("model")
            .ok_or_else(|| refuse(whole.member("model"), "a string is wanted"))?;
        Ok(Self {
            model: ModelName::new(model.into_owned()),
            tools: tools::read(&request)?,
            conversation: conversation::read(&request)?,
            request,
        })
    }

    /// The names of all tools that there are, and that were called.
    pub(crate) fn tool_names(&self) -> impl Iterator<Item = Cow<'a, str>> {
        let listed = self.tools.iter().map(Tool::name);
        listed.chain(self.conversation.tool_names())
    }
}
