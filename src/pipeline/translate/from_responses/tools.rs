//! The tools of the Responses API.

use std::borrow::Cow;

use crate::dialect::raw::{Members, Raw, escape};
use crate::pipeline::translate::answer::openai::kinds::{CallKind, CallKinds, joined_name};
use crate::pipeline::translate::dropped::Place;
use crate::pipeline::translate::request::{Untranslatable, refuse};
use crate::pipeline::translate::to_messages::Draft;
use crate::pipeline::translate::to_messages::tools::Tool;

/// What a tool takes whose input is free text.
const FREE_INPUT: &str = r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}"#;

/// The tools that a request offers.
#[derive(Default)]
pub(super) struct Offered<'a> {
    pub(super) tools: Vec<Tool<'a>>,
    /// How calls of them are told, where it is not as calls of a function.
    pub(super) kinds: CallKinds,
    /// Which of them hold their input to a grammar.
    grammars: Vec<usize>,
}

/// The tools of a request, those of its namespaces among them.
pub(super) fn read<'a>(request: &Members<'a>) -> Result<Offered<'a>, Untranslatable> {
    let mut offered = Offered::default();
    let place = Place::Body.member("tools");
    let Some(value) = request.get("tools") else {
        return Ok(offered);
    };
    let listed = value
        .elements()
        .ok_or_else(|| refuse(place, "a list is wanted"))?;
    for (index, tool) in listed.into_iter().enumerate() {
        offered.read(place.element(index), index, tool)?;
    }
    Ok(offered)
}

/// Reports the grammars, of which the model only hears.
pub(super) fn report(draft: &mut Draft<'_>, offered: &Offered<'_>) {
    let tools = Place::Body.member("tools");
    for index in &offered.grammars {
        let tool = tools.element(*index);
        draft.losses.loss(
            tool.member("format"),
            "the upstream knows no grammars: told in words",
        );
    }
}

impl<'a> Offered<'a> {
    fn read(&mut self, place: Place<'_>, index: usize, tool: Raw<'a>) -> Result<(), Untranslatable> {
        let members = tool
            .members()
            .ok_or_else(|| refuse(place, "an object is wanted"))?;
        match members.string("type").unwrap_or_default().as_ref() {
            "function" => {
                let name = name_of(place, &members)?;
                self.tools.push(Tool::of_function(name, &members));
            }
            "custom" => self.read_custom(place, index, &members)?,
            "namespace" => self.read_namespace(place, &members)?,
            kind => return Err(refuse_tool(place, kind)),
        }
        Ok(())
    }

    /// A tool that takes free text: for the model a function with one text.
    fn read_custom(
        &mut self,
        place: Place<'_>,
        index: usize,
        tool: &Members<'a>,
    ) -> Result<(), Untranslatable> {
        let name = name_of(place, tool)?;
        let mut description = tool.get("description").and_then(Raw::escaped).map(Cow::Borrowed);
        let format = tool.members("format").unwrap_or_default();
        if let Some(grammar) = format.get("definition").and_then(Raw::escaped) {
            let syntax = escape(&format.string("syntax").unwrap_or_default());
            let said = description.as_deref().unwrap_or_default();
            description = Some(Cow::Owned(format!(
                "{said}\\n\\nThe input must match this {syntax} grammar:\\n{grammar}"
            )));
            self.grammars.push(index);
        }
        self.kinds.add(&name, CallKind::Custom);
        self.tools.push(Tool {
            name,
            description,
            schema: Raw::read(FREE_INPUT),
        });
        Ok(())
    }

    fn read_namespace(&mut self, place: Place<'_>, space: &Members<'a>) -> Result<(), Untranslatable> {
        let namespace = name_of(place, space)?;
        let place = place.member("tools");
        let listed = space.get("tools").and_then(Raw::elements);
        let listed = listed.ok_or_else(|| refuse(place, "a list is wanted"))?;
        for (index, tool) in listed.into_iter().enumerate() {
            let place = place.element(index);
            let members = tool
                .members()
                .ok_or_else(|| refuse(place, "an object is wanted"))?;
            let kind = members.string("type").unwrap_or_default();
            if kind != "function" {
                return Err(refuse_tool(place, &kind));
            }
            let name = name_of(place, &members)?;
            let joined = joined_name(Some(&namespace), &name).into_owned();
            let kind = CallKind::Namespaced {
                namespace: namespace.clone().into_owned(),
                name: name.into_owned(),
            };
            self.kinds.add(&joined, kind);
            self.tools.push(Tool::of_function(Cow::Owned(joined), &members));
        }
        Ok(())
    }
}

fn name_of<'a>(place: Place<'_>, tool: &Members<'a>) -> Result<Cow<'a, str>, Untranslatable> {
    let name = tool.string("name").filter(|name| !name.is_empty());
    name.ok_or_else(|| refuse(place.member("name"), "a string is wanted"))
}

fn refuse_tool(place: Place<'_>, kind: &str) -> Untranslatable {
    let kind: String = kind.chars().take(64).collect();
    let problem = format!(
        "`{kind}` tools are unknown to the upstream of this model. Make it a function, remove it, or ask for \
         a model that an OpenAI-compatible upstream serves."
    );
    refuse(place, problem)
}
