//! Where a match begins and ends.

use std::ops::Range;

use regex::bytes::Regex;

/// The secret of the first match: group 1, or all of it where the pattern has no groups.
pub(super) fn secret(regex: &Regex, text: &[u8], from: usize) -> Option<Range<usize>> {
    if regex.captures_len() == 1 {
        return regex.find_at(text, from).map(|found| found.range());
    }
    let found = regex.captures_at(text, from)?;
    found.get(1).map(|secret| secret.range())
}

/// Whether no letter or digit goes on before or behind a token.
pub(super) fn stands_alone(text: &[u8], range: &Range<usize>) -> bool {
    let ends =
        !is_word(range.end.checked_sub(1).and_then(|last| text.get(last))) || !is_word(text.get(range.end));
    ends && starts_alone(text, range.start)
}

/// Whether no letter or digit stands before a token that begins with one. Behind a backslash, `n`, `r` and `t` are no
/// letters but the end of an escape; so are the two digits behind a percent sign, and the four behind `\u`.
pub(super) fn starts_alone(text: &[u8], start: usize) -> bool {
    let before = |distance| start.checked_sub(distance).and_then(|place| text.get(place));
    let escape = || {
        before(2) == Some(&b'\\') && matches!(before(1), Some(b'n' | b'r' | b't' | b'b' | b'f'))
            || before(3) == Some(&b'%')
            || before(6) == Some(&b'\\') && before(5) == Some(&b'u')
    };
    !is_word(text.get(start)) || !is_word(before(1)) || escape()
}

fn is_word(byte: Option<&u8>) -> bool {
    byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// Widens a range to whole UTF-8 characters, so that an edit cannot cut one.
pub(super) fn whole_characters(text: &[u8], range: Range<usize>) -> Range<usize> {
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
