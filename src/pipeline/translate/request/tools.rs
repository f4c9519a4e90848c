//! Tools and the choice between them.

use std::borrow::Cow;

use bytes::BufMut;

use crate::dialect::openai::profile::ToolChoice;
use crate::dialect::raw::{Members, Raw, put_string};
use crate::pipeline::translate::dropped::Place;
use crate::pipeline::translate::request::{Draft, Untranslatable, refuse};

/// One tool of the request.
pub(crate) struct Tool<'a> {
    pub(crate) members: Members<'a>,
    name: Cow<'a, str>,
    pub(crate) schema: Schema<'a>,
}

/// The schema of a tool's input.
pub(crate) enum Schema<'a> {
    /// The client's own.
    Given(Raw<'a>),
    /// Known by the tool's type; the client runs it.
    Implied(&'static str, &'static str),
}

impl<'a> Tool<'a> {
    pub(crate) fn name(&self) -> Cow<'a, str> {
        self.name.clone()
    }
}

/// The schemas of tools that clients run and Anthropic's models know by their type.
const IMPLIED: [(&str, &str, &str); 3] = [
    (
        "bash_",
        "Run a command in a persistent bash session, or restart the session.",
        r#"{"type":"object","properties":{"command":{"type":"string"},"restart":{"type":"boolean"}}}"#,
    ),
    (
        "text_editor_",
        "View, create and edit text files.",
        r#"{"type":"object","properties":{"command":{"type":"string","enum":["view","create","str_replace","insert","undo_edit"]},"path":{"type":"string"},"old_str":{"type":"string"},"new_str":{"type":"string"},"insert_line":{"type":"integer"},"insert_text":{"type":"string"},"view_range":{"type":"array","items":{"type":"integer"}},"file_text":{"type":"string"}},"required":["command","path"]}"#,
    ),
    (
        "memory_",
        "Read and change files in the memory directory /memories.",
        r#"{"type":"object","properties":{"command":{"type":"string","enum":["view","create","str_replace","insert","delete","rename"]},"path":{"type":"string"},"old_path":{"type":"string"},"new_path":{"type":"string"},"old_str":{"type":"string"},"new_str":{"type":"string"},"insert_line":{"type":"integer"},"insert_text":{"type":"string"},"view_range":{"type":"array","items":{"type":"integer"}},"file_text":{"type":"string"}},"required":["command"]}"#,
    ),
];

/// The tools of a request.
pub(crate) fn read<'a>(request: &Members<'a>) -> Result<Vec<Tool<'a>>, Untranslatable> {
    let place = Place::Body.member("tools");
    let Some(value) = request.get("tools") else {
        return Ok(Vec::new());
    };
    let listed = value
        .elements()
        .ok_or_else(|| refuse(place, "a list is wanted"))?;
    listed
        .into_iter()
        .enumerate()
        .map(|(index, tool)| read_tool(place.element(index), tool))
        .collect()
}

fn read_tool<'a>(place: Place<'_>, tool: Raw<'a>) -> Result<Tool<'a>, Untranslatable> {
    let members = tool
        .members()
        .ok_or_else(|| refuse(place, "an object is wanted"))?;
    let kind = members.string("type").unwrap_or(Cow::Borrowed("custom"));
    let schema = if kind == "custom" {
        let given = members
            .get("input_schema")
            .filter(|schema| schema.text().starts_with('{'));
        Schema::Given(given.ok_or_else(|| refuse(place.member("input_schema"), "an object is wanted"))?)
    } else {
        let implied = IMPLIED.iter().find(|(beginning, ..)| kind.starts_with(beginning));
        let Some((_, description, schema)) = implied else {
            let name: String = kind.chars().take(64).collect();
            let problem = format!(
                "`{name}` tools are run or defined by Anthropic, and the upstream of this model is not \
                 Anthropic. Remove the tool, or ask for a model that Anthropic serves."
            );
            return Err(refuse(place.member("type"), problem));
        };
        Schema::Implied(description, schema)
    };
    let name = members.string("name").filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| refuse(place.member("name"), "a string is wanted"))?;
    Ok(Tool {
        members,
        name,
        schema,
    })
}

