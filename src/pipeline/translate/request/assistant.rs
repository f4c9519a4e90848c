//! Assistant turns: text, thinking, tool calls, and what server tools left behind.

use std::borrow::Cow;

use bytes::BufMut;

use crate::dialect::anthropic::signature;
use crate::dialect::openai::profile::THINK_TAGS;
use crate::dialect::raw::{Raw, compact, escape, is_blank, put_escaped, put_string};
use crate::pipeline::translate::dropped::Place;
use crate::pipeline::translate::names::upstream_id;
use crate::pipeline::translate::request::conversation::{Content, Turn, put_role};
use crate::pipeline::translate::request::parts::{Block, join, refuse_block};
use crate::pipeline::translate::request::{Draft, Untranslatable, server_tools};

/// A tool call that wants a result.
pub(crate) struct Call<'a> {
    /// The id in the client's request.
    pub(crate) id: Cow<'a, str>,
    /// Where it stands: turn and block.
    pub(crate) at: (usize, usize),
}

/// What consecutive assistant turns come to.
#[derive(Default)]
struct Answer<'a> {
    texts: Vec<Cow<'a, str>>,
    thinking: Vec<Cow<'a, str>>,
    /// The `tool_calls` list without its brackets.
    calls_json: Vec<u8>,
    calls: Vec<Call<'a>>,
}

/// Writes consecutive assistant turns as one message and returns its calls.
pub(super) fn put<'a>(
    draft: &mut Draft<'_>,
    turns: &[Turn<'a>],
    thinking_is_on: bool,
) -> Result<Vec<Call<'a>>, Untranslatable> {
    let mut answer = Answer::default();
    let messages = Place::Body.member("messages");
    for turn in turns {
        let place = messages.element(turn.index);
        match &turn.content {
            Content::Text(text) if is_blank(text) => {}
            Content::Text(text) => answer.texts.push(Cow::Borrowed(text)),
            Content::Blocks(blocks) => {
                let place = place.member("content");
                for (index, block) in blocks.iter().enumerate() {
                    answer.add(draft, place.element(index), block, (turn.index, index))?;
                }
            }
        }
    }
    answer.put(draft, thinking_is_on);
    Ok(answer.calls)
}

impl<'a> Answer<'a> {
    fn add(
        &mut self,
        draft: &mut Draft<'_>,
        place: Place<'_>,
        block: &Block<'a>,
        at: (usize, usize),
    ) -> Result<(), Untranslatable> {
        match block.kind.as_ref() {
            "text" => {
                let text = block.text(place, "text")?;
                if text.is_some() && !self.calls.is_empty() {
                    draft
                        .losses
                        .hint(place, "text behind a tool call moves before it");
                }
                self.texts.extend(text.map(Cow::Borrowed));
                draft.report_unread(place, &block.members, &["type", "text"]);
            }
            "thinking" => self.add_thinking(draft, place, block),
            "redacted_thinking" => draft.losses.loss(place, "only its maker can read it"),
            "tool_use" => self.add_call(draft, place, block, at)?,
            "fallback" => draft.losses.hint(place, "unknown to the upstream"),
            kind => {
                let told = server_tools::tell(block).ok_or_else(|| refuse_block(place, kind))?;
                draft.losses.loss(place, "kept as plain text");
                self.texts.extend((!told.is_empty()).then_some(Cow::Owned(told)));
            }
        }
        Ok(())
    }

    fn add_thinking(&mut self, draft: &mut Draft<'_>, place: Place<'_>, block: &Block<'a>) {
        let text = block
            .members
            .get("thinking")
            .and_then(Raw::escaped)
            .unwrap_or_default();
        let signature = block.members.string("signature").unwrap_or_default();
        let hidden = signature::open(&signature).filter(|_| is_blank(text));
        let text = hidden.map_or(Cow::Borrowed(text), |hidden| Cow::Owned(escape(&hidden)));
        if draft.profile.reasoning_out.is_none() {
            if !is_blank(&text) {
                draft.losses.loss(place, "the upstream takes no thinking back");
            }
            return;
        }
        if !signature::is_unsigned(&signature) {
            draft
                .losses
                .hint(place.member("signature"), "only its maker can check it");
        }
        self.thinking.extend((!is_blank(&text)).then_some(text));
        draft.report_unread(place, &block.members, &["type", "thinking", "signature"]);
    }

