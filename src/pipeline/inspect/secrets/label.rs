//! The grammar of labels: `password = "…"`, in the many ways that people and programs write it.
//!
//! A name that holds a keyword, what separates it from its value, and a literal. Everything is looked for
//! within a fixed distance of the keyword, so that the work at one keyword has a bound.

use std::ops::Range;

/// Bytes of a name before and behind its keyword at most.
const NAME_BEFORE_MAX: usize = 64;
const NAME_AFTER_MAX: usize = 40;
/// Bytes between a name and its value at most.
const GAP_MAX: usize = 64;
/// Bytes of a value at most.
const VALUE_MAX: usize = 512;

/// A name and the literal that is given to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Assignment {
    /// The whole name, without quotes.
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
    pub(super) written: Written,
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// Between quotes.
    Quoted,
    /// Bare and close to its name: `NAME=value`, `--name value`, `<name>value`.
    Bare,
    /// Bare, where code could stand as well: `name = value`, `name: value`.
    Loose,
    /// In a sentence: `the password is value`.
    Sentence,
    /// Behind a blank alone, where most often the sentence goes on: `log in with password value`.
    Beside,
}

/// Words between a name and its value in sentences.
const COPULAS: [&str; 31] = [
    "is",
    "was",
    "are",
    "as",
    "to",
    "equals",
    "set to",
    "is now",
    "is:",
    "ist",
    "lautet",
    "war",
    "auf",
    "est",
    "es",
    "era",
    "\u{e8}",
    "\u{e9}",
    "er",
    "\u{e4}r",
    "on",
    "to:",
    "now",
    "currently",
    "=",
    "jest",
    "is set to",
    "will be",
    "should be",
    "is currently",
    "to be",
];
/// The same in scripts without blanks.
const FOREIGN_COPULAS: [&str; 8] = [
    "\u{662f}",
    "\u{4e3a}",
    "\u{70ba}",
    "\u{ff1a}",
    "\u{306f}",
    "\u{ff1d}",
    "\u{c740} ",
    "\u{b294} ",
];

/// Whether a word can end where a keyword ends: most keywords in prose are parts of longer words.
pub(super) fn may_end(text: &[u8], end: usize) -> bool {
    let is_lower = |place: usize| text.get(place).is_some_and(u8::is_ascii_lowercase);
    let goes_on = end > 0 && is_lower(end - 1) && is_lower(end);
    !goes_on || text.get(end) == Some(&b's') && !is_lower(end + 1)
}

/// The assignment whose name holds the keyword, if one stands there.
pub(super) fn assignment(text: &[u8], keyword: &Range<usize>) -> Option<Assignment> {
    let name = name(text, keyword)?;
    let is_flag = text.get(name.clone())?.starts_with(b"-");
    let (start, written) = value_start(text, &name, is_flag)?;
    let (value, written) = literal(text, start, written)?;
    let in_element =
        text.get(start.saturating_sub(1)) == Some(&b'>') && text.get(start.saturating_sub(2)) != Some(&b'=');
    if in_element && text.get(value.end) != Some(&b'<') {
        return None;
    }
    let name = name.start + usize::from(is_flag)..name.end;
    Some(Assignment { name, value, written })
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'$')
}

fn name(text: &[u8], keyword: &Range<usize>) -> Option<Range<usize>> {
    let before = text.get(keyword.start.saturating_sub(NAME_BEFORE_MAX)..keyword.start)?;
    let length = before.iter().rev().take_while(|byte| is_name(**byte)).count();
    let mut start = keyword.start - length;
    // In text that is still escaped, the letter behind a backslash is none of the name's.
    if start > 0
        && text.get(start - 1) == Some(&b'\\')
        && start < keyword.start
        && matches!(text.get(start), Some(b'n' | b'r' | b't'))
    {
        start += 1;
    }
    let after = text.get(keyword.end..text.len().min(keyword.end + NAME_AFTER_MAX))?;
    let is_inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let length = after.iter().take_while(|byte| is_inner(byte)).count();
    let mut end = keyword.end + length;
    // `name->` and `name -- value` are no names with dashes.
    while end > keyword.end && text.get(end - 1) == Some(&b'-') {
        end -= 1;
    }
    Some(start..end)
}

