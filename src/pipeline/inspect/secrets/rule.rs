//! Rules as they stand in rule files, and as they are used.

use std::ops::RangeInclusive;
use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;

use crate::pipeline::inspect::finding::SecretKind;
use crate::pipeline::inspect::secrets::gate::Gate;

/// Bytes that a compiled pattern may take at most.
const REGEX_BYTES_MAX: usize = 4 << 20;
/// Bytes that a match of a pattern without a longest match may have.
const REACH_MAX: usize = 4_096;

/// A rule file is not usable.
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
    /// A case of a rule does not come out as the rule says.
    #[error("secret rule {rule}: {problem}")]
    Case {
        /// The rule.
        rule: String,
        /// Which case, and what was found instead; with the template, never with a value.
        problem: String,
    },
    /// A rule that is switched off does not exist.
    #[error("there is no secret rule {0} to switch off")]
    Unknown(String),
}

/// A rule file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleFile {
    #[serde(default)]
    pub(super) examples: Vec<String>,
    #[serde(default)]
    pub(super) rule: Vec<RuleText>,
}

/// A rule as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleText {
    pub(super) id: String,
    /// What it finds, in words.
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) keywords: Vec<String>,
    regex: Option<String>,
    shape: Option<Shape>,
    labelled: Option<Gate>,
    #[serde(default)]
    labels: Vec<String>,
    value: Option<String>,
    before: Option<usize>,
    reach: Option<usize>,
    near: Option<String>,
    context: Option<String>,
    #[serde(default)]
    checks: Vec<Check>,
    /// A text with a secret of this kind, between « and » where it is not the whole text.
    pub(super) yes: Option<String>,
    /// A text without one.
    pub(super) no: Option<String>,
}

#[cfg(test)]
impl RuleText {
    /// Whether it only finds more of a kind near another's matches.
    pub(super) const fn is_beside_another(&self) -> bool {
        self.near.is_some()
    }
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
    Random,
    Password,
    NotPlaceholder,
    Jwt,
    UserPassword,
    #[serde(rename = "base64")]
    Base64Text,
}

/// How a rule finds its candidates.
#[derive(Debug)]
pub(super) enum Finder {
    /// A pattern that begins with a keyword; a solid one matches no blanks and no quotes.
    Token {
        pattern: Pattern,
        lengths: RangeInclusive<usize>,
        solid: bool,
    },
    /// A pattern in windows around keywords.
    Window {
        pattern: Pattern,
        before: usize,
        reach: usize,
    },
    /// A search of its own at each keyword.
    Shape(Shape),
    /// A literal behind a name that holds the keyword.
    Labelled(Gate),
    /// Names, and the whole form of the literal behind them: tells one labelled kind from others.
    Form { labels: Vec<Box<[u8]>>, value: Pattern },
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
        let finder = match (&text.regex, text.shape, text.labelled, &text.value) {
            (Some(pattern), None, None, None) => finder(pattern, text)?,
            (None, Some(shape), None, None) => Finder::Shape(shape),
            (None, None, Some(gate), None) => Finder::Labelled(gate),
            (None, None, None, Some(value)) if !text.labels.is_empty() => Finder::Form {
                labels: text.labels.iter().map(|label| label.as_bytes().into()).collect(),
                value: Pattern::new(format!("^(?:{value})$")),
            },
            (None, None, None, Some(_)) => return wrong("a value needs labels"),
            _ => return wrong("give one of regex, shape, labelled, and labels with value"),
        };
        let forms = matches!(finder, Finder::Form { .. });
        if forms && (!text.keywords.is_empty() || text.near.is_some())
            || !forms && text.keywords.is_empty() == text.near.is_none()
        {
            return wrong("give either keywords or near; a rule with labels has neither");
        }
        if text.labels.iter().any(|label| {
            !label
                .bytes()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        }) {
            return wrong(
                "labels are lower case letters and digits: names are compared without case and separators",
            );
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

    /// Its pattern, if it has one.
    pub(super) const fn pattern(&self) -> Option<&Pattern> {
        match &self.finder {
            Finder::Token { pattern, .. }
            | Finder::Window { pattern, .. }
            | Finder::Form { value: pattern, .. } => Some(pattern),
            Finder::Shape(_) | Finder::Labelled(_) => None,
        }
    }
}

fn finder(pattern: &str, text: &RuleText) -> Result<Finder, BadRules> {
    let lengths = lengths(pattern).map_err(|source| BadRules::Pattern {
        rule: text.id.clone(),
        source: regex::Error::Syntax(source.to_string()),
    })?;
    if text.before.is_some() || text.near.is_some() {
        return Ok(Finder::Window {
            pattern: Pattern::new(pattern.to_owned()),
            before: text.before.unwrap_or(0),
            reach: text.reach.unwrap_or(*lengths.end() + 1),
        });
    }
    Ok(Finder::Token {
        pattern: Pattern::new(format!("^(?:{pattern})")),
        lengths: *lengths.start()..=text.reach.unwrap_or(*lengths.end()),
        solid: ![" ", r"\s", "[^", "\"", "'"]
            .iter()
            .any(|blank| pattern.contains(blank)),
    })
}

/// The lengths that a match may have.
fn lengths(pattern: &str) -> Result<RangeInclusive<usize>, Box<regex_syntax::Error>> {
    let mut parser = regex_syntax::ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .build();
    let parsed = parser.parse(pattern)?;
    let lengths = parsed.properties();
    let most = lengths.maximum_len().unwrap_or(REACH_MAX).min(REACH_MAX);
    Ok(lengths.minimum_len().unwrap_or(0)..=most)
}

/// A regular expression that is compiled when a text first needs it: most texts need few of them.
#[derive(Debug)]
pub(super) struct Pattern {
    text: String,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    const fn new(text: String) -> Self {
        Self {
            text,
            compiled: OnceLock::new(),
        }
    }

    /// The expression; `None` if it does not compile, which [`Pattern::check`] would have said.
    pub(super) fn regex(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| self.compile().ok()).as_ref()
    }

    /// Whether the secret is all that it matches.
    pub(super) fn is_whole(&self) -> bool {
        self.regex().is_some_and(|regex| regex.captures_len() == 1)
    }

    /// Whether a part of it ignores the case of letters.
    pub(super) fn ignores_case(&self) -> bool {
        self.text.contains("(?i")
    }

    /// Compiles it now.
    pub(super) fn check(&self, rule: &SecretKind) -> Result<(), BadRules> {
        let regex = self.compile().map_err(|source| BadRules::Pattern {
            rule: rule.to_string(),
            source,
        })?;
        self.compiled.get_or_init(|| Some(regex));
        Ok(())
    }

    fn compile(&self) -> Result<Regex, regex::Error> {
        RegexBuilder::new(&self.text)
            .unicode(false)
            .size_limit(REGEX_BYTES_MAX)
            .build()
    }
}
