//! The frozen format: committed leaves and their hashes, which were computed elsewhere.

use crate::journal::codec;
use crate::journal::leaf::LeafKind;

/// One line per leaf: its hash, a space, its body.
const GOLDEN: &str = include_str!("../../../tests/golden/leaf-v1.txt");

#[test]
fn committed_leaves_keep_their_bytes_and_hashes() {
    let mut kinds = Vec::new();
    for line in GOLDEN.lines() {
        let (hash, body) = line.split_once(' ').unwrap();
        assert_eq!(codec::leaf_hash(body.as_bytes()).to_string(), hash);
        let decoded = codec::decode(body).unwrap();
        let encoded = codec::encode(&decoded.leaf, decoded.id, decoded.at).unwrap();
        assert_eq!(encoded.body, body, "an old leaf must be written as it was");
        kinds.push(encoded.kind);
    }
    let all = [
        LeafKind::Epoch,
        LeafKind::Open,
        LeafKind::Close,
        LeafKind::Denial,
        LeafKind::Admin,
    ];
    assert!(all.iter().all(|kind| kinds.contains(kind)));
}

#[test]
fn other_versions_and_kinds_are_named_not_guessed() {
    let check = |from: &str, to: &str, expected: &str| {
        let line = GOLDEN.lines().next().unwrap();
        let (_, body) = line.split_once(' ').unwrap();
        let error = codec::decode(&body.replacen(from, to, 1)).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check(
        r#"{"v":1"#,
        r#"{"v":2"#,
        "the leaf has format version 2, this version reads 1",
    );
    check(
        r#""kind":"epoch""#,
        r#""kind":"tree""#,
        "the leaf has the unknown kind 'tree'",
    );
    check(r#""reason":"#, r#""why":"#, "the bytes are not a leaf");
}

#[test]
fn the_reference_page_shows_a_golden_leaf_and_every_kind() {
    let page = include_str!("../../../docs/reference/leaf-format.md");
    let first = GOLDEN.lines().next().unwrap();
    let (_, body) = first.split_once(' ').unwrap();
    assert!(page.contains(body));
    for kind in ["epoch", "open", "close", "denial", "admin"] {
        assert!(page.contains(&format!("## `{kind}`: ")), "{kind}");
    }
}
