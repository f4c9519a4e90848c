//! Sizes, names and leftovers.

use crate::tidy::{Source, bites, check};

const EVERYWHERE: &[&str] = &["src", "tests", "tollpass/src", "examples", "benches"];
const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
const BANNED_NAMES: [&str; 9] = [
    "util", "utils", "helper", "helpers", "common", "misc", "manager", "managers", "stuff",
];
const BANNED_ENDINGS: [&str; 4] = ["Manager", "Helper", "Utils", "Impl"];

fn sizes(source: &Source) -> Vec<String> {
    let mut problems = Vec::new();
    let count = source.text.lines().count();
    if count > FILE_LINES_MAX {
        problems.push(format!("{}: {count} lines; find the second idea", source.path));
    }
    let lines: Vec<&str> = source.text.lines().collect();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let indent = &line[..line.len() - code.len()];
        if !is_function(code) {
            continue;
        }
        // rustfmt puts the closing brace of an item under its first letter.
        let closing = format!("{indent}}}");
        // As clippy's too_many_lines counts: without blank lines and comments.
        let body = lines[start + 1..].iter().take_while(|line| **line != closing);
        let length = body
            .filter(|line| !line.trim().is_empty() && !line.trim().starts_with("//"))
            .count();
        let one_line = line.ends_with('}') || line.ends_with(';');
        if !one_line && length > FUNCTION_LINES_MAX && lines[start..].contains(&closing.as_str()) {
            problems.push(format!(
                "{}:{}: a function of {length} lines",
                source.path,
                start + 1
            ));
        }
    }
    problems
}

fn is_function(code: &str) -> bool {
    let mut words = code.split(' ').skip_while(|word| {
        word.starts_with("pub") || ["async", "const", "unsafe", "extern", "in", "crate)"].contains(word)
    });
    words.next() == Some("fn")
}

fn names(source: &Source) -> Vec<String> {
    let mut problems = Vec::new();
    let own = source.path.trim_end_matches(".rs");
    if let Some(name) = own.split('/').find(|name| BANNED_NAMES.contains(name)) {
        problems.push(format!("{}: {name} says nothing; name the idea", source.path));
    }
    for (number, line) in source.code() {
        let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        let Some(_) = words.find(|word| ["struct", "enum", "trait", "mod"].contains(word)) else {
            continue;
        };
        let name = words.next().unwrap_or_default();
        let ends_badly = BANNED_ENDINGS
            .iter()
            .any(|end| name.ends_with(end) && name != *end);
        if BANNED_NAMES.contains(&name) || (ends_badly && is_declaration(line)) {
            problems.push(format!(
                "{}:{number}: {name} says nothing; name the idea",
                source.path
            ));
        }
    }
    problems
}

fn is_declaration(line: &str) -> bool {
    let code = line.trim_start();
    ["pub ", "pub(", "struct ", "enum ", "trait "]
        .iter()
        .any(|start| code.starts_with(start))
}

fn leftovers(source: &Source) -> Vec<String> {
    // Spelled apart, because this file is searched as well.
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];
    let banned = [
        concat!("#[al", "low("),
        concat!("#![al", "low("),
        concat!("#[ig", "nore"),
        concat!("dbg", "!("),
    ];
    let mut problems = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        let place = format!("{}:{}", source.path, index + 1);
        if let Some(mark) = marks
            .iter()
            .find(|mark| line.contains(**mark) && !has_issue(line))
        {
            problems.push(format!("{place}: {mark} without an issue number, as in (#12)"));
        }
        if let Some(found) = banned.iter().find(|banned| line.contains(**banned)) {
            problems.push(format!(
                "{place}: {found} is not used here; #[expect] with a reason, or mend it"
            ));
        }
    }
    problems
}

fn has_issue(line: &str) -> bool {
    line.split('#')
        .skip(1)
        .any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn docs(source: &Source) -> Vec<String> {
    // The tests of a file, moved beside it, need no second introduction.
    match source.is_unit_tests() || source.text.starts_with("//!") {
        true => Vec::new(),
        false => vec![format!(
            "{}: the first line says what the file is for (//!)",
            source.path
        )],
    }
}

fn sleeps(source: &Source) -> Vec<String> {
    if source.path == "tests/it/support/wait.rs" {
        return Vec::new();
    }
    let sleep = concat!("sle", "ep(");
    let found = source.code().filter(|(_, line)| line.contains(sleep));
    found
        .map(|(number, _)| format!("{}:{number}: await a condition instead", source.path))
        .collect()
}

#[test]
fn files_and_functions_have_a_size() {
    check(EVERYWHERE, sizes);
}

#[test]
fn names_say_something() {
    check(EVERYWHERE, names);
}

#[test]
fn nothing_is_left_lying_about() {
    check(EVERYWHERE, leftovers);
}

#[test]
fn every_file_says_what_it_is_for() {
    check(EVERYWHERE, docs);
}

#[test]
fn tests_await_conditions() {
    check(&["tests"], sleeps);
}

#[test]
fn these_rules_bite() {
    let function = |lines: usize| {
        format!(
            "    pub async fn long() {{\n{}    }}\n",
            "        x();\n".repeat(lines)
        )
    };
    bites(sizes, "src/a.rs", &function(71), &function(70));
    bites(sizes, "src/a.rs", &"x\n".repeat(601), &"x\n".repeat(600));
    assert!(
        !names(&Source::new("src/store/utils.rs", "")).is_empty(),
        "a file name"
    );
    bites(names, "src/store/mod.rs", "mod helpers;", "mod keys;");
    bites(
        names,
        "src/store/mod.rs",
        "pub struct KeyManager {",
        "pub struct Keys { // no Manager",
    );
    bites(
        leftovers,
        "src/a.rs",
        concat!("// TO", "DO: later"),
        concat!("// TO", "DO(#12): later"),
    );
    bites(
        leftovers,
        "src/a.rs",
        concat!("#[al", "low(dead_code)]"),
        "#[expect(dead_code, reason = \"x\")]",
    );
    bites(docs, "src/a.rs", "use std::fmt;\n", "//! Says it.\n");
    bites(
        sleeps,
        "tests/it/a.rs",
        concat!("tokio::time::sle", "ep(span).await;"),
        "until(\"it\", probe).await;",
    );
}
