//! Edits of the members of a body that is one JSON object.

use std::ops::Range;

use bytes::Bytes;

use crate::dialect::raw::Members;
use crate::dialect::splice::Splice;

/// The edit that takes the member of this name out of the object, with the comma that belongs to it.
/// None where there is no such member, where there are several, or where the body is no object.
pub fn without(body: &str, name: &str) -> Option<Splice> {
    let places = places(body)?;
    let mut named = places.iter().enumerate().filter(|(_, (key, _))| key == name);
    let (index, (_, place)) = named.next()?;
    if named.next().is_some() {
        return None;
    }
    let before = index.checked_sub(1).and_then(|before| places.get(before));
    let range = match (places.get(index + 1), before) {
        (Some((_, next)), _) => place.start..next.start,
        (None, Some((_, before))) => before.end..place.end,
        (None, None) => place.clone(),
    };
    Some(Splice {
        range,
        with: Bytes::new(),
    })
}

/// The edit that puts a member, such as `"a":1`, before all others of an object.
pub fn first(body: &str, member: &str) -> Option<Splice> {
    let brace = body.find('{')? + 1;
    let is_alone = places(body)?.is_empty();
    let comma = if is_alone { "" } else { "," };
    Some(Splice {
        range: brace..brace,
        with: Bytes::from(format!("{member}{comma}")),
    })
}

/// Where the members of an object stand, from the quote of the key to the end of the value.
fn places(body: &str) -> Option<Vec<(String, Range<usize>)>> {
    let members = Members::read(body)?;
    let mut behind = body.find('{')? + 1;
    let mut places = Vec::new();
    for (key, value) in members.iter() {
        // Between two values stand a comma, white space and the next key: the first quote begins it.
        let start = behind + body.get(behind..)?.find('"')?;
        behind = value.place_in(body.as_bytes())?.end;
        places.push((key.to_owned(), start..behind));
    }
    Some(places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::splice;

    fn edited(body: &str, edit: Option<Splice>) -> String {
        let edits: Vec<Splice> = edit.into_iter().collect();
        let bytes = splice::apply(&Bytes::copy_from_slice(body.as_bytes()), &edits).unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn members_go_with_their_comma() {
        let check = |body: &str, left: &str| assert_eq!(edited(body, without(body, "m")), left);
        check(r#"{"m":"x","a":[1, 2]}"#, r#"{"a":[1, 2]}"#);
        check(
            r#" { "a" : "\"m\":" , "m" : {"m":1} , "b":2 }"#,
            r#" { "a" : "\"m\":" , "b":2 }"#,
        );
        check(r#"{"a":1, "m":null}"#, r#"{"a":1}"#);
        check(r#"{"\u006d":1}"#, "{}");
        check(r#"{"a":{"m":1}}"#, r#"{"a":{"m":1}}"#);
        check(r#"{"m":1,"m":2}"#, r#"{"m":1,"m":2}"#);
        check("[]", "[]");
    }

    #[test]
    fn members_are_put_first() {
        let check = |body: &str, made: &str| assert_eq!(edited(body, first(body, r#""m":1"#)), made);
        check(r#"{"a":2}"#, r#"{"m":1,"a":2}"#);
        check("{ }", r#"{"m":1 }"#);
    }
}