/// Writes the tools and the choice between them. Without tools there is no choice.
pub(super) fn put(
    draft: &mut Draft<'_>,
    request: &Members<'_>,
    tools: &[Tool<'_>],
) -> Result<(), Untranslatable> {
    let choice_place = Place::Body.member("tool_choice");
    if tools.is_empty() {
        if request.get("tool_choice").is_some() {
            draft.losses.hint(choice_place, "there are no tools");
        }
        return Ok(());
    }
    draft.key("tools");
    draft.out.put_u8(b'[');
    for (index, tool) in tools.iter().enumerate() {
        if index > 0 {
            draft.out.put_u8(b',');
        }
        put_tool(draft, index, tool);
    }
    draft.out.put_u8(b']');
    match request.get("tool_choice") {
        Some(choice) => put_choice(draft, choice_place, choice),
        None => Ok(()),
    }
}

fn put_tool(draft: &mut Draft<'_>, index: usize, tool: &Tool<'_>) {
    draft.out.put_slice(br#"{"type":"function","function":{"name":"#);
    put_string(&mut draft.out, draft.names.sent(&tool.name));
    let description = tool
        .members
        .get("description")
        .filter(|text| text.escaped().is_some());
    match (&tool.schema, description) {
        (_, Some(description)) => {
            draft.out.put_slice(br#","description":"#);
            draft.out.put_slice(description.text().as_bytes());
        }
        (Schema::Implied(description, _), None) => {
            draft.out.put_slice(br#","description":"#);
            put_string(&mut draft.out, description);
        }
        (Schema::Given(_), None) => {}
    }
    draft.out.put_slice(br#","parameters":"#);
    match tool.schema {
        Schema::Given(schema) => put_schema(&mut draft.out, schema),
        Schema::Implied(_, schema) => draft.out.put_slice(schema.as_bytes()),
    }
    if tool.members.get("strict").and_then(Raw::boolean) == Some(true) && !draft.refuses("strict", "strict") {
        draft.out.put_slice(br#","strict":true"#);
    }
    draft.out.put_slice(b"}}");
    let tools = Place::Body.member("tools");
    draft.report_unread(
        tools.element(index),
        &tool.members,
        &["type", "name", "description", "input_schema", "strict"],
    );
}

/// The schema as it is, except that an object without `properties` gets an empty set of them: some
/// upstreams refuse it otherwise.
fn put_schema(out: &mut Vec<u8>, schema: Raw<'_>) {
    let members = schema.members().unwrap_or_default();
    let is_object = members.string("type").is_some_and(|kind| kind == "object");
    match schema.text().strip_suffix('}') {
        Some(head) if is_object && !members.contains("properties") => {
            out.put_slice(head.as_bytes());
            out.put_slice(br#","properties":{}}"#);
        }
        _ => out.put_slice(schema.text().as_bytes()),
    }
}

fn put_choice(draft: &mut Draft<'_>, place: Place<'_>, choice: Raw<'_>) -> Result<(), Untranslatable> {
    let choice = choice
        .members()
        .ok_or_else(|| refuse(place, "an object is wanted"))?;
    let kind = choice.string("type").unwrap_or_default();
    if draft.refuses("tool_choice", "tool_choice") {
        if kind != "auto" {
            draft.losses.loss(place, "the upstream refuses it");
        }
    } else {
        let known = draft.profile.tool_choice;
        let word = match kind.as_ref() {
            "auto" => Some("auto"),
            "any" | "tool" if known == ToolChoice::AutoOrNone => {
                draft.losses.loss(place, "the upstream chooses for itself");
                Some("auto")
            }
            "any" if known == ToolChoice::Any => Some("any"),
            "any" => Some("required"),
            "none" => Some("none"),
            "tool" => None,
            _ => return Err(refuse(place.member("type"), "auto, any, tool or none is wanted")),
        };
        draft.key("tool_choice");
        if let Some(word) = word {
            put_string(&mut draft.out, word);
        } else {
            let name = choice.string("name");
            let name = name.ok_or_else(|| refuse(place.member("name"), "a string is wanted"))?;
            draft.out.put_slice(br#"{"type":"function","function":{"name":"#);
            put_string(&mut draft.out, draft.names.sent(&name));
            draft.out.put_slice(b"}}");
        }
    }
    if choice.get("disable_parallel_tool_use").and_then(Raw::boolean) == Some(true) {
        if draft.refuses("disable_parallel_tool_use", "parallel_tool_calls") {
            draft.losses.loss(
                place.member("disable_parallel_tool_use"),
                "the upstream refuses it",
            );
        } else {
            draft.key("parallel_tool_calls");
            draft.out.put_slice(b"false");
        }
    }
    Ok(())
}
