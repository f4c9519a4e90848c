//! `docs/reference/secrets.md`, made from the rules.

use std::fmt::Write as _;
use std::path::Path;

use crate::pipeline::inspect::secrets::detectors::{Detectors, FILES};

const INTRODUCTION: &str = "\
# Types of secrets

<!-- Made from conf/secrets/*.toml by the test `the_page_is_current`: do not edit. -->

What the shipped rules find. The type stands in records, refusals and placeholders, and is what `secret_rules.off`
switches off. How rules are written, and how to add your own: `docs/how-to/secrets.md`.
";

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for (title, text) in FILES {
        let file = Detectors::build(&[text], &[]).unwrap();
        write!(page, "\n## {title}\n\n| type | what it is |\n|---|---|\n").unwrap();
        for (id, name) in file.kinds() {
            writeln!(page, "| `{id}` | {name} |").unwrap();
        }
    }
    page
}

#[test]
fn the_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/secrets.md");
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let page = page();
    if committed != page {
        std::fs::write(&path, page).unwrap();
        panic!("docs/reference/secrets.md was out of date; it is written anew: review and commit it");
    }
}
