//! All rules together: one automaton over the keywords, and what belongs to each keyword.

use std::collections::{BTreeMap, HashSet};

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use crate::pipeline::inspect::secrets::cases;
use crate::pipeline::inspect::secrets::rule::{BadRules, Finder, Pattern, Rule, RuleFile, RuleText};
use crate::pipeline::inspect::secrets::scan::{Match, Scan};
use crate::types::digest::Sha256;

/// The shipped rules with a title each, in the order in which they win.
pub(super) const FILES: [(&str, &str); 5] = [
    (
        "Chat, mail, payment and business services",
        include_str!("../../../../conf/secrets/business.toml"),
    ),
    (
        "Model providers",
        include_str!("../../../../conf/secrets/models.toml"),
    ),
    (
        "Clouds, hosting and databases",
        include_str!("../../../../conf/secrets/clouds.toml"),
    ),
    (
        "Source hosting, builds, registries and monitoring",
        include_str!("../../../../conf/secrets/developers.toml"),
    ),
    (
        "Keys, protocols, statements and labels",
        include_str!("../../../../conf/secrets/generic.toml"),
    ),
];

/// A set of rules, compiled.
#[derive(Debug)]
pub struct Detectors {
    pub(super) automaton: AhoCorasick,
    /// The rules of each keyword.
    pub(super) owners: Vec<Vec<usize>>,
    pub(super) rules: Vec<Rule>,
    /// The rules that name labelled values.
    pub(super) forms: Vec<usize>,
    pub(super) keywords: Vec<Box<[u8]>>,
    pub(super) examples: HashSet<Box<[u8]>>,
    texts: Vec<RuleText>,
    version: Sha256,
}

impl Detectors {
    /// The shipped rules.
    ///
    /// # Errors
    /// None in a released build: a test compiles them.
    pub fn shipped() -> Result<Self, BadRules> {
        Self::build(&FILES.map(|(_, text)| text), &[])
    }

    /// Compiles a rule file alone, and tries its cases.
    ///
    /// # Errors
    /// [`BadRules`] names the rule and the problem.
    pub fn from_toml(text: &str) -> Result<Self, BadRules> {
        let detectors = Self::build(&[text], &[])?;
        detectors.check(usize::MAX)?;
        Ok(detectors)
    }

    /// Compiles the rules of a file beside the shipped ones, and leaves out those named in `off`. The file's rules
    /// come first, so that they name what they find, and are tried on their cases.
    ///
    /// # Errors
    /// [`BadRules`] names the rule and the problem.
    pub fn with_shipped(file: &str, off: &[String]) -> Result<Self, BadRules> {
        let own = Self::build(&[file], &[])?;
        let own = own.texts.iter().filter(|text| !off.contains(&text.id)).count();
        let files: Vec<&str> = std::iter::once(file).chain(FILES.map(|(_, text)| text)).collect();
        let detectors = Self::build(&files, off)?;
        detectors.check(own)?;
        Ok(detectors)
    }

    pub(super) fn build(files: &[&str], off: &[String]) -> Result<Self, BadRules> {
        let mut examples = HashSet::new();
        let mut texts: Vec<RuleText> = Vec::new();
        for file in files {
            let file: RuleFile = toml::from_str(file)?;
            examples.extend(file.examples.into_iter().map(|value| value.into_bytes().into()));
            texts.extend(file.rule);
        }
        if let Some(unknown) = off.iter().find(|id| !texts.iter().any(|text| text.id == **id)) {
            return Err(BadRules::Unknown(unknown.clone()));
        }
        texts.retain(|text| !off.contains(&text.id));
        let rules = texts.iter().map(Rule::new).collect::<Result<Vec<_>, _>>()?;
        let mut owners: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (rule, text) in texts.iter().enumerate() {
            for keyword in &text.keywords {
                owners.entry(keyword).or_default().push(rule);
            }
        }
        let (keywords, owners): (Vec<&str>, Vec<Vec<usize>>) = owners.into_iter().unzip();
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::DFA))
            .build(&keywords)?;
        let is_form = |rule: &usize| {
            rules
                .get(*rule)
                .is_some_and(|rule| matches!(rule.finder, Finder::Form { .. }))
        };
        let mut digested: Vec<&[u8]> = files.iter().map(|file| file.as_bytes()).collect();
        digested.extend(off.iter().map(String::as_bytes));
        Ok(Self {
            automaton,
            owners,
            forms: (0..rules.len()).filter(is_form).collect(),
            keywords: keywords
                .into_iter()
                .map(|keyword| keyword.as_bytes().into())
                .collect(),
            rules,
            examples,
            version: Sha256::of_parts(&digested),
            texts,
        })
    }

    /// Compiles the patterns of the first rules, and tries these rules on their cases.
    pub(super) fn check(&self, rules: usize) -> Result<(), BadRules> {
        for rule in self.rules.iter().take(rules) {
            if let Some(pattern) = rule.pattern() {
                pattern.check(&rule.kind)?;
            }
        }
        self.texts
            .iter()
            .take(rules)
            .try_for_each(|text| cases::hold(self, text))
    }

    /// The digest of the rules; whoever remembers results remembers it with them.
    pub const fn version(&self) -> Sha256 {
        self.version
    }

    /// The kinds that there are, each once, with what they are in words.
    pub fn kinds(&self) -> BTreeMap<&str, &str> {
        let named = self.texts.iter().rev();
        named.map(|text| (text.id.as_str(), text.name.as_str())).collect()
    }

    /// Whether a keyword stands in these bytes.
    pub fn any_keyword(&self, bytes: &[u8]) -> bool {
        self.automaton.is_match(bytes)
    }

    /// Whether a match is a token that needs nothing around it to be known.
    pub(in crate::pipeline::inspect) fn is_token(&self, found: &Match<'_>) -> bool {
        let pattern = self.rules.get(found.rule).and_then(Rule::pattern);
        pattern.is_some_and(Pattern::is_whole)
    }

    /// A scan over the texts of one body.
    pub fn scan(&self) -> Scan<'_> {
        Scan::new(self)
    }

    #[cfg(test)]
    pub(super) fn texts(&self) -> &[RuleText] {
        &self.texts
    }
}