/// Where the value begins behind a name, and how it may be written.
fn value_start(text: &[u8], name: &Range<usize>, is_flag: bool) -> Option<(usize, Written)> {
    let gap = text.get(name.end..text.len().min(name.end + GAP_MAX))?;
    let mut at = 0;
    if gap.starts_with(b".") || gap.starts_with(b"(s)") {
        return None;
    }
    let quotes = skip(gap, at, |c| {
        matches!(c, b'\\' | b'"' | b'\'' | b'`' | b']' | b'*' | b'!' | b'?')
    });
    let named = quotes.min(6);
    at += named;
    // Foreign scripts, where words have no blanks between them.
    if let Some(word) = FOREIGN_COPULAS.iter().find(|word| {
        gap.get(at..)
            .is_some_and(|rest| rest.starts_with(word.as_bytes()))
    }) {
        at += word.len();
        at += skip(gap, at, |c| matches!(c, b' ' | b':' | b'='));
        return Some((name.end + at, Written::Loose));
    }
    let blanks = skip(gap, at, |c| matches!(c, b' ' | b'\t'));
    let rest = gap.get(at + blanks..)?;
    let spaced = blanks > 0;
    let ends_line = matches!(rest, [b'\n' | b'\r', ..] | [b'\\', b'n' | b'r' | b'\\', ..]);
    if (named > 0 || ends_line)
        && let Some(length) = value_member(rest, spaced)
    {
        return Some((name.end + at + blanks + length, Written::Loose));
    }
    if let Some((length, close)) = separator(rest, named > 0 || quoted_list(text, name)) {
        let from = at + blanks + length;
        let after = skip(gap, from, |c| matches!(c, b' ' | b'\t'));
        let close = close && !spaced && after == 0;
        let typed = if rest.starts_with(b":") {
            typed(gap.get(from + after..)?)
        } else {
            0
        };
        let (from, after) = (from + after + typed, 0);
        let written = if close { Written::Bare } else { Written::Loose };
        return Some((name.end + from + after, written));
    }
    // `<name>value`
    if rest.first() == Some(&b'>')
        && blanks == 0
        && named == 0
        && name.start > 0
        && text.get(name.start - 1) == Some(&b'<')
    {
        return Some((name.end + 1, Written::Bare));
    }
    let before = text
        .get(name.start.saturating_sub(5)..name.start)
        .unwrap_or_default();
    let given = is_flag || before.ends_with(b"ENV ") || before.ends_with(b"setx ");
    if given && spaced && named == 0 && !rest.starts_with(b"-") {
        return Some((name.end + blanks, Written::Bare));
    }
    if let Some(length) = sentence(rest, spaced || named > 0) {
        return Some((name.end + at + blanks + length, Written::Sentence));
    }
    (spaced && named == 0).then_some((name.end + blanks, Written::Beside))
}

fn quoted_list(text: &[u8], name: &Range<usize>) -> bool {
    name.start > 0 && matches!(text.get(name.start - 1), Some(b'"' | b'\''))
}

fn skip(text: &[u8], from: usize, wanted: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    rest.iter().position(|byte| !wanted(*byte)).unwrap_or(rest.len())
}

/// The length of a separator, and whether a value close behind it is bare rather than code.
fn separator(rest: &[u8], quoted_name: bool) -> Option<(usize, bool)> {
    const LONG: [(&[u8], bool); 9] = [
        (b"=>", false),
        (b":=", false),
        (b"===", false),
        (b"==", false),
        (b"+=", false),
        (b"?=", true),
        (b"::", false),
        (b"<-", false),
        (b"->", false),
    ];
    if let Some((separator, close)) = LONG.iter().find(|(long, _)| rest.starts_with(long)) {
        return Some((separator.len(), *close));
    }
    match rest.first()? {
        b'=' => Some((1, true)),
        b':' if rest.starts_with(b":**") => Some((3, false)),
        b':' => Some((1, false)),
        b'|' => Some((1, false)),
        b'(' if matches!(rest.get(1), Some(b'"' | b'\'' | b'\\' | b'`')) => Some((1, false)),
        b',' if quoted_name => Some((1, false)),
        _ => None,
    }
}

