//! Reasoning of other vendors' models, taken out of responses that go on to OpenAI as they are.
//!
//! A conversation that began with another model carries reasoning items whose `encrypted_content` is ours.
//! OpenAI would refuse the whole request, now and ever after. Everything else in the body keeps its bytes.

use bytes::Bytes;
use memchr::memmem;

use crate::dialect::element;
use crate::dialect::openai::reasoning;
use crate::dialect::raw::{Members, Raw};
use crate::dialect::splice::Splice;
use crate::pipeline::translate::dropped::{Dropped, Losses, Place};

/// The edits that take foreign reasoning out of a Responses request, and what is lost by them.
pub fn foreign_reasoning(body: &Bytes) -> (Vec<Splice>, Vec<Dropped>) {
    let may_be_there = memmem::find(body, b"\"encrypted_content\"").is_some();
    let request = std::str::from_utf8(body)
        .ok()
        .filter(|_| may_be_there)
        .and_then(Members::read);
    let items = request
        .and_then(|request| request.get("input"))
        .and_then(Raw::elements);
    let items = items.unwrap_or_default();
    let foreign: Vec<bool> = items.iter().map(|item| is_foreign(*item)).collect();
    let mut losses = Losses::default();
    for (index, _) in foreign.iter().enumerate().filter(|(_, foreign)| **foreign) {
        let place = Place::Body.member("input");
        losses.loss(place.element(index), "reasoning of another vendor's model");
    }
    (element::without(body, &items, &foreign), losses.into_list())
}

fn is_foreign(item: Raw<'_>) -> bool {
    let Some(item) = item.members() else {
        return false;
    };
    item.string("type").is_some_and(|kind| kind == "reasoning")
        && item
            .string("encrypted_content")
            .is_some_and(|content| reasoning::is_ours(&content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::splice::apply;

    fn check(body: &str, left: &str, paths: &[&str]) {
        let bytes = Bytes::copy_from_slice(body.as_bytes());
        let (edits, dropped) = foreign_reasoning(&bytes);
        let kept = apply(&bytes, &edits).unwrap();
        assert_eq!(std::str::from_utf8(&kept).unwrap(), left);
        let dropped: Vec<String> = dropped.into_iter().map(|dropped| dropped.path).collect();
        assert_eq!(dropped, paths);
    }

    #[test]
    fn items_of_ours_go_and_all_other_bytes_stay() {
        let signed = reasoning::signed("so", "EqQB");
        let sealed = reasoning::sealed("EmwK");
        let ours = |content: &str| {
            format!(r#"{{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"{content}"}}"#)
        };
        let own = ours("gAAAAABo");
        let said = r#"{"role":"user", "content":"x"}"#;
        let body = |items: &[&str]| format!(r#"{{"model": "m","input":[{}],"n":1.0}}"#, items.join(", "));
        check(
            &body(&[said, &ours(&signed), &own, &ours(&sealed), said]),
            &body(&[said, &own, said]),
            &["input[1]", "input[3]"],
        );
        check(&body(&[said, &own]), &body(&[said, &own]), &[]);
    }

    #[test]
    fn what_only_looks_like_one_stays() {
        for body in [
            r#"{"input":"\"encrypted_content\":\"tgr1.\""}"#,
            r#"{"input":[{"type":"message","encrypted_content":"tgr1.s.a.b"}, 7]}"#,
            r#"{"input":[{"type":"function_call_output","output":"{\"encrypted_content\":\"tgr1.\"}"}]}"#,
            r#"["encrypted_content"]"#,
        ] {
            check(body, body, &[]);
        }
    }
}
