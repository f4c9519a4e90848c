//! Edits of a JSON list that keep all other bytes.

use std::ops::Range;

use bytes::Bytes;

use crate::dialect::raw::Raw;
use crate::dialect::splice::Splice;

/// The edits that remove the marked elements of a list from the body it was read from, each with the comma that
/// belongs to it. Where all are marked the list becomes empty.
pub fn without(body: &[u8], elements: &[Raw<'_>], marked: &[bool]) -> Vec<Splice> {
    let places: Vec<Range<usize>> = elements
        .iter()
        .filter_map(|element| element.place_in(body))
        .collect();
    let (mut edits, mut index) = (Vec::new(), 0);
    while let Some(run) = run_at(marked, index) {
        index = run.end;
        let (Some(first), Some(last)) = (places.get(run.start), places.get(run.end - 1)) else {
            break;
        };
        // Up to the next kept element, else from the end of the last kept one.
        let range = match (
            places.get(run.end),
            run.start.checked_sub(1).and_then(|before| places.get(before)),
        ) {
            (Some(next), _) => first.start..next.start,
            (None, Some(before)) => before.end..last.end,
            (None, None) => first.start..last.end,
        };
        edits.push(Splice {
            range,
            with: Bytes::new(),
        });
    }
    edits
}

/// The next run of marks, at this index or behind it.
fn run_at(marked: &[bool], index: usize) -> Option<Range<usize>> {
    let start = index + marked.get(index..)?.iter().position(|mark| *mark)?;
    let length = marked.get(start..)?.iter().take_while(|mark| **mark).count();
    Some(start..start + length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::splice::apply;

    #[test]
    fn marked_elements_go_with_their_commas() {
        let check = |list: &'static str, left: &str| {
            let elements = Raw::read(list).and_then(Raw::elements).unwrap();
            let marked: Vec<bool> = elements.iter().map(|element| element.text() == "0").collect();
            let edits = without(list.as_bytes(), &elements, &marked);
            let bytes = apply(&Bytes::from_static(list.as_bytes()), &edits).unwrap();
            assert_eq!(std::str::from_utf8(&bytes).unwrap(), left);
        };
        check("[0, 1 , 2]", "[1 , 2]");
        check("[1 ,0, 2]", "[1 ,2]");
        check("[1 , 2, 0 ]", "[1 , 2 ]");
        check("[1,0,0,2,0]", "[1,2]");
        check("[ 0 , 0 ]", "[  ]");
        check("[]", "[]");
    }
}
