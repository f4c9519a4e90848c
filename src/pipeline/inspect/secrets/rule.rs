//! Rules as they stand in the rule file, and as they are used.

use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;

use crate::pipeline::inspect::finding::SecretKind;

/// Bytes that a compiled pattern may take at most.
const REGEX_BYTES_MAX: usize = 4 << 20;

/// The rule file is not usable.
#[derive(Debug, thiserror::Error)]
pub enum BadRules {
    /// It is not TOML of the right shape.
    #[error("the secret rules cannot be read")]
    Syntax(#[from] toml::de::Error),
    /// A pattern does not compile.
    #[error("the pattern of secret rule {rule} does not compile")]
    Pattern {
        /// The rule.
        rule: String,
        /// Why.
        #[source]
        source: regex::Error,
    },
    /// The keywords do not compile.
    #[error("the keywords of the secret rules do not compile")]
    Keywords(#[from] aho_corasick::BuildError),
    /// Fields of a rule do not go together.
    #[error("secret rule {rule}: {problem}")]
    Rule {
        /// The rule.
        rule: String,
        /// What is wrong.
        problem: &'static str,
    },
}

/// A rule file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleFile {
    pub(super) examples: Vec<String>,
    pub(super) rule: Vec<RuleText>,
}

/// A rule as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleText {
    pub(super) id: String,
    #[serde(default)]
    pub(super) keywords: Vec<String>,
    regex: Option<String>,
    shape: Option<Shape>,
    #[serde(default)]
    before: usize,
    #[serde(default)]
    reach: usize,
    near: Option<String>,
    context: Option<String>,
    #[serde(default)]
    checks: Vec<Check>,
}

/// Searches that are no regular expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Shape {
    Pem,
    UrlPassword,
}

/// What must hold for a candidate to be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Check {
    #[serde(rename = "crc32-base62")]
    Crc32Base62,
    #[serde(rename = "crc32-base62-all")]
    Crc32Base62All,
    MixedCase,
}

/// How a rule finds its candidates.
#[derive(Debug)]
pub(super) enum Finder {
    /// A pattern in a window around each keyword.
    Pattern {
        regex: Regex,
        before: usize,
        reach: usize,
    },
    /// A search of its own at each keyword.
    Shape(Shape),
}

/// A rule in use.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) kind: SecretKind,
    pub(super) finder: Finder,
    pub(super) near: Option<SecretKind>,
    pub(super) context: Option<Box<[u8]>>,
    pub(super) checks: Vec<Check>,
}

impl Rule {
    pub(super) fn new(text: &RuleText) -> Result<Self, BadRules> {
        let wrong = |problem| {
            Err(BadRules::Rule {
                rule: text.id.clone(),
                problem,
            })
        };
        let finder = match (&text.regex, text.shape) {
            (Some(pattern), None) if text.reach > 0 => Finder::Pattern {
                regex: compile(&text.id, pattern)?,
                before: text.before,
                reach: text.reach,
            },
            (Some(_), None) => return wrong("a regex needs a reach"),
            (None, Some(shape)) => Finder::Shape(shape),
            _ => return wrong("give either a regex or a shape"),
        };
        if text.keywords.is_empty() == text.near.is_none() {
            return wrong("give either keywords or near");
        }
        if text.keywords.iter().any(|keyword| keyword.len() < 3) {
            return wrong("keywords have at least 3 bytes, or they are found everywhere");
        }
        Ok(Self {
            kind: text.id.as_str().into(),
            finder,
            near: text.near.as_deref().map(SecretKind::from),
            context: text.context.as_deref().map(|word| word.as_bytes().into()),
            checks: text.checks.clone(),
        })
    }
}

fn compile(rule: &str, pattern: &str) -> Result<Regex, BadRules> {
    let compiled = RegexBuilder::new(pattern)
        .unicode(false)
        .size_limit(REGEX_BYTES_MAX)
        .build()
        .map_err(|source| BadRules::Pattern {
            rule: rule.into(),
            source,
        })?;
    if compiled.captures_len() < 2 {
        return Err(BadRules::Rule {
            rule: rule.into(),
            problem: "the regex has no group 1",
        });
    }
    Ok(compiled)
}
