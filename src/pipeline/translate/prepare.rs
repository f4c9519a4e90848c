//! A body made ready for one candidate.

use bytes::Bytes;

use crate::dialect::operation::Operation;
use crate::dialect::splice::{self, Splice};
use crate::dialect::{Dialect, Family};
use crate::pipeline::inspect::inspection::Inspection;
use crate::pipeline::route::Candidate;
use crate::pipeline::translate::answer::tally;
use crate::pipeline::translate::foreign_thinking::{EmptySignatures, foreign_thinking};
use crate::pipeline::translate::{
    AnswerContext, ChatBytes, CompletionContext, Dropped, ResponseBytes, Untranslatable, chat_to_messages,
    messages_to_chat,
};
use crate::types::ids::ModelName;

/// What goes to one candidate, and what its answer needs to come back.
#[derive(Debug)]
pub struct Prepared {
    /// The body to send.
    pub body: Bytes,
    /// What is asked.
    pub operation: Operation,
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
    /// Messages become chat completions.
    Completion(CompletionContext),
    /// Bytes of completions and embeddings pass.
    OpenAi(ChatBytes),
    /// Bytes of a response pass.
    Response(ResponseBytes),
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
    /// A defect of ours: edits that do not fit the body.
    #[error(transparent)]
    Misfit(#[from] splice::Misfit),
}

/// Makes a body ready for a candidate: redactions first, then the candidate's own model name and,
/// where the dialects differ, translation.
///
/// # Errors
/// [`Unprepared`]; another candidate may still take the request.
pub fn prepare(inspection: &Inspection, candidate: &Candidate) -> Result<Prepared, Unprepared> {
    let operation = inspection.index().operation();
    match (operation.family(), candidate.upstream.dialect) {
        (Family::Anthropic, Dialect::AnthropicMessages) => messages_bytes(inspection, candidate),
        (Family::OpenAi, Dialect::OpenAiChat)
            if operation != Operation::Responses || candidate.upstream.chat.responses =>
        {
            openai_bytes(inspection, candidate)
        }
        (Family::Anthropic, Dialect::OpenAiChat) if operation == Operation::Messages => {
            messages_by_chat(inspection, candidate)
        }
        (Family::OpenAi, Dialect::AnthropicMessages) if operation == Operation::ChatCompletions => {
            chat_by_messages(inspection, candidate)
        }
        (_, _) => Err(Unprepared::NotSupported(operation)),
    }
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
    let empty = match &*candidate.upstream.provider {
        "anthropic" => EmptySignatures::Removed,
        _ => EmptySignatures::Kept,
    };
    let (removed, dropped) = foreign_thinking(&edited, empty);
    Ok(Prepared {
        body: splice::apply(&edited, &removed)?,
        operation: index.operation(),
        same_dialect: true,
        splices: edits.len() + removed.len(),
        dropped,
        answer: AnswerPlan::Messages { alias },
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
    let usage_edit = index
        .usage_edit()
        .filter(|_| candidate.upstream.chat.include_usage);
    edits.extend(usage_edit.cloned());
    edits.extend(index.store_edit().cloned());
    let input_tokens = tally::tokens(tally::size(index.text_bytes()));
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
        body: splice::apply(index.body(), &edits)?,
        operation: index.operation(),
        same_dialect: true,
        splices: edits.len(),
        dropped: Vec::new(),
        answer,
    })
}

/// Messages from the client, chat completions upstream.
fn messages_by_chat(inspection: &Inspection, candidate: &Candidate) -> Result<Prepared, Unprepared> {
    let edits = inspection.splices();
    let redacted = splice::apply(inspection.index().body(), edits)?;
    let chat = messages_to_chat(&redacted, &candidate.served_model, &candidate.upstream.chat)?;
    Ok(Prepared {
        body: chat.body,
        operation: Operation::ChatCompletions,
        same_dialect: false,
        splices: edits.len(),
        dropped: chat.dropped,
        answer: AnswerPlan::Chat(chat.answer),
    })
}

/// Chat completions from the client, Messages upstream.
fn chat_by_messages(inspection: &Inspection, candidate: &Candidate) -> Result<Prepared, Unprepared> {
    let edits = inspection.splices();
    let redacted = splice::apply(inspection.index().body(), edits)?;
    let messages = chat_to_messages(&redacted, &candidate.served_model)?;
    Ok(Prepared {
        body: messages.body,
        operation: Operation::Messages,
        same_dialect: false,
        splices: edits.len(),
        dropped: messages.dropped,
        answer: AnswerPlan::Completion(messages.answer),
    })
}
