//! Messages answers of Messages upstreams: the body passes byte for byte.

use bytes::Bytes;

use crate::dialect::anthropic::usage;
use crate::dialect::raw::{Members, Raw, put_string};
use crate::dialect::splice::{self, Splice};
use crate::pipeline::translate::answer::observed::{Observed, Outcome};
use crate::types::ids::ModelName;
use crate::types::usage::Usage;

/// Observes an answer with status 200 and, where the client asked by an alias, splices the alias into
/// `model`. A body that cannot be read passes as it is, and [`Outcome::Broken`] says so.
pub fn messages_json(body: &Bytes, alias: Option<&ModelName>) -> (Bytes, Observed) {
    let mut observed = Observed {
        outcome: Outcome::Broken,
        ..Observed::default()
    };
    let Some(message) = std::str::from_utf8(body).ok().and_then(Members::read) else {
        return (body.clone(), observed);
    };
    if message.string("type").is_none_or(|kind| kind != "message") {
        return (body.clone(), observed);
    }
    observe_message(&mut observed, &message);
    observed.stop_reason = message.string("stop_reason").map(std::borrow::Cow::into_owned);
    let blocks = message.get("content").and_then(Raw::elements).unwrap_or_default();
    let is_call = |block: &Raw<'_>| {
        block
            .members()
            .and_then(|block| block.string("type"))
            .is_some_and(|kind| kind == "tool_use")
    };
    observed.tool_calls =
        u32::try_from(blocks.iter().filter(|block| is_call(block)).count()).unwrap_or(u32::MAX);
    observed.outcome = Outcome::Complete;
    let renamed = alias.and_then(|alias| rename(body, message.get("model")?, alias));
    (renamed.unwrap_or_else(|| body.clone()), observed)
}

/// Notes id, model and usage of a message.
pub(crate) fn observe_message(observed: &mut Observed, message: &Members<'_>) {
    observed.upstream_id = message.string("id").map(std::borrow::Cow::into_owned);
    observed.served_model = message
        .string("model")
        .map(|model| ModelName::new(model.into_owned()));
    if let Some(counts) = message.get("usage") {
        let mut counted = Usage::default();
        usage::merge(&mut counted, counts);
        observed.usage = Some(counted);
    }
}

/// The bytes with the model's value, which is a place in them, replaced.
pub(crate) fn rename(bytes: &Bytes, model: Raw<'_>, alias: &ModelName) -> Option<Bytes> {
    let range = model.place_in(bytes)?;
    let mut with = Vec::with_capacity(alias.as_str().len() + 2);
    put_string(&mut with, alias.as_str());
    splice::apply(
        bytes,
        &[Splice {
            range,
            with: with.into(),
        }],
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_models_name_changes() {
        let body = Bytes::from_static(
            br#" {"id":"msg_1" , "type":"message","model" : "claude-x-20260101","content":[{"type":"text","text":"\u00e9 \"model\""},{"type":"tool_use","id":"t","name":"n","input":{"model":"claude-x-20260101"}}],"stop_reason":"tool_use","usage":{"input_tokens":3,"output_tokens":4},"new":1.0e2}"#,
        );
        let alias = ModelName::new("my \"model\"");
        let (renamed, observed) = messages_json(&body, Some(&alias));
        let expected = String::from_utf8(body.to_vec()).unwrap().replacen(
            "\"claude-x-20260101\"",
            "\"my \\\"model\\\"\"",
            1,
        );
        assert_eq!(renamed, expected.as_bytes());
        assert_eq!(
            observed.served_model.as_ref().unwrap().as_str(),
            "claude-x-20260101"
        );
        assert_eq!(
            observed.usage,
            Some(Usage {
                input: 3,
                output: 4,
                ..Usage::default()
            })
        );
        assert_eq!(
            (observed.stop_reason.as_deref(), observed.tool_calls),
            (Some("tool_use"), 1)
        );
        assert_eq!(
            (observed.upstream_id.as_deref(), observed.outcome),
            (Some("msg_1"), Outcome::Complete)
        );
        assert_eq!(messages_json(&body, None).0, body);
    }

    #[test]
    fn what_cannot_be_read_passes_as_it_is() {
        for odd in [
            &b"<html>"[..],
            b"",
            b"{}",
            b"[1]",
            b"{\"type\":\"message\"",
            b"\xff",
        ] {
            let body = Bytes::from_static(odd);
            let (passed, observed) = messages_json(&body, Some(&ModelName::new("alias")));
            assert_eq!((passed, observed.outcome), (body, Outcome::Broken));
        }
    }
}
