//! A scan over texts: keywords in one pass, everything else around them.

use std::ops::Range;

use memchr::memmem;

use crate::pipeline::inspect::finding::SecretKind;
use crate::pipeline::inspect::secrets::checks::holds;
use crate::pipeline::inspect::secrets::detectors::Detectors;
use crate::pipeline::inspect::secrets::edges::{secret, stands_alone, starts_alone, whole_characters};
use crate::pipeline::inspect::secrets::gate::{self, Gate};
use crate::pipeline::inspect::secrets::harmless::{is_example, is_placeholder};
use crate::pipeline::inspect::secrets::label::{self, Assignment};
use crate::pipeline::inspect::secrets::nested::{self, DEPTH_MAX, Unescaped};
use crate::pipeline::inspect::secrets::rule::{Finder, Pattern, Rule, Shape};
use crate::pipeline::inspect::secrets::shapes;

/// Bytes that patterns may be run over in one body beyond the body's own length: keywords with nothing behind
/// them would otherwise buy time. Honest bodies stay a hundred times below.
const PATTERN_BYTES_MAX: usize = 4 << 20;
/// Matches in one body at most.
const MATCHES_MAX: usize = 4_096;
/// Bytes before a match in which its context word is looked for.
const CONTEXT_BYTES: usize = 2_500;
/// Bytes that the examination of one label counts as.
const LABEL_BYTES: usize = 64;

/// A secret in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match<'d> {
    /// What it is.
    pub kind: &'d SecretKind,
    /// Where, in bytes of the text.
    pub range: Range<usize>,
    pub(super) rule: usize,
}

/// A body has more candidates than are examined.
#[derive(Debug, PartialEq, Eq)]
pub struct Overrun<'d> {
    /// The kind that they look like.
    pub kind: &'d SecretKind,
}

/// A scan in progress: what it has cost so far.
#[derive(Debug)]
pub struct Scan<'d> {
    detectors: &'d Detectors,
    /// The window of each rule that may still grow.
    windows: Vec<Option<Range<usize>>>,
    found: Vec<Match<'d>>,
    /// The bytes that patterns have been run over, and may be.
    pattern_bytes: usize,
    pattern_bytes_max: usize,
    matches: usize,
}

impl<'d> Scan<'d> {
    pub(super) fn new(detectors: &'d Detectors) -> Self {
        Self {
            detectors,
            windows: vec![None; detectors.rules.len()],
            found: Vec::new(),
            pattern_bytes: 0,
            pattern_bytes_max: PATTERN_BYTES_MAX,
            matches: 0,
        }
    }

    /// The secrets in a text, in order, none overlapping another.
    ///
    /// # Errors
    /// [`Overrun`] when the body has had more candidates than are examined.
    pub fn text(&mut self, text: &[u8]) -> Result<Vec<Match<'d>>, Overrun<'d>> {
        let found = self.layers(text, 0)?;
        self.matches += found.len();
        match found.last() {
            Some(last) if self.matches > MATCHES_MAX => Err(Overrun { kind: last.kind }),
            _ => Ok(found),
        }
    }

    /// The bytes that patterns have been run over so far: the work beyond one pass.
    pub const fn pattern_bytes(&self) -> usize {
        self.pattern_bytes
    }

    /// The secrets in a text as it stands, and in those parts of it that are escaped once more.
    fn layers(&mut self, text: &[u8], depth: usize) -> Result<Vec<Match<'d>>, Overrun<'d>> {
        let mut found = self.flat(text)?;
        if depth == DEPTH_MAX {
            return Ok(found);
        }
        let outer = found.len();
        for part in nested::parts(text) {
            let unescaped = Unescaped::of(text.get(part.clone()).unwrap_or_default());
            let place = |offset| part.start + unescaped.before(offset);
            for inner in self.layers(&unescaped.text, depth + 1)? {
                let range = place(inner.range.start)..place(inner.range.end);
                found.push(Match { range, ..inner });
            }
        }
        Ok(if found.len() > outer {
            disjoint(found)
        } else {
            found
        })
    }

