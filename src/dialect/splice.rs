//! Edits that leave every other byte of a body alone.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// One edit: the bytes at `range` become `with`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splice {
    /// Where in the original body, in bytes.
    pub range: Range<usize>,
    /// What stands there afterwards.
    pub with: Bytes,
}

/// The edits overlap or lie outside the body: they were made for another body.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a splice at bytes {start}..{end} does not fit a body of {body_bytes} bytes")]
pub struct Misfit {
    start: usize,
    end: usize,
    body_bytes: usize,
}

/// Applies edits in the order of their places; without edits the body is returned as it is, uncopied.
///
/// # Errors
/// [`Misfit`] where two edits overlap or one lies outside the body.
pub fn apply(body: &Bytes, splices: &[Splice]) -> Result<Bytes, Misfit> {
    if splices.is_empty() {
        return Ok(body.clone());
    }
    let mut ordered: Vec<&Splice> = splices.iter().collect();
    ordered.sort_by_key(|splice| splice.range.start);
    let added: usize = ordered.iter().map(|splice| splice.with.len()).sum();
    let mut edited = BytesMut::with_capacity(body.len() + added);
    let mut done = 0;
    for splice in ordered {
        let Range { start, end } = splice.range;
        let kept = body
            .get(done..start)
            .filter(|_| start <= end && end <= body.len());
        let kept = kept.ok_or(Misfit {
            start,
            end,
            body_bytes: body.len(),
        })?;
        edited.extend_from_slice(kept);
        edited.extend_from_slice(&splice.with);
        done = end;
    }
    edited.extend_from_slice(body.get(done..).unwrap_or_default());
    Ok(edited.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn splice(range: Range<usize>, with: &'static str) -> Splice {
        Splice {
            range,
            with: Bytes::from_static(with.as_bytes()),
        }
    }

    #[test]
    fn edits_only_the_named_places() {
        let body = Bytes::from_static(b"0123456789");
        let check = |splices: &[Splice], expected: &str| {
            assert_eq!(apply(&body, splices).unwrap(), expected.as_bytes());
        };
        check(&[], "0123456789");
        check(&[splice(8..10, "Z"), splice(0..1, "AAA")], "AAA1234567Z");
        check(&[splice(3..3, "+")], "012+3456789");
    }

    #[test]
    fn refuses_edits_made_for_another_body() {
        let body = Bytes::from_static(b"0123456789");
        assert!(apply(&body, &[splice(0..5, ""), splice(4..6, "")]).is_err());
        assert!(apply(&body, &[splice(9..11, "")]).is_err());
    }
}
