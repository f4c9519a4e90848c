//! `CountTokens`: the body that `InvokeModel` would get, wrapped.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};

use crate::dialect::raw::Members;
use crate::dialect::splice::{Splice, apply};
use crate::provider::{Edits, Unfit};

/// The member of the answer that holds the count.
pub(super) const MEMBER: &str = "inputTokens";

/// The edits that make a request to count tokens of `body`, which `edits` make one of InvokeModel.
pub(super) fn edits(body: &[u8], edits: Edits) -> Result<Edits, Unfit> {
    let counted = apply(&Bytes::copy_from_slice(body), &edits.splices);
    let counted = counted.map_err(|misfit| Unfit(misfit.to_string()))?;
    let text = std::str::from_utf8(&counted).map_err(|_| Unfit("the body is not UTF-8".to_owned()))?;
    let members = Members::read(text).unwrap_or_default();
    let mut whole = BytesMut::with_capacity(counted.len() + 32);
    match text.strip_prefix('{') {
        // InvokeModel wants a limit, though nothing is written; it must lie above the thinking.
        Some(rest) if !members.contains("max_tokens") => {
            let thinking = members.members("thinking").unwrap_or_default();
            let budget = thinking.count("budget_tokens").unwrap_or(0);
            let limit = budget.saturating_add(1);
            whole.put_slice(format!("{{\"max_tokens\":{limit},").as_bytes());
            whole.put_slice(rest.as_bytes());
        }
        _ => whole.put_slice(&counted),
    }
    let encoded = STANDARD.encode(&whole);
    let wrapped = format!(r#"{{"input":{{"invokeModel":{{"body":"{encoded}"}}}}}}"#);
    Ok(Edits {
        splices: vec![Splice {
            range: 0..body.len(),
            with: wrapped.into(),
        }],
        lost: edits.lost,
    })
}
