//! Functions and the choice between them.

use bytes::BufMut;

use crate::dialect::raw::{Members, Raw, put_string};
use crate::pipeline::translate::dropped::Place;
use crate::pipeline::translate::request::read::Read;
use crate::pipeline::translate::request::tools::{Schema, Tool};
use crate::pipeline::translate::request::{Untranslatable, refuse};
use crate::pipeline::translate::to_gemini::{Draft, schema};

/// Writes the tools and the choice between them. Without tools there is no choice.
pub(super) fn put(draft: &mut Draft, read: &Read<'_>) -> Result<(), Untranslatable> {
    let choice = read.request.get("tool_choice");
    let choice_place = Place::Body.member("tool_choice");
    if read.tools.is_empty() {
        if choice.is_some() {
            draft.losses.hint(choice_place, "there are no tools");
        }
        return Ok(());
    }
    draft.key("tools");
    draft.out.put_slice(br#"[{"functionDeclarations":["#);
    let tools = Place::Body.member("tools");
    for (index, tool) in read.tools.iter().enumerate() {
        draft.separate();
        put_tool(draft, tools.element(index), tool);
    }
    draft.out.put_slice(b"]}]");
    match choice {
        Some(choice) => put_choice(draft, choice_place, choice),
        None => Ok(()),
    }
}

fn put_tool(draft: &mut Draft, place: Place<'_>, tool: &Tool<'_>) {
    let name = tool.name();
    draft.out.put_slice(br#"{"name":"#);
    put_string(&mut draft.out, draft.names.sent(&name));
    let given = tool.members.get("description");
    let given = given.filter(|text| text.escaped().is_some());
    match (&tool.schema, given) {
        (_, Some(description)) => {
            draft.key("description");
            draft.out.put_slice(description.text().as_bytes());
        }
        (Schema::Implied(description, _), None) => {
            draft.key("description");
            put_string(&mut draft.out, description);
        }
        (Schema::Given(_), None) => {}
    }
    let schema = match tool.schema {
        Schema::Given(schema) => Some(schema),
        Schema::Implied(_, schema) => Raw::read(schema),
    };
    // An object without members is no schema for Gemini: such a function takes nothing.
    if let Some(schema) = schema.filter(|schema| has_members(*schema)) {
        draft.key("parametersJsonSchema");
        schema::put(
            &mut draft.out,
            &mut draft.losses,
            place.member("input_schema"),
            schema,
        );
    }
    if tool.members.get("strict").and_then(Raw::boolean) == Some(true) {
        let reason = "the upstream cannot be held to a schema";
        draft.losses.hint(place.member("strict"), reason);
    }
    draft.out.put_u8(b'}');
    let read = ["type", "name", "description", "input_schema", "strict"];
    draft.losses.unread(place, &tool.members, &read);
}

fn has_members(schema: Raw<'_>) -> bool {
    const NESTED: [&str; 4] = ["anyOf", "oneOf", "allOf", "$ref"];
    let members = schema.members().unwrap_or_default();
    let properties = members.members("properties").unwrap_or_default();
    properties.iter().next().is_some() || NESTED.iter().any(|name| members.contains(name))
}

fn put_choice(draft: &mut Draft, place: Place<'_>, choice: Raw<'_>) -> Result<(), Untranslatable> {
    let choice: Members<'_> = choice
        .members()
        .ok_or_else(|| refuse(place, "an object is wanted"))?;
    let kind = choice.string("type").unwrap_or_default();
    let (mode, name) = match kind.as_ref() {
        "auto" => ("AUTO", None),
        "any" => ("ANY", None),
        "none" => ("NONE", None),
        "tool" => {
            let name = choice.string("name");
            let name = name.ok_or_else(|| refuse(place.member("name"), "a string is wanted"))?;
            ("ANY", Some(name))
        }
        _ => return Err(refuse(place.member("type"), "auto, any, tool or none is wanted")),
    };
    draft.key("toolConfig");
    draft.out.put_slice(br#"{"functionCallingConfig":{"mode":"#);
    put_string(&mut draft.out, mode);
    if let Some(name) = name {
        draft.out.put_slice(br#","allowedFunctionNames":["#);
        put_string(&mut draft.out, draft.names.sent(&name));
        draft.out.put_u8(b']');
    }
    draft.out.put_slice(b"}}");
    if choice.get("disable_parallel_tool_use").and_then(Raw::boolean) == Some(true) {
        let place = place.member("disable_parallel_tool_use");
        draft.losses.loss(place, "the upstream cannot be told");
    }
    Ok(())
}
