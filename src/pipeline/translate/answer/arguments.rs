//! Tool arguments that arrive in fragments: are they complete yet?
//!
//! The fragments are JSON inside JSON strings, so one level of escapes is undone on the fly. Nothing is
//! kept but the state, whatever the length.

/// How far the arguments of a call have come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    depth: u32,
    in_string: bool,
    after_backslash: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing but white space so far.
    #[default]
    Empty,
    /// Begun.
    Open,
    /// An object or array came to its end: whatever follows, except white space, is something else.
    Complete,
}

impl Progress {
    /// Takes the next fragment, as it stands between its JSON quotes.
    pub(crate) fn take(&mut self, escaped: &str) {
        let mut bytes = escaped.bytes();
        while let Some(byte) = bytes.next() {
            let byte = if byte == b'\\' { unescape(&mut bytes) } else { byte };
            self.take_byte(byte);
        }
    }

    /// Whether anything but white space has come.
    pub(crate) fn has_begun(self) -> bool {
        self.state != State::Empty
    }

    /// Whether the arguments are complete.
    pub(crate) fn is_complete(self) -> bool {
        self.state == State::Complete
    }

    fn take_byte(&mut self, byte: u8) {
        if self.in_string {
            self.in_string = self.after_backslash || byte != b'"';
            self.after_backslash = !self.after_backslash && byte == b'\\';
            return;
        }
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' => return,
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b'}' | b']' if self.depth == 1 => {
                self.depth = 0;
                self.state = State::Complete;
                return;
            }
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        if self.state == State::Empty {
            self.state = State::Open;
        }
    }
}

/// What the escape after a backslash stands for; any byte beyond ASCII is as good as another.
fn unescape(bytes: &mut std::str::Bytes<'_>) -> u8 {
    match bytes.next() {
        Some(b'n' | b'r' | b't') => b' ',
        Some(b'u') => {
            let digits = bytes
                .by_ref()
                .take(4)
                .filter_map(|digit| char::from(digit).to_digit(16));
            let code = digits.fold(0, |code, digit| code * 16 + digit);
            u8::try_from(code).unwrap_or(0xff)
        }
        Some(byte) => byte,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::raw::escape;

    #[test]
    fn completeness_is_seen_through_both_levels_of_escapes() {
        let check = |arguments: &str, complete: bool| {
            // Fragments never cut an escape of the outer level, so characters are the finest cut.
            let mut progress = Progress::default();
            arguments
                .chars()
                .for_each(|c| progress.take(&escape(&c.to_string())));
            assert_eq!(progress.is_complete(), complete, "{arguments}");
        };
        check("", false);
        check("  \n", false);
        check("{}", true);
        check(" { \"a\" : [ { } ] } ", true);
        check(r#"{"a":"}"#, false);
        check(r#"{"a":"}\"}"}"#, true);
        check(r#"{"a":"\\"}"#, true);
        check(r#"{"a":"\\\"}"#, false);
        check("{\"a\":{}", false);
        check("null", false);
        let mut progress = Progress::default();
        progress.take(r"\u007b\u0022a\u0022:1\u007D");
        assert!(progress.is_complete() && progress.has_begun());
    }
}
