//! Why an upstream says that its answer ended, whatever its own words are.

/// The end of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    /// By itself, at a stop sequence or at tool calls: what came decides.
    Stop,
    /// At a stop sequence, which the upstream need not name.
    StopSequence,
    /// At the limit of tokens.
    Length,
    /// Refused, or taken away by a filter.
    Refused,
    /// The context is full.
    ContextFull,
}

impl Finish {
    /// What a finish reason of chat completions means.
    pub(crate) fn of_chat(reason: &str) -> Self {
        match reason {
            "content_filter" | "sensitive" => Self::Refused,
            "length" | "model_length" | "max_tokens" => Self::Length,
            reason if reason.contains("context") => Self::ContextFull,
            _ => Self::Stop,
        }
    }
}
