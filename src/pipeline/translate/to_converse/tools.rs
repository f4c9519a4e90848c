//! Tools and the choice between them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use bytes::BufMut;

use crate::dialect::converse::maker::{Cache, Demand};
use crate::dialect::raw::{Members, Raw, is_blank, put_string};
use crate::pipeline::translate::dropped::Place;
use crate::pipeline::translate::request::parts::mark;
use crate::pipeline::translate::request::read::Read;
use crate::pipeline::translate::request::tools::{Schema, Tool};
use crate::pipeline::translate::request::{Untranslatable, refuse};
use crate::pipeline::translate::to_converse::Draft;

/// What the model reads about a tool that was called earlier and is gone.
const GONE: &str = "Not available any more.";

/// Writes the tools and the choice between them. Converse wants them wherever there are calls in the
/// conversation: for those that are gone, stubs stand in.
pub(super) fn put(draft: &mut Draft, read: &Read<'_>) -> Result<(), Untranslatable> {
    let choice = read.request.get("tool_choice");
    let place = Place::Body.member("tool_choice");
    let called: BTreeSet<Cow<'_, str>> = read.conversation.tool_names().collect();
    let forbids = choice
        .and_then(Raw::members)
        .is_some_and(|choice| choice.string("type").is_some_and(|kind| kind == "none"));
    if read.tools.is_empty() && choice.is_some() {
        draft.losses.hint(place, "there are no tools");
    }
    if called.is_empty() && (read.tools.is_empty() || forbids) {
        // Without tools none can be called.
        return Ok(());
    }
    draft.key("toolConfig");
    draft.out.put_slice(br#"{"tools":["#);
    let tools = Place::Body.member("tools");
    for (index, tool) in read.tools.iter().enumerate() {
        put_tool(draft, tools.element(index), tool);
    }
    if read.tools.is_empty() {
        for name in &called {
            draft.separate();
            put_head(draft, name);
            draft.key("description");
            put_string(&mut draft.out, GONE);
            draft
                .out
                .put_slice(br#","inputSchema":{"json":{"type":"object"}}}}"#);
        }
    }
    draft.out.put_u8(b']');
    if let Some(choice) = choice.filter(|_| !read.tools.is_empty()) {
        put_choice(draft, place, choice)?;
    }
    draft.out.put_u8(b'}');
    Ok(())
}

fn put_head(draft: &mut Draft, name: &str) {
    draft.out.put_slice(br#"{"toolSpec":{"name":"#);
    put_string(&mut draft.out, draft.names.sent(name));
}

fn put_tool(draft: &mut Draft, place: Place<'_>, tool: &Tool<'_>) {
    draft.separate();
    put_head(draft, &tool.name());
    let given = tool.members.get("description");
    let given = given.filter(|text| text.escaped().is_some_and(|text| !is_blank(text)));
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
    draft.out.put_slice(br#","inputSchema":{"json":"#);
    let schema = match tool.schema {
        Schema::Given(schema) => schema.text(),
        Schema::Implied(_, schema) => schema,
    };
    draft.out.put_slice(schema.as_bytes());
    draft.out.put_slice(b"}}}");
    if tool.members.get("strict").and_then(Raw::boolean) == Some(true) {
        let reason = "the upstream cannot be held to a schema";
        draft.losses.hint(place.member("strict"), reason);
    }
    let mark = mark(&tool.members);
    if draft.maker.cache() == Cache::Everything {
        draft.put_mark(mark);
    } else if mark.is_some() && draft.maker.cache() == Cache::Prompt {
        let reason = "the upstream caches no tools";
        draft.losses.hint(place.member("cache_control"), reason);
    }
    let read = ["type", "name", "description", "input_schema", "strict"];
    draft.losses.unread(place, &tool.members, &read);
}

fn put_choice(draft: &mut Draft, place: Place<'_>, choice: Raw<'_>) -> Result<(), Untranslatable> {
    let choice: Members<'_> = choice
        .members()
        .ok_or_else(|| refuse(place, "an object is wanted"))?;
    let kind = choice.string("type").unwrap_or_default();
    let name = choice.string("name");
    let chooses = "the upstream chooses for itself";
    match (kind.as_ref(), draft.maker.demand()) {
        ("auto", _) => put_word(draft, "auto"),
        ("none", _) => {
            let reason = "calls in the conversation need the tools";
            draft.losses.loss(place, reason);
        }
        ("any" | "tool", Demand::Nothing) => draft.losses.loss(place, chooses),
        ("any", Demand::Any | Demand::Certain) => put_word(draft, "any"),
        ("tool", Demand::Any) => {
            draft.losses.loss(place.member("name"), chooses);
            put_word(draft, "any");
        }
        ("tool", Demand::Certain) => {
            let name = name.ok_or_else(|| refuse(place.member("name"), "a string is wanted"))?;
            draft.key("toolChoice");
            draft.out.put_slice(br#"{"tool":{"name":"#);
            put_string(&mut draft.out, draft.names.sent(&name));
            draft.out.put_slice(b"}}");
        }
        _ => return Err(refuse(place.member("type"), "auto, any, tool or none is wanted")),
    }
    if choice.get("disable_parallel_tool_use").and_then(Raw::boolean) == Some(true) {
        let place = place.member("disable_parallel_tool_use");
        draft.losses.loss(place, "the upstream cannot be told");
    }
    Ok(())
}

fn put_word(draft: &mut Draft, word: &str) {
    draft.key("toolChoice");
    draft.out.put_slice(br#"{""#);
    draft.out.put_slice(word.as_bytes());
    draft.out.put_slice(br#"":{}}"#);
}
