//! The closed sets of words that labels are made of.

/// Where a request knocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `POST /v1/messages`
    Messages,
    /// `POST /v1/messages/count_tokens`
    CountTokens,
    /// `POST /v1/chat/completions`
    ChatCompletions,
    /// `POST /v1/embeddings`
    Embeddings,
    /// `POST /v1/responses`
    Responses,
    /// `GET /v1/models`
    Models,
    /// The control plane.
    Control,
    /// What load balancers and clients probe.
    Probe,
    /// No endpoint of ours.
    None,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Messages,
        Self::CountTokens,
        Self::ChatCompletions,
        Self::Embeddings,
        Self::Responses,
        Self::Models,
        Self::Control,
        Self::Probe,
        Self::None,
    ];

    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::CountTokens => "count_tokens",
            Self::ChatCompletions => "chat_completions",
            Self::Embeddings => "embeddings",
            Self::Responses => "responses",
            Self::Models => "models",
            Self::Control => "control",
            Self::Probe => "probe",
            Self::None => "none",
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The client got its whole answer.
    Complete,
    /// The client got an error, after the request was recorded and allowed.
    Error,
    /// The client left.
    ClientGone,
    /// We declined.
    Refused,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Complete, Self::Error, Self::ClientGone, Self::Refused];

    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Error => "error",
            Self::ClientGone => "client_gone",
            Self::Refused => "refused",
        }
    }
}

/// A stage of the governed path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Who asks.
    Identify,
    /// Reading the body.
    Intake,
    /// Indexing the body and looking for secrets.
    Inspect,
    /// Finding candidates.
    Route,
    /// Asking the policies.
    Decide,
    /// Until the decision is durable.
    Record,
    /// Preparing the body for an upstream.
    Translate,
}

impl Stage {
    /// All of them, in the order of a request.
    pub const ALL: [Self; 7] = [
        Self::Identify,
        Self::Intake,
        Self::Inspect,
        Self::Route,
        Self::Decide,
        Self::Record,
        Self::Translate,
    ];

    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identify => "identify",
            Self::Intake => "intake",
            Self::Inspect => "inspect",
            Self::Route => "route",
            Self::Decide => "decide",
            Self::Record => "record",
            Self::Translate => "translate",
        }
    }
}

/// What one attempt at an upstream came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// A whole answer.
    Complete,
    /// No connection: no address, refused, TLS.
    Connect,
    /// The connection broke before the head of an answer.
    Reset,
    /// No head in time.
    Timeout,
    /// An answer that broke off, fell silent, or was none.
    AnswerFailed,
    /// Status 401 or 403: our credential was refused.
    Credential,
    /// Status 429.
    RateLimited,
    /// Status 529.
    Overloaded,
    /// Another status from 500.
    ServerError,
    /// Any other status that is no success.
    Declined,
    /// The client left meanwhile.
    ClientGone,
    /// The request could not be written for this upstream.
    Unsendable,
}

impl AttemptOutcome {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Complete,
        Self::Connect,
        Self::Reset,
        Self::Timeout,
        Self::AnswerFailed,
        Self::Credential,
        Self::RateLimited,
        Self::Overloaded,
        Self::ServerError,
        Self::Declined,
        Self::ClientGone,
        Self::Unsendable,
    ];

    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Connect => "connect",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::AnswerFailed => "answer_failed",
            Self::Credential => "credential_refused",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::ServerError => "server_error",
            Self::Declined => "declined",
            Self::ClientGone => "client_gone",
            Self::Unsendable => "unsendable",
        }
    }

    /// What a status that is no success says.
    pub const fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => Self::Credential,
            429 => Self::RateLimited,
            529 => Self::Overloaded,
            500.. => Self::ServerError,
            _ => Self::Declined,
        }
    }
}

/// Why a request was not sent to an upstream of its route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// It asked to be left alone (`retry-after`).
    Resting,
    /// It failed too often.
    Broken,
    /// All its places were taken, and those in the queue.
    QueueFull,
    /// No place became free in time.
    QueueTimeout,
    /// Too many retries came to it already.
    RetryBudget,
}

impl SkipReason {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Resting,
        Self::Broken,
        Self::QueueFull,
        Self::QueueTimeout,
        Self::RetryBudget,
    ];

    /// The label's value, and the word in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resting => "resting",
            Self::Broken => "breaker_open",
            Self::QueueFull => "queue_full",
            Self::QueueTimeout => "queue_timeout",
            Self::RetryBudget => "retry_budget",
        }
    }
}
