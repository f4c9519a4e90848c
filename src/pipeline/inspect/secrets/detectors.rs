//! All rules together: one automaton over the keywords, windows for the patterns.

use std::collections::HashSet;
use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use memchr::memmem;

use crate::pipeline::inspect::finding::SecretKind;
use crate::pipeline::inspect::secrets::checks::{holds, is_example};
use crate::pipeline::inspect::secrets::rule::{BadRules, Finder, Rule, RuleFile, Shape};
use crate::pipeline::inspect::secrets::shapes;
use crate::types::digest::Sha256;

/// The shipped rules.
const SHIPPED: &str = include_str!("../../../../conf/secret-rules.toml");
/// Bytes that patterns may be run over in one body: keywords with nothing behind them would
/// otherwise buy time. Honest bodies stay a hundred times below.
const PATTERN_BYTES_MAX: usize = 4 << 20;
/// Matches in one body at most.
const MATCHES_MAX: usize = 4_096;
/// Bytes before a match in which its context word is looked for.
const CONTEXT_BYTES: usize = 2_500;

/// A set of rules, compiled.
#[derive(Debug)]
pub struct Detectors {
    automaton: AhoCorasick,
    /// The rules of each keyword.
    owners: Vec<Vec<usize>>,
    rules: Vec<Rule>,
    examples: HashSet<Box<[u8]>>,
    version: Sha256,
}

/// A secret in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match<'d> {
    /// What it is.
    pub kind: &'d SecretKind,
    /// Where, in bytes of the text.
    pub range: Range<usize>,
    rule: usize,
}

/// A body has more candidates than are examined.
#[derive(Debug, PartialEq, Eq)]
pub struct Overrun<'d> {
    /// The kind that they look like.
    pub kind: &'d SecretKind,
}

impl Detectors {
    /// The shipped rules.
    ///
    /// # Errors
    /// None in a released build: a test compiles them.
    pub fn shipped() -> Result<Self, BadRules> {
        Self::from_toml(SHIPPED)
    }

    /// Compiles a rule file.
    ///
    /// # Errors
    /// [`BadRules`] names the rule and the problem.
    pub fn from_toml(text: &str) -> Result<Self, BadRules> {
        let file: RuleFile = toml::from_str(text)?;
        let rules = file.rule.iter().map(Rule::new).collect::<Result<Vec<_>, _>>()?;
        let mut keywords: Vec<&str> = Vec::new();
        let mut owners: Vec<Vec<usize>> = Vec::new();
        for (rule, text) in file.rule.iter().enumerate() {
            for keyword in &text.keywords {
                match keywords
                    .iter()
                    .zip(&mut owners)
                    .find(|(known, _)| *known == keyword)
                {
                    Some((_, rules)) => rules.push(rule),
                    None => {
                        keywords.push(keyword);
                        owners.push(vec![rule]);
                    }
                }
            }
        }
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::DFA))
            .build(&keywords)?;
        Ok(Self {
            automaton,
            owners,
            rules,
            examples: file
                .examples
                .into_iter()
                .map(|value| value.into_bytes().into())
                .collect(),
            version: Sha256::of(text.as_bytes()),
        })
    }

    /// The digest of the rules; whoever remembers results remembers it with them.
    pub const fn version(&self) -> Sha256 {
        self.version
    }

    /// Whether a keyword stands in these bytes.
    pub fn any_keyword(&self, bytes: &[u8]) -> bool {
        self.automaton.is_match(bytes)
    }

    /// A scan over the texts of one body.
    pub fn scan(&self) -> Scan<'_> {
        Scan {
            detectors: self,
            windows: vec![None; self.rules.len()],
            found: Vec::new(),
            pattern_bytes: 0,
            matches: 0,
        }
    }
}

/// A scan in progress: what it has cost so far.
#[derive(Debug)]
pub struct Scan<'d> {
    detectors: &'d Detectors,
    /// The window of each rule that may still grow.
    windows: Vec<Option<Range<usize>>>,
    found: Vec<Match<'d>>,
    pattern_bytes: usize,
    matches: usize,
}

impl<'d> Scan<'d> {
    /// The secrets in a text, in order, none overlapping another.
    ///
    /// # Errors
    /// [`Overrun`] when the body has had more candidates than are examined.
    pub fn text(&mut self, text: &[u8]) -> Result<Vec<Match<'d>>, Overrun<'d>> {
        self.found.clear();
        self.windows.fill(None);
        let detectors = self.detectors;
        for hit in detectors.automaton.find_overlapping_iter(text) {
            for rule in detectors
                .owners
                .get(hit.pattern().as_usize())
                .into_iter()
                .flatten()
            {
                self.keyword(text, *rule, hit.start()..hit.end())?;
            }
        }
        for rule in 0..detectors.rules.len() {
            if let Some(window) = self.windows.get_mut(rule).and_then(Option::take) {
                self.pattern(text, rule, window)?;
            }
        }
        self.neighbours(text)?;
        let found = disjoint(std::mem::take(&mut self.found));
        self.matches += found.len();
        match found.last() {
            Some(last) if self.matches > MATCHES_MAX => Err(Overrun { kind: last.kind }),
            _ => Ok(found),
        }
    }

