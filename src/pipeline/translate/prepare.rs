//! A body made ready for one candidate.

use bytes::Bytes;

use crate::dialect::Dialect;
use crate::dialect::operation::Operation;
use crate::dialect::splice::{self, Splice};
use crate::pipeline::inspect::inspection::Inspection;
use crate::pipeline::route::Candidate;
use crate::pipeline::translate::foreign_thinking::{EmptySignatures, foreign_thinking};
use crate::pipeline::translate::{AnswerContext, Dropped, Untranslatable, messages_to_chat};
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
}

/// The body cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub enum Unprepared {
    /// It asks for what the upstream's dialect cannot express.
    #[error(transparent)]
    Untranslatable(#[from] Untranslatable),
    /// The upstream has no such operation.
    #[error("the upstream cannot count tokens")]
    NotSupported,
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
    let index = inspection.index();
    let operation = index.operation();
    let mut edits: Vec<Splice> = inspection.splices().to_vec();
    match (candidate.upstream.dialect, operation) {
        (Dialect::AnthropicMessages, _) => {
            let alias = (*index.model() != candidate.served_model).then(|| index.model().clone());
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
                operation,
                same_dialect: true,
                splices: edits.len() + removed.len(),
                dropped,
                answer: AnswerPlan::Messages { alias },
            })
        }
        (Dialect::OpenAiChat, Operation::CountTokens) => Err(Unprepared::NotSupported),
        (Dialect::OpenAiChat, Operation::Messages) => {
            let redacted = splice::apply(index.body(), &edits)?;
            let chat = messages_to_chat(&redacted, &candidate.served_model, &candidate.upstream.chat)?;
            Ok(Prepared {
                body: chat.body,
                operation,
                same_dialect: false,
                splices: edits.len(),
                dropped: chat.dropped,
                answer: AnswerPlan::Chat(chat.answer),
            })
        }
    }
}
