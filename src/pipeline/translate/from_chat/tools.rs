//! The tools of chat completions.

use std::borrow::Cow;

use crate::dialect::raw::{Members, Raw};
use crate::pipeline::translate::dropped::Place;
use crate::pipeline::translate::request::{Untranslatable, refuse};
use crate::pipeline::translate::to_messages::tools::Tool;

/// The tools of a request, and the `functions` of older clients.
pub(super) fn read<'a>(request: &Members<'a>) -> Result<Vec<Tool<'a>>, Untranslatable> {
    let mut tools = Vec::new();
    for (key, is_wrapped) in [("tools", true), ("functions", false)] {
        let place = Place::Body.member(key);
        let Some(value) = request.get(key) else { continue };
        let listed = value
            .elements()
            .ok_or_else(|| refuse(place, "a list is wanted"))?;
        for (index, tool) in listed.into_iter().enumerate() {
            tools.push(read_tool(place.element(index), tool, is_wrapped)?);
        }
    }
    Ok(tools)
}

fn read_tool<'a>(place: Place<'_>, tool: Raw<'a>, is_wrapped: bool) -> Result<Tool<'a>, Untranslatable> {
    let members = tool
        .members()
        .ok_or_else(|| refuse(place, "an object is wanted"))?;
    let function = if is_wrapped {
        let kind = members.string("type").unwrap_or(Cow::Borrowed("function"));
        if kind != "function" {
            let kind: String = kind.chars().take(64).collect();
            let problem = format!(
                "`{kind}` tools are unknown to the upstream of this model. Make it a function, remove it, or \
                 ask for a model that an OpenAI-compatible upstream serves."
            );
            return Err(refuse(place, problem));
        }
        members.members("function").unwrap_or_default()
    } else {
        members
    };
    let name = function
        .string("name")
        .ok_or_else(|| refuse(place.member("function").member("name"), "a string is wanted"))?;
    Ok(Tool::of_function(name, &function))
}