    /// Tries a rule at one of its keywords; keywords come in the order of their ends.
    fn keyword(&mut self, text: &[u8], index: usize, keyword: Range<usize>) -> Result<(), Overrun<'d>> {
        let Some(rule) = self.detectors.rules.get(index) else {
            return Ok(());
        };
        match &rule.finder {
            Finder::Shape(shape) => {
                let range = match shape {
                    Shape::Pem => shapes::pem(text, keyword),
                    Shape::UrlPassword => shapes::url_password(text, keyword),
                };
                if let Some(range) = range {
                    self.candidate(text, index, range);
                }
                self.room(rule)
            }
            Finder::Pattern { before, reach, .. } => {
                let window = keyword.start.saturating_sub(*before)..text.len().min(keyword.start + reach);
                self.widen(text, index, window)
            }
        }
    }

    /// Joins a window to the rule's last one where they touch; else runs the pattern over that one.
    fn widen(&mut self, text: &[u8], index: usize, window: Range<usize>) -> Result<(), Overrun<'d>> {
        let Some(open) = self.windows.get_mut(index) else {
            return Ok(());
        };
        match open {
            Some(open) if window.start <= open.end => {
                open.start = open.start.min(window.start);
                open.end = open.end.max(window.end);
                Ok(())
            }
            _ => match open.replace(window) {
                Some(closed) => self.pattern(text, index, closed),
                None => Ok(()),
            },
        }
    }

    /// Runs a rule's pattern over a window.
    fn pattern(&mut self, text: &[u8], index: usize, window: Range<usize>) -> Result<(), Overrun<'d>> {
        let Some(rule) = self.detectors.rules.get(index) else {
            return Ok(());
        };
        let Finder::Pattern { regex, .. } = &rule.finder else {
            return Ok(());
        };
        self.pattern_bytes = self.pattern_bytes.saturating_add(window.len());
        self.room(rule)?;
        let upto = text.get(..window.end).unwrap_or(text);
        let mut from = window.start;
        while let Some(found) = regex.captures_at(upto, from) {
            let Some(secret) = found.get(1) else {
                break;
            };
            self.candidate(text, index, secret.range());
            // The byte behind a secret may be the one before the next.
            from = secret.end().max(from + 1);
            if from > upto.len() {
                break;
            }
        }
        Ok(())
    }

    /// Tries the rules that look around matches of another kind.
    fn neighbours(&mut self, text: &[u8]) -> Result<(), Overrun<'d>> {
        for (index, rule) in self.detectors.rules.iter().enumerate() {
            let (Some(near), Finder::Pattern { before, reach, .. }) = (&rule.near, &rule.finder) else {
                continue;
            };
            let mut places: Vec<usize> = self
                .found
                .iter()
                .filter(|m| m.kind == near)
                .map(|m| m.range.start)
                .collect();
            places.sort_unstable();
            for place in places {
                self.widen(
                    text,
                    index,
                    place.saturating_sub(*before)..text.len().min(place + reach),
                )?;
            }
            if let Some(window) = self.windows.get_mut(index).and_then(Option::take) {
                self.pattern(text, index, window)?;
            }
        }
        Ok(())
    }

    /// Keeps a candidate, if all checks hold.
    fn candidate(&mut self, text: &[u8], index: usize, range: Range<usize>) {
        let Some(rule) = self.detectors.rules.get(index) else {
            return;
        };
        let value = text.get(range.clone()).unwrap_or_default();
        let token = matches!(rule.finder, Finder::Pattern { .. });
        if token && (is_example(value) || self.detectors.examples.contains(value)) {
            return;
        }
        let context_from = range.start.saturating_sub(CONTEXT_BYTES);
        let context = text.get(context_from..range.start).unwrap_or_default();
        let has_context = |word: &[u8]| memmem::find(context, word).is_some();
        if rule.context.as_deref().is_none_or(has_context)
            && rule.checks.iter().all(|check| holds(*check, value))
        {
            self.found.push(Match {
                kind: &rule.kind,
                range: whole_characters(text, range),
                rule: index,
            });
        }
    }

    fn room(&self, rule: &'d Rule) -> Result<(), Overrun<'d>> {
        if self.pattern_bytes > PATTERN_BYTES_MAX || self.found.len() > MATCHES_MAX {
            return Err(Overrun { kind: &rule.kind });
        }
        Ok(())
    }
}

/// Widens a range to whole UTF-8 characters, so that an edit cannot cut one.
fn whole_characters(text: &[u8], range: Range<usize>) -> Range<usize> {
    let inside = |place: usize| text.get(place).is_some_and(|byte| byte & 0xC0 == 0x80);
    let (mut start, mut end) = (range.start, range.end);
    while inside(start) && start > 0 {
        start -= 1;
    }
    while inside(end) {
        end += 1;
    }
    start..end
}

/// The matches in order; where several overlap, one over all of their bytes, with the kind of the
/// one that starts first, is longest, and stands first among the rules.
fn disjoint(mut found: Vec<Match<'_>>) -> Vec<Match<'_>> {
    found.sort_by_key(|m| (m.range.start, std::cmp::Reverse(m.range.end), m.rule));
    let mut kept: Vec<Match<'_>> = Vec::with_capacity(found.len());
    for next in found {
        match kept.last_mut() {
            Some(last) if next.range.start < last.range.end => {
                last.range.end = last.range.end.max(next.range.end);
            }
            _ => kept.push(next),
        }
    }
    kept
}
