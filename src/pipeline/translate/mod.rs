//! Translation between the client's dialect and the upstream's. Pure, synchronous, no I/O.
//!
//! Input: the client's body, the name and profile of the upstream; later the upstream's bytes, chunk by
//! chunk. Output: the body to send, what it lost, and a [`Rewriter`] for the answer.
//!
//! Invariants: a loss is never silent; a failure never becomes a success; where both sides speak the
//! same dialect no byte changes but the name of the model; what the client gets is always a prefix of a
//! valid Messages stream, ended properly or by one `error` event.

pub mod dropped;
pub mod foreign_reasoning;
pub mod foreign_thinking;
pub mod from_chat;
pub mod from_responses;
pub(crate) mod names;
pub mod prepare;
pub mod request;
pub mod to_converse;
pub mod to_gemini;
pub mod to_messages;

pub mod answer;
pub mod count;
pub(crate) mod overflow;
pub(crate) mod redaction;
pub mod upstream_error;

use bytes::{Bytes, BytesMut};

pub use crate::dialect::anthropic::error::ErrorKind;
pub use crate::dialect::openai::profile::ChatProfile;
pub use crate::pipeline::translate::answer::answer_stream::AnswerStream;
pub use crate::pipeline::translate::answer::chat::chat_json;
pub use crate::pipeline::translate::answer::context::AnswerContext;
pub use crate::pipeline::translate::answer::converse::converse_json;
pub use crate::pipeline::translate::answer::count::count_json;
pub use crate::pipeline::translate::answer::fault::Fault;
pub use crate::pipeline::translate::answer::gemini::gemini_json;
pub use crate::pipeline::translate::answer::messages::messages_json;
pub use crate::pipeline::translate::answer::messages_stream::MessagesStream;
pub use crate::pipeline::translate::answer::observed::{Observed, Outcome};
pub use crate::pipeline::translate::answer::openai::bytes::openai_json;
pub use crate::pipeline::translate::answer::openai::bytes_stream::BytesStream;
pub use crate::pipeline::translate::answer::openai::completion::{completion_chunks, completion_json};
pub use crate::pipeline::translate::answer::openai::context::{
    ChatBytes, CompletionContext, CompletionName, ResponseBytes, ResponseContext, ResponseName,
};
pub use crate::pipeline::translate::answer::openai::response::{Form, response_of_message};
pub use crate::pipeline::translate::answer::openai::responses::response_json;
pub use crate::pipeline::translate::answer::told::{Telling, ToldStream};
pub use crate::pipeline::translate::answer::{Ending, Progress};
pub use crate::pipeline::translate::dropped::{Dropped, DroppedKind, dropped_header};
pub use crate::pipeline::translate::from_chat::chat_to_messages;
pub use crate::pipeline::translate::from_responses::responses_to_messages;
pub use crate::pipeline::translate::request::{TranslatedRequest, Untranslatable, messages_to_chat};
pub use crate::pipeline::translate::to_converse::messages_to_converse;
pub use crate::pipeline::translate::to_gemini::{count_to_gemini, messages_to_gemini};
pub use crate::pipeline::translate::to_messages::{MessagesRequest, Reader};
pub use crate::pipeline::translate::upstream_error::{ClientError, ErrorAnswer, upstream_error};
use crate::types::ids::ModelName;

/// The state machine between an upstream's stream and the client's.
#[derive(Debug)]
pub enum Rewriter {
    /// Both speak Messages: bytes pass.
    Messages(Box<MessagesStream>),
    /// The client speaks Messages, the upstream another dialect.
    Answer(Box<AnswerStream>),
    /// Both speak the same of OpenAI's API: bytes pass.
    OpenAi(Box<BytesStream>),
    /// What another rewriter makes Messages of, told to a client of another API.
    Told(Box<ToldStream>),
}

/// The stream inside, whichever it is.
macro_rules! stream {
    ($rewriter:expr, $stream:ident => $call:expr) => {
        match $rewriter {
            Rewriter::Messages($stream) => $call,
            Rewriter::Answer($stream) => $call,
            Rewriter::OpenAi($stream) => $call,
            Rewriter::Told($stream) => $call,
        }
    };
}

impl Rewriter {
    /// For a Messages upstream. With an alias, the client sees it as the model's name.
    pub fn messages(alias: Option<ModelName>) -> Self {
        Self::Messages(Box::new(MessagesStream::new(alias)))
    }

    /// For a chat-completions upstream; the client's message gets this id.
    pub fn chat(context: AnswerContext, message_id: impl Into<String>) -> Self {
        Self::Answer(Box::new(AnswerStream::chat(context, message_id)))
    }

    /// For a Gemini upstream; the client's message gets this id.
    pub fn gemini(context: AnswerContext, message_id: impl Into<String>) -> Self {
        Self::Answer(Box::new(AnswerStream::gemini(context, message_id)))
    }

    /// For an upstream of Bedrock's Converse; the client's message gets this id.
    pub fn converse(context: AnswerContext, message_id: impl Into<String>) -> Self {
        Self::Answer(Box::new(AnswerStream::converse(context, message_id)))
    }

    /// For chat completions on both sides.
    pub fn chat_bytes(plan: ChatBytes) -> Self {
        Self::OpenAi(Box::new(BytesStream::chat(plan)))
    }

    /// For the Responses API on both sides.
    pub fn response_bytes(plan: ResponseBytes) -> Self {
        Self::OpenAi(Box::new(BytesStream::response(plan)))
    }

    /// For a client of another API than Messages: this rewriter makes Messages of what the upstream says,
    /// and the client is told them in its own words.
    pub fn told(self, telling: Telling) -> Self {
        Self::Told(Box::new(ToldStream::new(self, telling)))
    }

    /// Takes a chunk of the upstream's body and writes what the client may see of it.
    pub fn push(&mut self, chunk: &Bytes, out: &mut BytesMut) -> Progress {
        stream!(self, stream => stream.push(chunk, out))
    }

    /// The upstream's body ended: writes the end that it deserves.
    pub fn end(&mut self, ending: Ending, out: &mut BytesMut) -> Progress {
        stream!(self, stream => stream.end(ending, out))
    }

    /// Writes a sign of life in a form that is allowed at this moment.
    pub fn ping(&mut self, out: &mut BytesMut) {
        stream!(self, stream => stream.ping(out));
    }

    /// Ends the stream with an error that was found outside: a deadline, a shutdown.
    pub fn abort(&mut self, kind: ErrorKind, message: &str, out: &mut BytesMut) {
        stream!(self, stream => stream.abort(kind, message, out));
    }

    /// Whether the answer itself is complete and only its tail (usage, end mark) is outstanding. The
    /// caller waits for it a little, then calls [`Rewriter::end`]. A Messages stream has no such tail:
    /// its end mark is part of the answer.
    pub fn awaiting_tail(&self) -> bool {
        match self {
            Self::Messages(_) => false,
            Self::Told(stream) => stream.awaiting_tail(),
            Self::Answer(stream) => stream.awaiting_tail(),
            Self::OpenAi(stream) => stream.awaiting_tail(),
        }
    }

    /// What was seen so far.
    pub fn observed(&self) -> &Observed {
        stream!(self, stream => stream.observed())
    }
}
