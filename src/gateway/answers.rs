//! Answers that are whole: an upstream's JSON, its errors, and what replaces them.

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, StatusCode};
use pingora_core::protocols::http::ServerSession;

use crate::dialect::Family;
use crate::dialect::anthropic::error as anthropic;
use crate::dialect::openai::error as openai;
use crate::gateway::respond::{self, Extra};
use crate::pipeline::refusal::Refusal;
use crate::pipeline::translate::prepare::{AnswerPlan, Told};
use crate::pipeline::translate::{
    CompletionName, Ending, ErrorKind, Fault, Form, Observed, Progress, ResponseName, Rewriter, Telling,
    chat_json, completion_chunks, completion_json, converse_json, count_json, gemini_json, messages_json,
    openai_json, response_json, response_of_message,
};
use crate::types::ids::RequestId;

/// What a client is told when no candidate answered.
#[derive(Debug)]
pub(super) enum Reply {
    /// We decline.
    Refusal(Refusal),
    /// An upstream failed in a way that has a place in the client's dialect.
    Fault(Fault),
    /// An upstream's own words, in the client's dialect, unchanged.
    Relay {
        status: u16,
        body: Bytes,
        retry_after: Option<String>,
    },
}

/// The rewriter of a stream.
pub(super) fn rewriter(plan: AnswerPlan, id: RequestId) -> Rewriter {
    match plan {
        AnswerPlan::Messages { alias } => Rewriter::messages(alias),
        AnswerPlan::Chat(context) => Rewriter::chat(context, message_id(id)),
        AnswerPlan::Gemini(context) => Rewriter::gemini(context, message_id(id)),
        AnswerPlan::Converse(context) => Rewriter::converse(context, message_id(id)),
        // Counts are never streamed; whatever comes here is passed on.
        AnswerPlan::Count(_) => Rewriter::messages(None),
        AnswerPlan::OpenAi(plan) => Rewriter::chat_bytes(plan),
        AnswerPlan::Response(plan) => Rewriter::response_bytes(plan),
        AnswerPlan::Told(source, told) => {
            let telling = match told {
                Told::Completion(context) => Telling::completion(context, &completion_name(id)),
                Told::Response(context) => Telling::response(context, response_name(id)),
            };
            rewriter(*source, id).told(telling)
        }
    }
}

/// The id of a message that we make from a foreign answer: one per request, so it is the request's.
fn message_id(id: RequestId) -> String {
    format!("msg_{}", id.as_uuid().simple())
}

/// The name of a completion that we make from a foreign answer.
fn completion_name(id: RequestId) -> CompletionName {
    CompletionName {
        id: format!("chatcmpl-{}", id.as_uuid().simple()),
        created: made_at(id),
    }
}

/// The name of a response that we make from a foreign answer.
fn response_name(id: RequestId) -> ResponseName {
    ResponseName {
        id: id.as_uuid().simple().to_string(),
        created: made_at(id),
    }
}

fn made_at(id: RequestId) -> u64 {
    let made = id.as_uuid().get_timestamp().map(|time| time.to_unix().0);
    made.unwrap_or_default()
}

