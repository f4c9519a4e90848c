//! What Converse answers, event by event or whole, in Messages terms.

use bytes::{Bytes, BytesMut};

use crate::dialect::anthropic::error::ErrorKind;
use crate::dialect::anthropic::signature::Signer;
use crate::dialect::converse::answer::{Finish as Reason, Piece, piece, pieces};
use crate::dialect::converse::usage;
use crate::dialect::openai::complaint;
use crate::dialect::raw::{Members, Raw};
use crate::pipeline::translate::answer::context::AnswerContext;
use crate::pipeline::translate::answer::fault::Fault;
use crate::pipeline::translate::answer::finish::Finish;
use crate::pipeline::translate::answer::observed::Observed;
use crate::pipeline::translate::answer::reading::Reading;
use crate::pipeline::translate::redaction::cleaned;
use crate::pipeline::translate::upstream_error::fault_in_answer;

/// Translates the body of an answer with status 200.
///
/// # Errors
/// The fault that the body names, or that it is no answer.
pub fn converse_json(
    body: &[u8],
    context: &AnswerContext,
    message_id: impl Into<String>,
) -> Result<(Bytes, Observed), Fault> {
    let mut reading = Reading::signed(context.clone(), message_id.into(), Signer::Converse);
    read(body, &mut reading)?;
    let mut message = BytesMut::with_capacity(body.len() + 256);
    reading.put_message(&mut message);
    reading.complete();
    Ok((message.freeze(), reading.observed))
}

/// Reads a whole answer.
pub(crate) fn read(body: &[u8], reading: &mut Reading) -> Result<(), Fault> {
    let text = String::from_utf8_lossy(body);
    let answer = Raw::read(&text).ok_or_else(|| Fault::broken("the upstream's answer is not JSON"))?;
    let answer = answer.members().unwrap_or_default();
    let Some(pieces) = pieces(&answer) else {
        return Err(match complaint::in_answer(&answer) {
            Some(complaint) => fault_in_answer(&complaint),
            None => Fault::broken("the upstream's answer has no message"),
        });
    };
    reading.begin(usage::find(&answer), None, None);
    for piece in pieces {
        take_piece(reading, piece)?;
    }
    let reason = answer.string("stopReason");
    let reason = reason.ok_or_else(|| Fault::broken("the upstream's answer has no end"))?;
    finish(reading, &reason)?;
    reading.end()
}

/// Takes an event of a stream: an object whose only member has the event's name.
pub(crate) fn take(reading: &mut Reading, event: &Members<'_>) -> Result<(), Fault> {
    let metadata = event.members("metadata");
    reading.begin(metadata.and_then(|metadata| usage::find(&metadata)), None, None);
    if let Some(piece) = piece(event) {
        take_piece(reading, piece)?;
    }
    let stop = event.members("messageStop");
    match stop.map(|stop| stop.string("stopReason").unwrap_or_default()) {
        Some(reason) => finish(reading, &reason),
        None => Ok(()),
    }
}

fn take_piece(reading: &mut Reading, piece: Piece<'_>) -> Result<(), Fault> {
    if reading.is_stopped() {
        return Ok(());
    }
    match piece {
        Piece::Text("") => Ok(()),
        Piece::Text(text) => reading.text(text),
        Piece::Thinking(text) => reading.thinking(text),
        Piece::Signature(signature) => {
            // A signature alone proves reasoning that is not shown.
            reading.thinking("")?;
            reading.blocks.sign_thinking(&signature)
        }
        Piece::Redacted(data) => {
            reading.end_prose()?;
            reading.blocks.redacted(&data)
        }
        Piece::Call(delta) => reading.call(&delta),
    }
}

fn finish(reading: &mut Reading, reason: &str) -> Result<(), Fault> {
    reading.finish(match Reason::of(reason) {
        Reason::Stop => Finish::Stop,
        Reason::StopSequence => Finish::StopSequence,
        Reason::Length => Finish::Length,
        Reason::ContextFull => Finish::ContextFull,
        Reason::Filtered => Finish::Refused,
        // The model wrote what nobody can use; asking again may help.
        Reason::Malformed => {
            let message = format!("the model's answer could not be used ({})", cleaned(reason));
            return Err(Fault::new(ErrorKind::Api, message));
        }
    });
    Ok(())
}