/// The length of a type between a colon and an equals sign: `name: &str = `.
fn typed(rest: &[u8]) -> usize {
    let word = skip(rest, 0, |c| {
        c.is_ascii_alphanumeric()
            || matches!(
                c,
                b'&' | b'<' | b'>' | b'[' | b']' | b'?' | b'.' | b'_' | b'\'' | b'|'
            )
    });
    let blanks = skip(rest, word, |c| c == b' ');
    let is_type = word > 0 && word <= 32 && rest.get(word + blanks) == Some(&b'=');
    let from = word + blanks + 1;
    let from = from + skip(rest, from, |c| c == b' ');
    // Base64 ends with an equals sign, too, but no literal follows it.
    let escapes = skip(rest, from, |c| c == b'\\');
    let literal = matches!(rest.get(from + escapes), Some(b'"' | b'\'' | b'`'));
    if is_type && literal { from } else { 0 }
}

/// The length up to the value of a name that is itself a value: `key="NAME" value="…"`,
/// `{"name": "NAME", "value": "…"}`, `- name: NAME` and `value: …` on the next line.
fn value_member(rest: &[u8], spaced: bool) -> Option<usize> {
    let mut at = 0;
    // Line ends may be written out.
    loop {
        at += skip(rest, at, |c| {
            c.is_ascii_whitespace() || matches!(c, b',' | b'"' | b'\'')
        });
        let escapes = skip(rest, at, |c| c == b'\\');
        at += match rest.get(at + escapes) {
            Some(b'n' | b'r' | b't') if escapes > 0 => escapes + 1,
            Some(b'"') if escapes > 0 => escapes,
            _ => break,
        };
    }
    let word = rest.get(at..at + 5)?;
    if at == 0 && !spaced || !word.eq_ignore_ascii_case(b"value") {
        return None;
    }
    at += 5;
    at += skip(rest, at, |c| matches!(c, b'"' | b'\'' | b'\\' | b' '));
    matches!(rest.get(at), Some(b'=' | b':')).then_some(())?;
    at += 1;
    Some(at + skip(rest, at, |c| c == b' '))
}

/// The length of the words between a name and its value in a sentence.
fn sentence(rest: &[u8], spaced: bool) -> Option<usize> {
    if !spaced {
        return None;
    }
    if let Some(length) = about(rest) {
        return Some(length);
    }
    // The longest fitting copula counts.
    let fits = |word: &&&str| {
        rest.get(..word.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(word.as_bytes()))
            && matches!(rest.get(word.len()), Some(b' ' | b':' | b'\n'))
    };
    let word = COPULAS.iter().filter(fits).max_by_key(|word| word.len())?;
    let at = word.len();
    Some(at + skip(rest, at, |c| matches!(c, b' ' | b':')))
}

/// The length of what a password is for, up to its colon: `password for the staging box: `.
fn about(rest: &[u8]) -> Option<usize> {
    const PREPOSITIONS: [&[u8]; 9] = [
        b"for ",
        b"of ",
        b"to ",
        b"on ",
        b"f\xC3\xBCr ",
        b"pour ",
        b"para ",
        b"per ",
        b"voor ",
    ];
    PREPOSITIONS.iter().find(|word| rest.starts_with(word))?;
    let words = skip(rest, 0, |c| {
        c.is_ascii_alphanumeric() || matches!(c, b' ' | b'-' | b'_' | b'\'' | b'.' | b'/') || !c.is_ascii()
    });
    let heard = rest.get(..words)?;
    let end = match (rest.get(words), memchr::memmem::rfind(heard, b" is ")) {
        (Some(b':'), _) => words + 1,
        (_, Some(is)) => is + 4,
        _ => return None,
    };
    let blanks = skip(rest, end, |c| c == b' ');
    (end <= 48 && blanks <= 2).then_some(end + blanks)
}