    /// The secrets in a text as it stands.
    fn flat(&mut self, text: &[u8]) -> Result<Vec<Match<'d>>, Overrun<'d>> {
        self.found.clear();
        self.windows.fill(None);
        self.pattern_bytes_max = self.pattern_bytes_max.saturating_add(text.len());
        let detectors = self.detectors;
        for hit in detectors.automaton.find_overlapping_iter(text) {
            let owners = detectors.owners.get(hit.pattern().as_usize());
            for rule in owners.into_iter().flatten() {
                self.keyword(text, *rule, hit.start()..hit.end(), hit.pattern().as_usize())?;
            }
        }
        for rule in 0..detectors.rules.len() {
            if let Some(window) = self.windows.get_mut(rule).and_then(Option::take) {
                self.pattern(text, rule, window)?;
            }
        }
        self.neighbours(text)?;
        let mut found = std::mem::take(&mut self.found);
        self.prefer_exact(&mut found);
        Ok(disjoint(found))
    }

    /// Tries a rule at one of its keywords; keywords come in the order of their ends.
    fn keyword(
        &mut self,
        text: &[u8],
        index: usize,
        at: Range<usize>,
        keyword: usize,
    ) -> Result<(), Overrun<'d>> {
        let detectors = self.detectors;
        let Some(rule) = detectors.rules.get(index) else {
            return Ok(());
        };
        match &rule.finder {
            Finder::Shape(shape) => {
                let range = match shape {
                    Shape::Pem => shapes::pem(text, at),
                    Shape::UrlPassword => shapes::url_password(text, at),
                };
                if let Some(range) = range {
                    self.candidate(text, index, range);
                }
                self.room(rule)
            }
            Finder::Token {
                pattern,
                lengths,
                solid,
            } => {
                // Tokens have their letters' case; the words that rules about statements begin with do not.
                let exact = detectors.keywords.get(keyword).map(|keyword| &**keyword) == text.get(at.clone());
                let wanted = if *solid {
                    exact && starts_alone(text, at.start)
                } else {
                    exact || pattern.ignores_case()
                };
                if !wanted {
                    return Ok(());
                }
                let part = text
                    .get(at.start..text.len().min(at.start + lengths.end()))
                    .unwrap_or_default();
                let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'');
                let length = if *solid { part.iter().position(ends) } else { None };
                match length.unwrap_or(part.len()) {
                    length if length < *lengths.start() => Ok(()),
                    length => self.token(text, index, at.start, length, pattern),
                }
            }
            Finder::Window { before, reach, .. } => {
                let window = at.start.saturating_sub(*before)..text.len().min(at.start + reach);
                self.widen(text, index, window)
            }
            Finder::Labelled(gate) => self.label(text, index, *gate, &at),
            Finder::Form { .. } => Ok(()),
        }
    }

    /// Tries a pattern that begins with its keyword.
    fn token(
        &mut self,
        text: &[u8],
        index: usize,
        start: usize,
        length: usize,
        pattern: &Pattern,
    ) -> Result<(), Overrun<'d>> {
        let part = text.get(start..start + length).unwrap_or_default();
        self.spend(index, part.len())?;
        if let Some(range) = pattern.regex().and_then(|regex| secret(regex, part, 0)) {
            self.matched(text, index, start + range.start..start + range.end);
        }
        Ok(())
    }

    /// Tries a label at one of its keywords.
    fn label(&mut self, text: &[u8], index: usize, gate: Gate, at: &Range<usize>) -> Result<(), Overrun<'d>> {
        if !label::may_end(text, at.end) {
            return Ok(());
        }
        self.spend(index, LABEL_BYTES)?;
        let Some(assignment) = label::assignment(text, at) else {
            return Ok(());
        };
        let Assignment { name, value, written } = &assignment;
        if self.found.last().is_some_and(|last| last.range == *value) {
            return Ok(());
        }
        let (called, given) = (
            text.get(name.clone()).unwrap_or_default(),
            text.get(value.clone()).unwrap_or_default(),
        );
        let end = at.end - name.start;
        if gate::name_promises(Gate::Token, called, end)
            && let Some(form) = self.form(index, called, given)?
        {
            self.candidate(text, form, value.clone());
        } else if gate::opens(gate, called, end, given, *written) {
            self.candidate(text, index, value.clone());
        }
        Ok(())
    }

    /// The rule that knows a labelled value by its form.
    fn form(&mut self, index: usize, name: &[u8], value: &[u8]) -> Result<Option<usize>, Overrun<'d>> {
        let detectors = self.detectors;
        if is_placeholder(value) {
            return Ok(None);
        }
        let plain: Vec<u8> = name
            .iter()
            .filter(|c| c.is_ascii_alphanumeric())
            .map(u8::to_ascii_lowercase)
            .collect();
        self.spend(index, value.len())?;
        for form in &detectors.forms {
            let Some(Rule {
                finder:
                    Finder::Form {
                        labels,
                        value: pattern,
                    },
                ..
            }) = detectors.rules.get(*form)
            else {
                continue;
            };
            let named = labels.iter().any(|label| memmem::find(&plain, label).is_some());
            if named && pattern.regex().is_some_and(|regex| regex.is_match(value)) {
                return Ok(Some(*form));
            }
        }
        Ok(None)
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
        self.spend(index, window.len())?;
        let rule = self.detectors.rules.get(index);
        let Some(Finder::Window { pattern, .. }) = rule.map(|rule| &rule.finder) else {
            return Ok(());
        };
        let Some(regex) = pattern.regex() else {
            return Ok(());
        };
        let upto = text.get(..window.end).unwrap_or(text);
        let mut from = window.start;
        while let Some(range) = secret(regex, upto, from) {
            // The byte behind a secret may be the one before the next.
            from = range.end.max(from + 1);
            self.matched(text, index, range);
            if from > upto.len() {
                break;
            }
        }
        Ok(())
    }

    /// Tries the rules that look around matches of another kind.
    fn neighbours(&mut self, text: &[u8]) -> Result<(), Overrun<'d>> {
        for (index, rule) in self.detectors.rules.iter().enumerate() {
            let (Some(near), Finder::Window { before, reach, .. }) = (&rule.near, &rule.finder) else {
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

    /// Keeps what a pattern has matched, if it is no example. A pattern without groups matches the token alone, and
    /// nothing may go on before or behind it; one with a group says itself what stands around its secret.
    fn matched(&mut self, text: &[u8], index: usize, range: Range<usize>) {
        let whole = self
            .detectors
            .rules
            .get(index)
            .and_then(Rule::pattern)
            .is_some_and(Pattern::is_whole);
        let value = text.get(range.clone()).unwrap_or_default();
        if !is_example(value) && (!whole || stands_alone(text, &range)) {
            self.candidate(text, index, range);
        }
    }

    /// Keeps a candidate, if all checks hold.
    fn candidate(&mut self, text: &[u8], index: usize, range: Range<usize>) {
        let Some(rule) = self.detectors.rules.get(index) else {
            return;
        };
        let value = text.get(range.clone()).unwrap_or_default();
        if self.detectors.examples.contains(value) {
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

    /// Drops what a label found where most of it is a token that a rule knows by its form: the rest is none of the
    /// secret's.
    fn prefer_exact(&self, found: &mut Vec<Match<'d>>) {
        let by_label = |m: &Match<'_>| {
            let rule = self.detectors.rules.get(m.rule);
            rule.is_some_and(|rule| matches!(rule.finder, Finder::Labelled(_)))
        };
        if !found.iter().any(by_label) {
            return;
        }
        let mut exact: Vec<Range<usize>> = found
            .iter()
            .filter(|m| !by_label(m))
            .map(|m| m.range.clone())
            .collect();
        exact.sort_unstable_by_key(|range| range.start);
        found.retain(|m| {
            let first = exact.partition_point(|range| range.start < m.range.start);
            let inside = exact.get(first).filter(|range| range.end <= m.range.end);
            !by_label(m) || inside.is_none_or(|range| range.len() * 2 < m.range.len())
        });
    }

    /// Counts work that a rule causes.
    fn spend(&mut self, index: usize, bytes: usize) -> Result<(), Overrun<'d>> {
        self.pattern_bytes = self.pattern_bytes.saturating_add(bytes);
        self.detectors
            .rules
            .get(index)
            .map_or(Ok(()), |rule| self.room(rule))
    }

    fn room(&self, rule: &'d Rule) -> Result<(), Overrun<'d>> {
        if self.pattern_bytes > self.pattern_bytes_max || self.found.len() > MATCHES_MAX {
            return Err(Overrun { kind: &rule.kind });
        }
        Ok(())
    }
}

/// The matches in order; where several overlap, one over all of their bytes, with the kind of the
/// rule that stands first.
fn disjoint(mut found: Vec<Match<'_>>) -> Vec<Match<'_>> {
    found.sort_by_key(|m| (m.range.start, std::cmp::Reverse(m.range.end), m.rule));
    let mut kept: Vec<Match<'_>> = Vec::with_capacity(found.len());
    for next in found {
        match kept.last_mut() {
            Some(last) if next.range.start < last.range.end => {
                last.range.end = last.range.end.max(next.range.end);
                if next.rule < last.rule {
                    (last.kind, last.rule) = (next.kind, next.rule);
                }
            }
            _ => kept.push(next),
        }
    }
    kept
}
