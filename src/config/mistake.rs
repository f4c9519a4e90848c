//! Mistakes in a configuration, all of them, with file, line and fix.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The file it stands in.
    pub file: PathBuf,
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong and how to mend it.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.message)
    }
}

/// All mistakes of one load.
#[derive(Debug, thiserror::Error)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            mistake.fmt(f)?;
        }
        Ok(())
    }
}

/// Collects mistakes against one text.
pub(crate) struct Collector<'a> {
    file: &'a Path,
    text: &'a str,
    found: Vec<Mistake>,
}

impl<'a> Collector<'a> {
    pub(crate) const fn new(file: &'a Path, text: &'a str) -> Self {
        Self {
            file,
            text,
            found: Vec::new(),
        }
    }

    /// Notes a mistake at a place in the text; without a place it is noted at line 1.
    pub(crate) fn add(&mut self, span: Option<Range<usize>>, message: impl Into<String>) {
        let before = span
            .and_then(|span| self.text.get(..span.start))
            .unwrap_or_default();
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        self.found.push(Mistake {
            file: self.file.to_owned(),
            line,
            message: message.into(),
        });
    }

    pub(crate) const fn text(&self) -> &'a str {
        self.text
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.found.is_empty()
    }

    pub(crate) fn into_mistakes(mut self) -> Mistakes {
        self.found.sort_by_key(|mistake| mistake.line);
        Mistakes(self.found)
    }
}
