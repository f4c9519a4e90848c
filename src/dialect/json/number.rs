//! The grammar of numbers (RFC 8259 section 6).

/// The length of the number that these bytes start with; `None` if it is malformed or something
/// is glued to it.
pub(super) fn number_length(bytes: &[u8]) -> Option<usize> {
    let mut scan = Scan { bytes, at: 0 };
    scan.skip_if(|byte| byte == b'-');
    let leading_zero = scan.peek() == Some(b'0');
    let whole = scan.digits();
    let mut good = whole > 0 && !(leading_zero && whole > 1);
    if scan.skip_if(|byte| byte == b'.') {
        good &= scan.digits() > 0;
    }
    if scan.skip_if(|byte| matches!(byte, b'e' | b'E')) {
        scan.skip_if(|byte| matches!(byte, b'+' | b'-'));
        good &= scan.digits() > 0;
    }
    let is_glue = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-' | b'_');
    let glued = scan.peek().is_some_and(is_glue);
    (good && !glued).then_some(scan.at)
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_if(&mut self, wanted: impl Fn(u8) -> bool) -> bool {
        let found = self.peek().is_some_and(wanted);
        self.at += usize::from(found);
        found
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.skip_if(|byte| byte.is_ascii_digit()) {}
        self.at - start
    }
}
