//! A body made ready for one candidate.

use bytes::Bytes;
use http::HeaderMap;

use crate::dialect::operation::Operation;
use crate::dialect::splice::{self, Splice};
use crate::dialect::{Dialect, Family};
use crate::pipeline::inspect::index::Index;
use crate::pipeline::inspect::inspection::Inspection;
use crate::pipeline::route::Candidate;
use crate::pipeline::translate::answer::tally;
use crate::pipeline::translate::foreign_reasoning::foreign_reasoning;
use crate::pipeline::translate::foreign_thinking::{EmptySignatures, foreign_thinking};
use crate::pipeline::translate::{
    AnswerContext, ChatBytes, ChatProfile, CompletionContext, Dropped, DroppedKind, Reader, ResponseBytes,
    ResponseContext, Untranslatable, chat_to_messages, count_to_gemini, messages_to_chat,
    messages_to_converse, messages_to_gemini, responses_to_messages,
};
use crate::provider::{Ask, Counting, Unfit};
use crate::types::ids::ModelName;

/// What goes to one candidate, and what its answer needs to come back.
#[derive(Debug)]
pub struct Prepared {
    /// The body to send.
    pub body: Bytes,
    /// What is asked.
    pub operation: Operation,
    /// Whether the answer shall be a stream.
    pub stream: bool,
    /// Whether client and upstream speak the same dialect, so that bytes pass unchanged.
    pub same_dialect: bool,
    /// How many edits lie between received and sent, where bytes pass.
    pub splices: usize,
    /// What translation lost.
    pub dropped: Vec<Dropped>,
    /// How the answer is rewritten.
    pub answer: AnswerPlan,
}

