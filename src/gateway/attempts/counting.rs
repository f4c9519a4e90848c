//! Tokens that are counted here, because the upstream of the model has no count of its own.

use std::time::Instant;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use pingora_core::protocols::http::ServerSession;

use crate::dialect::operation::Operation;
use crate::gateway::answers::Reply;
use crate::gateway::attempts::{Attempts, Tried, client_left};
use crate::gateway::respond;
use crate::journal::leaf::close::{Attempt, Outcome};
use crate::pipeline::record::micros;
use crate::pipeline::refusal::{Kind, Refusal};
use crate::pipeline::route::Candidate;
use crate::pipeline::translate::ErrorKind;
use crate::pipeline::translate::count::{self, Reader, vocabulary::Vocabulary};
use crate::pipeline::translate::prepare::{Unprepared, prepare};

/// The header that tells an estimate from a count.
const ESTIMATED: HeaderName = HeaderName::from_static("x-tollgate-estimated");

/// How Bedrock says that a model's tokens cannot be counted.
const NOT_COUNTED: &str = "support counting tokens";

/// How a row names the attempt.
const COUNTED_HERE: &str = "estimated";

impl Attempts<'_> {
    /// Answers a request to count tokens itself where the candidate cannot; `None` where it is asked as usual.
    pub(super) async fn count_here(
        &mut self,
        session: &mut ServerSession,
        candidate: &Candidate,
    ) -> pingora_error::Result<Option<Tried>> {
        let Some(question) = self.question.as_ref() else {
            return Ok(None);
        };
        let index = question.inspection.index();
        if index.operation() != Operation::CountTokens {
            return Ok(None);
        }
        let headers = &session.req_header().headers;
        let prepared = prepare(&question.inspection, candidate, headers);
        if matches!(prepared, Err(Unprepared::NotSupported(_))) {
            return self.estimate(session, candidate).await.map(Some);
        }
        Ok(None)
    }

    /// Whether this is what an upstream says that counts, but not for this model.
    pub(super) fn cannot_count(&self, reply: &Reply) -> bool {
        let Reply::Fault(fault) = reply else {
            return false;
        };
        self.envelope.operation == Operation::CountTokens
            && fault.kind == ErrorKind::InvalidRequest
            && fault.message.contains(NOT_COUNTED)
    }

    /// Answers a request to count tokens with our estimate.
    pub(super) async fn estimate(
        &mut self,
        session: &mut ServerSession,
        candidate: &Candidate,
    ) -> pingora_error::Result<Tried> {
        let Some(question) = self.question.as_ref() else {
            return Ok(Tried::Over);
        };
        let index = question.inspection.index();
        let began = Instant::now();
        let reader = match &*candidate.upstream.label {
            "openai" | "azure-openai" => Reader::OpenAi,
            _ => Reader::Other,
        };
        let body = index.body().clone();
        let counting =
            tokio::task::spawn_blocking(move || count::estimate(&body, reader, Vocabulary::shared()?));
        let counted = tokio::select! {
            biased;
            counted = counting => counted.ok().flatten(),
            _ = session.read_body_or_idle(true) => {
                self.close.outcome = Outcome::ClientGone;
                return Err(client_left());
            }
        };
        let Some(tokens) = counted else {
            let refusal = Refusal::new(
                Kind::Internal,
                "the tokens could not be counted: look into the gateway's log",
            );
            return Ok(Tried::Final(Reply::Refusal(refusal)));
        };
        self.note_counted(candidate, began);
        let body = Bytes::from(format!(r#"{{"input_tokens":{tokens}}}"#));
        let extra = [(ESTIMATED, HeaderValue::from_static("true"))];
        let sent = respond::whole(
            session,
            StatusCode::OK,
            "application/json",
            &extra,
            self.context.id,
            body,
        )
        .await;
        self.close.outcome = if sent.is_ok() {
            Outcome::Complete
        } else {
            Outcome::ClientGone
        };
        sent.map(|()| Tried::Over)
    }

    /// Notes the estimate: nobody was asked, and nothing was used.
    fn note_counted(&mut self, candidate: &Candidate, began: Instant) {
        self.close.served_model = Some(candidate.served_model.clone());
        self.close.usage_estimated = true;
        self.close.status = Some(StatusCode::OK.as_u16());
        self.close.ttfb_us = Some(micros(self.context.started.elapsed()));
        self.close.attempts.push(Attempt {
            upstream: candidate.upstream.name.clone(),
            outcome: COUNTED_HERE.into(),
            status: None,
            duration_us: micros(began.elapsed()),
        });
    }
}
