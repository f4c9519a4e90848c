//! Model patterns: a name in which `*` stands for any text, also none.

use std::fmt;

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelPattern(Box<[Box<str>]>);

impl ModelPattern {
    /// The pattern of this text. Every text is a pattern.
    pub fn new(text: &str) -> Self {
        Self(text.split('*').map(Box::from).collect())
    }

    /// Whether a name fits, character by character; linear in the name's length for each `*`.
    pub fn matches(&self, name: &str) -> bool {
        let [first, middle @ .., last] = &*self.0 else {
            return self.0.first().is_some_and(|only| &**only == name);
        };
        let Some(mut rest) = name.strip_prefix(&**first) else {
            return false;
        };
        for part in middle {
            match rest.find(&**part).and_then(|at| rest.get(at + part.len()..)) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        rest.ends_with(&**last)
    }
}

impl fmt::Display for ModelPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("*"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        let check = |pattern: &str, name: &str, expected: bool| {
            assert_eq!(
                ModelPattern::new(pattern).matches(name),
                expected,
                "{pattern} against {name}"
            );
        };
        check("claude-*", "claude-sonnet-4-6", true);
        check("claude-*", "claude-", true);
        check("claude-*", "gpt-5", false);
        check("*", "anything", true);
        check("*-mini", "gpt-5-mini", true);
        check("gpt-*-mini*", "gpt-5-mini-2026", true);
        check("gpt-5", "gpt-5", true);
        check("gpt-5", "gpt-50", false);
        check("a*a", "a", false);
        check("", "", true);
    }
}