/// How an answer is rewritten.
#[derive(Clone, Debug)]
pub enum AnswerPlan {
    /// Bytes pass; the model's name is put back where it was an alias.
    Messages {
        /// The name that the client asked for, if another one was sent.
        alias: Option<ModelName>,
    },
    /// Chat completions become Messages.
    Chat(AnswerContext),
    /// What Gemini answers becomes Messages.
    Gemini(AnswerContext),
    /// What Bedrock's Converse answers becomes Messages.
    Converse(AnswerContext),
    /// A count of tokens, which stands under this member.
    Count(&'static str),
    /// What this plan makes Messages of is told to a client of another API.
    Told(Box<AnswerPlan>, Told),
    /// Bytes of completions and embeddings pass.
    OpenAi(ChatBytes),
    /// Bytes of a response pass.
    Response(ResponseBytes),
}

/// In whose words an answer is told.
#[derive(Clone, Debug)]
pub enum Told {
    /// In those of chat completions.
    Completion(CompletionContext),
    /// In those of the Responses API.
    Response(ResponseContext),
}

/// The body cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub enum Unprepared {
    /// It asks for what the upstream's dialect cannot express.
    #[error(transparent)]
    Untranslatable(#[from] Untranslatable),
    /// The upstream has no such operation.
    #[error("the upstream has no {}", .0.as_str())]
    NotSupported(Operation),
    /// It asks for what this vendor cannot do.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// A defect of ours: edits that do not fit the body.
    #[error(transparent)]
    Misfit(#[from] splice::Misfit),
}

/// Makes a body ready for a candidate: redactions first, then the candidate's own model name and,
/// where the dialects differ, translation; what its vendor wants otherwise comes last. `headers` are the
/// client's.
///
/// # Errors
/// [`Unprepared`]; another candidate may still take the request.
pub fn prepare(
    inspection: &Inspection,
    candidate: &Candidate,
    headers: &HeaderMap,
) -> Result<Prepared, Unprepared> {
    let mut prepared = in_its_dialect(inspection, candidate)?;
    let ask = Ask {
        operation: prepared.operation,
        model: &candidate.served_model,
        stream: prepared.stream,
        query: None,
        client: headers,
    };
    let edits = candidate.upstream.provider.edits(&ask, &prepared.body)?;
    prepared.body = splice::apply(&prepared.body, &edits.splices)?;
    prepared.splices += edits.splices.len();
    prepared
        .dropped
        .extend(edits.lost.into_iter().map(|lost| Dropped {
            path: lost.path,
            kind: DroppedKind::Loss,
            reason: lost.reason,
        }));
    Ok(prepared)
}

/// The body in the dialect of the candidate.
fn in_its_dialect(inspection: &Inspection, candidate: &Candidate) -> Result<Prepared, Unprepared> {
    let operation = inspection.index().operation();
    match (operation.family(), candidate.dialect()) {
        (Family::Anthropic, Dialect::AnthropicMessages) => messages_bytes(inspection, candidate),
        (Family::OpenAi, Dialect::OpenAiChat)
            if operation != Operation::Responses || chat(candidate).responses =>
        {
            openai_bytes(inspection, candidate)
        }
        (Family::Anthropic, Dialect::Gemini) if operation == Operation::CountTokens => {
            count_by_gemini(inspection, candidate)
        }
        (_, _) => translated(inspection, candidate),
    }
}

/// How the candidate's chat completions differ from the plain ones.
fn chat(candidate: &Candidate) -> &ChatProfile {
    candidate.upstream.chat(&candidate.served_model)
}

/// The name that the client asked for, where the candidate is asked for another one.
fn alias(inspection: &Inspection, candidate: &Candidate) -> Option<ModelName> {
    let asked = inspection.index().model();
    (*asked != candidate.served_model).then(|| asked.clone())
}

/// Messages on both sides.
fn messages_bytes(inspection: &Inspection, candidate: &Candidate) -> Result<Prepared, Unprepared> {
    let index = inspection.index();
    let mut edits: Vec<Splice> = inspection.splices().to_vec();
    let alias = alias(inspection, candidate);
    if alias.is_some() {
        edits.push(index.model_splice(&candidate.served_model));
    }
    let edited = splice::apply(index.body(), &edits)?;
    // Found in the edited body, because a redaction may lie within such a block.
    let empty = if candidate.upstream.signed_thinking {
        EmptySignatures::Removed
    } else {
        EmptySignatures::Kept
    };
    let (removed, dropped) = foreign_thinking(&edited, empty);
    let operation = index.operation();
    let counting = candidate.upstream.provider.counting(&candidate.served_model);
    let answer = match counting {
        Counting::Under(member) if operation == Operation::CountTokens => AnswerPlan::Count(member),
        Counting::Not if operation == Operation::CountTokens => {
            return Err(Unprepared::NotSupported(operation));
        }
        _ => AnswerPlan::Messages { alias },
    };
    Ok(Prepared {
        body: splice::apply(&edited, &removed)?,
        operation,
        stream: index.stream(),
        same_dialect: true,
        splices: edits.len() + removed.len(),
        dropped,
        answer,
    })
}

/// OpenAI's API on both sides.
fn openai_bytes(inspection: &Inspection, candidate: &Candidate) -> Result<Prepared, Unprepared> {
    let index = inspection.index();
    let mut edits: Vec<Splice> = inspection.splices().to_vec();
    let alias = alias(inspection, candidate);
    if alias.is_some() {
        edits.push(index.model_splice(&candidate.served_model));
    }
    let usage_edit = index.usage_edit().filter(|_| chat(candidate).include_usage);
    edits.extend(usage_edit.cloned());
    edits.extend(index.store_edit().cloned());
    let edited = splice::apply(index.body(), &edits)?;
    let (removed, dropped) = match index.operation() {
        // Found in the edited body, because a redaction may lie within such an item.
        Operation::Responses => foreign_reasoning(&edited),
        _ => (Vec::new(), Vec::new()),
    };
    let input_tokens = input_tokens(index);
    let answer = if index.operation() == Operation::Responses {
        AnswerPlan::Response(ResponseBytes { alias, input_tokens })
    } else {
        AnswerPlan::OpenAi(ChatBytes {
            alias,
            withhold_usage: usage_edit.is_some(),
            choices: index.choices(),
            input_tokens,
        })
    };
    Ok(Prepared {
        body: splice::apply(&edited, &removed)?,
        operation: index.operation(),
        stream: index.stream(),
        same_dialect: true,
        splices: edits.len() + removed.len(),
        dropped,
        answer,
    })
}

/// Our estimate of what a request that is passed on as it is will count for.
pub fn input_tokens(index: &Index) -> u64 {
    tally::request(tally::size(index.text_bytes()), index.images().into())
}

/// A count of tokens by Gemini.
fn count_by_gemini(inspection: &Inspection, candidate: &Candidate) -> Result<Prepared, Unprepared> {
    let edits = inspection.splices();
    let redacted = splice::apply(inspection.index().body(), edits)?;
    let (body, dropped) = count_to_gemini(&redacted, &candidate.served_model)?;
    Ok(Prepared {
        body,
        operation: Operation::CountTokens,
        stream: false,
        same_dialect: false,
        splices: edits.len(),
        dropped,
        answer: AnswerPlan::Count("totalTokens"),
    })
}

/// Different dialects: whatever the client speaks is put into Messages, and these into what the upstream
/// speaks.
fn translated(inspection: &Inspection, candidate: &Candidate) -> Result<Prepared, Unprepared> {
    let edits = inspection.splices();
    let redacted = splice::apply(inspection.index().body(), edits)?;
    let reader = match candidate.dialect() {
        Dialect::AnthropicMessages => Reader::Upstream(&candidate.served_model),
        Dialect::OpenAiChat | Dialect::Gemini | Dialect::Converse => Reader::Translation,
    };
    let (messages, mut dropped, told) = match inspection.index().operation() {
        Operation::Messages => (redacted, Vec::new(), None),
        Operation::ChatCompletions => {
            let messages = chat_to_messages(&redacted, reader)?;
            let told = Told::Completion(messages.answer);
            (messages.body, messages.dropped, Some(told))
        }
        Operation::Responses => {
            let messages = responses_to_messages(&redacted, reader)?;
            let told = Told::Response(messages.answer);
            (messages.body, messages.dropped, Some(told))
        }
        other => return Err(Unprepared::NotSupported(other)),
    };
    let (body, operation, source) = match candidate.dialect() {
        Dialect::AnthropicMessages => (
            messages,
            Operation::Messages,
            AnswerPlan::Messages { alias: None },
        ),
        Dialect::OpenAiChat => {
            let asked = messages_to_chat(&messages, &candidate.served_model, chat(candidate))?;
            dropped.extend(asked.dropped);
            let plan = AnswerPlan::Chat(asked.answer);
            (asked.body, Operation::ChatCompletions, plan)
        }
        Dialect::Gemini => {
            let asked = messages_to_gemini(&messages, &candidate.served_model)?;
            dropped.extend(asked.dropped);
            (asked.body, Operation::Messages, AnswerPlan::Gemini(asked.answer))
        }
        Dialect::Converse => {
            let asked = messages_to_converse(&messages, &candidate.served_model)?;
            dropped.extend(asked.dropped);
            (
                asked.body,
                Operation::Messages,
                AnswerPlan::Converse(asked.answer),
            )
        }
    };
    Ok(Prepared {
        body,
        operation,
        stream: inspection.index().stream(),
        same_dialect: false,
        splices: edits.len(),
        dropped,
        answer: match told {
            Some(told) => AnswerPlan::Told(Box::new(source), told),
            None => source,
        },
    })
}