    fn add_call(
        &mut self,
        draft: &mut Draft<'_>,
        place: Place<'_>,
        block: &Block<'a>,
        at: (usize, usize),
    ) -> Result<(), Untranslatable> {
        let (id, name) = block.id_and_name(place)?;
        let json = &mut self.calls_json;
        json.put_slice(if self.calls.is_empty() {
            br#"{"id":"#
        } else {
            br#",{"id":"#
        });
        put_string(json, &upstream_id(&id, draft.profile.max_tool_id_bytes));
        json.put_slice(br#","type":"function","function":{"name":"#);
        put_string(json, draft.names.sent(&name));
        json.put_slice(br#","arguments":""#);
        match block.members.get("input") {
            Some(input) => put_escaped(json, &compact(input)),
            None => json.put_slice(b"{}"),
        }
        json.put_slice(br#""}}"#);
        self.calls.push(Call { id, at });
        draft.report_unread(place, &block.members, &["type", "id", "name", "input"]);
        Ok(())
    }

    /// Writes the message; nothing at all where nothing is left.
    fn put(&self, draft: &mut Draft<'_>, thinking_is_on: bool) {
        if self.texts.is_empty() && self.thinking.is_empty() && self.calls.is_empty() {
            return;
        }
        put_role(draft, "assistant");
        draft.out.put_slice(br#","content":"#);
        let tagged = self.tagged(draft);
        if self.texts.is_empty() && tagged.is_empty() {
            let empty: &[u8] = if self.calls.is_empty() { br#""""# } else { b"null" };
            draft.out.put_slice(empty);
        } else {
            put_quoted(draft, &(tagged + &join(self.texts.iter().map(Cow::as_ref))));
        }
        self.put_thinking(draft, thinking_is_on);
        if !self.calls.is_empty() {
            draft.out.put_slice(br#","tool_calls":["#);
            draft.out.put_slice(&self.calls_json);
            draft.out.put_u8(b']');
        }
        draft.out.put_u8(b'}');
    }

    /// The thinking in tags, where the upstream wants it so.
    fn tagged(&self, draft: &Draft<'_>) -> String {
        let is_wanted = draft.profile.reasoning_out.as_deref() == Some(THINK_TAGS);
        if self.thinking.is_empty() || !is_wanted {
            return String::new();
        }
        let thinking = join(self.thinking.iter().map(Cow::as_ref));
        format!("<think>\\n{thinking}\\n</think>\\n\\n")
    }

    fn put_thinking(&self, draft: &mut Draft<'_>, thinking_is_on: bool) {
        let field = draft.profile.reasoning_out.as_ref();
        let Some(field) = field.filter(|field| *field != THINK_TAGS) else {
            return;
        };
        // Kimi and DeepSeek refuse a call without the thinking before it while thinking is on. Where
        // there is none (another model made the call), one space satisfies both.
        let missing = self.thinking.is_empty() && thinking_is_on && !self.calls.is_empty();
        if self.thinking.is_empty() && !missing {
            return;
        }
        draft.out.put_u8(b',');
        put_string(&mut draft.out, field);
        draft.out.put_u8(b':');
        let thinking = if missing {
            " ".to_owned()
        } else {
            join(self.thinking.iter().map(Cow::as_ref))
        };
        put_quoted(draft, &thinking);
    }
}

fn put_quoted(draft: &mut Draft<'_>, escaped: &str) {
    draft.out.put_u8(b'"');
    draft.out.put_slice(escaped.as_bytes());
    draft.out.put_u8(b'"');
}
