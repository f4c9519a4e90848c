//! Counts of tokens, as upstreams of other dialects tell them.

use bytes::{BufMut, Bytes, BytesMut};

use crate::dialect::anthropic::event::put_count;
use crate::dialect::openai::complaint;
use crate::dialect::raw::Members;
use crate::pipeline::translate::answer::fault::Fault;
use crate::pipeline::translate::answer::observed::{Observed, Outcome};
use crate::pipeline::translate::upstream_error::fault_in_answer;
use crate::types::usage::Usage;

/// Translates a count of tokens, which stands under `member`.
///
/// # Errors
/// The fault that the body names, or that it tells no count.
pub fn count_json(body: &[u8], member: &str) -> Result<(Bytes, Observed), Fault> {
    let text = String::from_utf8_lossy(body);
    let answer = Members::read(&text).unwrap_or_default();
    if let Some(complaint) = complaint::in_answer(&answer) {
        return Err(fault_in_answer(&complaint));
    }
    let total = answer.count(member);
    let total = total.ok_or_else(|| Fault::broken("the upstream's answer has no count of tokens"))?;
    let mut counted = BytesMut::with_capacity(40);
    counted.put_slice(br#"{"input_tokens":"#);
    put_count(&mut counted, total);
    counted.put_u8(b'}');
    let observed = Observed {
        usage: Some(Usage::default()),
        outcome: Outcome::Complete,
        ..Observed::default()
    };
    Ok((counted.freeze(), observed))
}