/// The literal that begins here.
fn literal(text: &[u8], start: usize, written: Written) -> Option<(Range<usize>, Written)> {
    let rest = text.get(start..text.len().min(start + VALUE_MAX))?;
    let from = literal_prefix(rest);
    let escapes = skip(rest, from, |c| c == b'\\');
    let emphasis = skip(rest, from, |c| c == b'*');
    let opening = rest.get(from + escapes);
    if let Some(quote @ (b'"' | b'\'' | b'`')) = opening {
        // Three quotes, or two backticks, open as one does.
        let count = skip(rest, from + escapes, |c| c == *quote);
        if count == 2 && *quote != b'`' {
            return None;
        }
        let inner = from + escapes + count;
        let length = quoted(rest.get(inner..)?, *quote, escapes)?;
        return Some((start + inner..start + inner + length, Written::Quoted));
    }
    if from > 0 || escapes > 0 {
        return None;
    }
    let from = if emphasis <= 2 { emphasis } else { 0 };
    let length = bare(rest.get(from..)?, written)?;
    Some((start + from..start + from + length, written))
}

/// The length of what may stand before a quote: `b`, `f`, `N`, `@`, `String::from(`.
fn literal_prefix(rest: &[u8]) -> usize {
    const CALLS: [&[u8]; 9] = [
        b"String::from(",
        b"SecretString::from(",
        b"SecretString::new(",
        b"Secret::new(",
        b"new String(",
        b"SecretStr(",
        b"str(",
        b"String(",
        b"Secret(",
    ];
    if let Some(call) = CALLS.iter().find(|call| rest.starts_with(call)) {
        return call.len();
    }
    match rest {
        [
            b'b' | b'f' | b'r' | b'u' | b'N' | b'@' | b'L' | b'[' | b'(',
            b'"' | b'\'',
            ..,
        ] => 1,
        _ => 0,
    }
}

/// The length of a quoted literal whose quote was opened behind so many backslashes.
fn quoted(inner: &[u8], quote: u8, escapes: usize) -> Option<usize> {
    let mut backslashes = 0;
    for (place, byte) in inner.iter().enumerate() {
        match *byte {
            b'\\' => {
                backslashes += 1;
                continue;
            }
            byte if byte == quote && backslashes <= escapes => return Some(place - backslashes),
            b'\n' => return None,
            // A line end that is written out ends a literal as a real one does.
            b'n' | b'r' if backslashes > escapes && escapes > 0 => return None,
            _ => {}
        }
        backslashes = 0;
    }
    None
}

/// The length of a bare literal; `None` where code stands.
fn bare(rest: &[u8], written: Written) -> Option<usize> {
    let ends = |c: u8| {
        c.is_ascii_whitespace() || matches!(c, b'"' | b'\'' | b'`' | b'<' | b'>' | b'\\' | b',' | b';')
    };
    let mut length = skip(rest, 0, |c| !ends(c));
    // Where it is close to its name, brackets may be a password's; elsewhere they are code's.
    if written != Written::Bare {
        let code = skip(rest, 0, |c| {
            !matches!(c, b'(' | b')' | b'{' | b'}' | b'[' | b']' | b'|')
        });
        if code < length {
            match rest.get(code) {
                Some(b'(' | b'[' | b'{') => return None,
                _ => length = code,
            }
        }
    }
    // The next parameter of a query.
    let query = rest.get(..length)?.iter().position(|byte| *byte == b'&');
    if let Some(place) = query {
        let next = rest.get(place + 1..length)?;
        let name = skip(next, 0, |c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-'));
        if name > 0 && next.get(name) == Some(&b'=') {
            length = place;
        }
    }
    // What ends a sentence or emphasises is none of the value's; behind digits it rather is a password's.
    let in_sentence = matches!(written, Written::Sentence | Written::Beside);
    let shouted = !rest.get(..length)?.iter().any(u8::is_ascii_digit);
    let is_end = |c: &&u8| {
        matches!(c, b'.' | b':' | b'*' | b'_')
            || in_sentence && (**c == b')' || shouted && matches!(c, b'!' | b'?'))
    };
    let trimmed = rest.get(..length)?.iter().rev().take_while(is_end).count();
    let ends_text = rest.get(length).is_none_or(u8::is_ascii_whitespace);
    let length = if ends_text { length - trimmed } else { length };
    (length > 0).then_some(length)
}
