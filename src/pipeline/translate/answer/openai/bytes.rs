//! Whole answers of OpenAI-compatible upstreams: the body passes byte for byte.

use std::borrow::Cow;

use bytes::Bytes;

use crate::dialect::openai::answer::{Choice, tool_deltas};
use crate::dialect::openai::{complaint, finish, usage};
use crate::dialect::raw::{Members, Raw};
use crate::pipeline::translate::answer::fault::Fault;
use crate::pipeline::translate::answer::messages::rename;
use crate::pipeline::translate::answer::observed::{Observed, Outcome};
use crate::pipeline::translate::upstream_error::fault_in_answer;
use crate::types::ids::ModelName;

/// Observes an answer with status 200 (a completion, embeddings) and, where the client asked by an
/// alias, splices the alias into `model`. A body that cannot be read passes as it is, and
/// [`Outcome::Broken`] says so.
///
/// # Errors
/// The fault that the body names in spite of its status.
pub fn openai_json(body: &Bytes, alias: Option<&ModelName>) -> Result<(Bytes, Observed), Fault> {
    let mut observed = Observed {
        outcome: Outcome::Broken,
        ..Observed::default()
    };
    let Some(answer) = std::str::from_utf8(body).ok().and_then(Members::read) else {
        return Ok((body.clone(), observed));
    };
    if let Some(complaint) = complaint::in_answer(&answer) {
        return Err(fault_in_answer(&complaint));
    }
    observe_head(&mut observed, &answer);
    let choice = Choice::first(&answer, "message");
    observed.usage = usage::find(&answer, choice.as_ref().map(|choice| &choice.members));
    if let Some(choice) = &choice {
        let calls = tool_deltas(&choice.body).len();
        observed.tool_calls = u32::try_from(calls).unwrap_or(u32::MAX);
        let finish = choice.finish_reason().unwrap_or_default();
        observed.stop_reason = Some(finish::stop_reason(&finish, calls > 0).to_owned());
    }
    if choice.is_some() || answer.get("data").and_then(Raw::elements).is_some() {
        observed.outcome = Outcome::Complete;
    }
    let renamed = alias.and_then(|alias| rename(body, answer.get("model")?, alias));
    Ok((renamed.unwrap_or_else(|| body.clone()), observed))
}

/// Notes id and model of an answer, or of one of its chunks.
pub(super) fn observe_head(observed: &mut Observed, answer: &Members<'_>) {
    let told = |key| answer.string(key).filter(|text| !text.is_empty());
    if observed.served_model.is_none() {
        observed.served_model = told("model").map(|model| ModelName::new(model.into_owned()));
    }
    if observed.upstream_id.is_none() {
        observed.upstream_id = told("id").map(Cow::into_owned);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::translate::ErrorKind;
    use crate::types::usage::Usage;

    #[test]
    fn only_the_models_name_changes() {
        let body = Bytes::from_static(
            br#" {"id":"chatcmpl-1","object":"chat.completion", "model" : "gpt-x-2026","choices":[{"index":0,"message":{"role":"assistant","content":"\u00e9 gpt-x-2026"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":4,"total_tokens":14,"prompt_tokens_details":{"cached_tokens":7}},"new":1.0e2}"#,
        );
        let (renamed, observed) = openai_json(&body, Some(&ModelName::new("fast"))).unwrap();
        let expected = String::from_utf8(body.to_vec())
            .unwrap()
            .replacen("\"gpt-x-2026\"", "\"fast\"", 1);
        assert_eq!(renamed, expected.as_bytes());
        let usage = Usage {
            input: 3,
            output: 4,
            cache_read: 7,
            ..Usage::default()
        };
        assert_eq!(
            (observed.usage, observed.outcome),
            (Some(usage), Outcome::Complete)
        );
        assert_eq!(observed.stop_reason.as_deref(), Some("end_turn"));
        assert_eq!(observed.served_model.unwrap().as_str(), "gpt-x-2026");
        assert_eq!(openai_json(&body, None).unwrap().0, body);
    }

    #[test]
    fn embeddings_are_observed() {
        let body = Bytes::from_static(
            br#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1]}],"model":"e","usage":{"prompt_tokens":8,"total_tokens":8}}"#,
        );
        let (passed, observed) = openai_json(&body, None).unwrap();
        assert_eq!((passed, observed.outcome), (body, Outcome::Complete));
        assert_eq!(
            observed.usage,
            Some(Usage {
                input: 8,
                ..Usage::default()
            })
        );
    }

    #[test]
    fn an_error_is_no_answer_whatever_its_status() {
        let body = Bytes::from_static(br#"{"error":{"message":"m","code":429}}"#);
        assert_eq!(openai_json(&body, None).unwrap_err().kind, ErrorKind::RateLimit);
        for odd in [&b"<html>"[..], b"", b"{}", b"[1]", b"\xff"] {
            let body = Bytes::from_static(odd);
            let (passed, observed) = openai_json(&body, Some(&ModelName::new("alias"))).unwrap();
            assert_eq!((passed, observed.outcome), (body, Outcome::Broken));
        }
    }
}
