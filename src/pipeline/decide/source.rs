//! Policy files as statements, so that every mistake has its own line.

/// One statement of a policy file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    /// Its text, from its first word or annotation to its semicolon.
    pub(super) text: String,
    /// The line of its first character, counted from 1.
    pub(super) line: usize,
}

impl Statement {
    /// The line in the file of a byte of the statement.
    pub(super) fn line_of(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        self.line + before.iter().filter(|byte| **byte == b'\n').count()
    }
}

/// Where a scan over policy text stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum In {
    Code,
    Comment,
    Text,
    TextEscape,
}

/// Splits policy text at the semicolons that end policies.
pub(super) fn statements(text: &str) -> Vec<Statement> {
    let mut found = Vec::new();
    let mut state = In::Code;
    let mut start = None;
    let mut line = 1;
    let mut rest = text.char_indices().peekable();
    while let Some((at, character)) = rest.next() {
        let comment = character == '/' && rest.peek().is_some_and(|(_, next)| *next == '/');
        state = match (state, character) {
            (In::Code, _) if comment => In::Comment,
            (In::Code, '"') | (In::TextEscape, _) => In::Text,
            (In::Comment, '\n') | (In::Text, '"') => In::Code,
            (In::Text, '\\') => In::TextEscape,
            (state, _) => state,
        };
        if start.is_none() && state != In::Comment && !character.is_whitespace() {
            start = Some((at, line));
        }
        if state == In::Code && character == ';' {
            let (from, first_line) = start.take().unwrap_or((at, line));
            found.push(Statement {
                text: text.get(from..=at).unwrap_or_default().into(),
                line: first_line,
            });
        }
        line += usize::from(character == '\n');
    }
    if let Some((from, first_line)) = start {
        found.push(Statement {
            text: text.get(from..).unwrap_or_default().into(),
            line: first_line,
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_semicolons_of_code_only() {
        let text = "// one; not yet\n\n@id(\"a;\\\";\")\npermit (x); // done;\n  forbid (y);\nrest";
        let found: Vec<(usize, String)> = statements(text).into_iter().map(|s| (s.line, s.text)).collect();
        let expected = [
            (3, "@id(\"a;\\\";\")\npermit (x);"),
            (5, "forbid (y);"),
            (6, "rest"),
        ];
        assert_eq!(found, expected.map(|(line, text)| (line, text.to_owned())));
    }

    #[test]
    fn finds_lines_inside_statements() {
        let statement = Statement {
            text: "a\nb\nc;".into(),
            line: 10,
        };
        assert_eq!([0, 2, 4].map(|offset| statement.line_of(offset)), [10, 11, 12]);
    }
}