/// Rewrites a whole JSON answer. A client that asked for a stream gets one, also where the upstream
/// answered with JSON.
pub(super) fn whole(
    plan: &AnswerPlan,
    body: &Bytes,
    id: RequestId,
    wants_stream: bool,
) -> Result<(Bytes, Observed, &'static str), Fault> {
    match plan {
        AnswerPlan::Messages { alias } => {
            let (bytes, observed) = messages_json(body, alias.as_ref());
            Ok((bytes, observed, "application/json"))
        }
        AnswerPlan::OpenAi(plan) => {
            let (bytes, observed) = openai_json(body, plan.alias.as_ref())?;
            Ok((bytes, observed, "application/json"))
        }
        AnswerPlan::Response(plan) => {
            let (bytes, observed) = response_json(body, plan.alias.as_ref())?;
            Ok((bytes, observed, "application/json"))
        }
        AnswerPlan::Told(source, told) => {
            let (message, observed, _) = whole(source, body, id, false)?;
            let (form, kind) = if wants_stream {
                (Form::Events, "text/event-stream; charset=utf-8")
            } else {
                (Form::Json, "application/json")
            };
            let bytes = match (told, form) {
                (Told::Completion(context), Form::Events) => {
                    completion_chunks(&message, context, &completion_name(id))?
                }
                (Told::Completion(context), Form::Json) => {
                    completion_json(&message, context, &completion_name(id))?
                }
                (Told::Response(context), form) => {
                    response_of_message(&message, context, &response_name(id), form)?
                }
            };
            Ok((bytes, observed, kind))
        }
        AnswerPlan::Chat(_) | AnswerPlan::Gemini(_) | AnswerPlan::Converse(_) if wants_stream => {
            let (bytes, observed) = as_stream(plan, body, id)?;
            Ok((bytes, observed, "text/event-stream; charset=utf-8"))
        }
        AnswerPlan::Chat(context) => {
            let (bytes, observed) = chat_json(body, context, message_id(id))?;
            Ok((bytes, observed, "application/json"))
        }
        AnswerPlan::Gemini(context) => {
            let (bytes, observed) = gemini_json(body, context, message_id(id))?;
            Ok((bytes, observed, "application/json"))
        }
        AnswerPlan::Converse(context) => {
            let (bytes, observed) = converse_json(body, context, message_id(id))?;
            Ok((bytes, observed, "application/json"))
        }
        AnswerPlan::Count(member) => {
            let (bytes, observed) = count_json(body, member)?;
            Ok((bytes, observed, "application/json"))
        }
    }
}

/// The stream that a whole answer would have been.
fn as_stream(plan: &AnswerPlan, body: &Bytes, id: RequestId) -> Result<(Bytes, Observed), Fault> {
    let mut stream = rewriter(plan.clone(), id);
    let mut out = BytesMut::new();
    let pushed = stream.push(body, &mut out);
    let ended = if matches!(pushed, Progress::More) {
        stream.end(Ending::Eof, &mut out)
    } else {
        pushed
    };
    match ended {
        Progress::Failed(fault) => Err(fault),
        Progress::More | Progress::Finished => Ok((out.freeze(), stream.observed().clone())),
    }
}

/// The status under which a client of this API is told a fault.
pub(super) fn fault_status(fault: &Fault, family: Family) -> StatusCode {
    let status = match family {
        Family::Anthropic => fault.status,
        Family::OpenAi => openai::status(fault.status),
    };
    StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY)
}

/// Sends a fault in the client's dialect.
pub(super) async fn send_fault(
    session: &mut ServerSession,
    fault: &Fault,
    status: StatusCode,
    family: Family,
    id: RequestId,
) -> pingora_error::Result<()> {
    let mut body = BytesMut::with_capacity(160 + fault.message.len());
    match family {
        Family::Anthropic => {
            anthropic::put_envelope(&mut body, fault.kind, &fault.message, Some(&id.wire()));
        }
        Family::OpenAi => openai::put_envelope(&mut body, fault.kind, &fault.message),
    }
    let mut extra = retry_after(fault.retry_after.as_deref());
    // A used-up quota has the status of a rate limit, which clients would try again.
    if family == Family::OpenAi && fault.kind == ErrorKind::Billing {
        extra.push((
            HeaderName::from_static("x-should-retry"),
            HeaderValue::from_static("false"),
        ));
    }
    respond::whole(session, status, "application/json", &extra, id, body.freeze()).await
}

/// Sends an upstream's own error unchanged.
pub(super) async fn send_relay(
    session: &mut ServerSession,
    status: u16,
    body: Bytes,
    after: Option<&str>,
    id: RequestId,
) -> pingora_error::Result<()> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    respond::whole(session, status, "application/json", &retry_after(after), id, body).await
}

fn retry_after(text: Option<&str>) -> Vec<Extra> {
    let value = text.and_then(|text| HeaderValue::from_str(text).ok());
    value
        .map(|value| (http::header::RETRY_AFTER, value))
        .into_iter()
        .collect::<Vec<(HeaderName, HeaderValue)>>()
}
